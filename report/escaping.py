"""Text made safe for each format: whatever a class name holds, it prints as itself and does nothing else."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from analysis.fonts import legible, marked, plain

if TYPE_CHECKING:
    from pylatexenc.latexencode import UnicodeToLatexEncoder

ASCII_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
BREAKLESS = re.compile(
    r" (?=[%=<±])|(?<=[=<±]) (?=[\d+\N{MINUS SIGN}])"  # relations and the percent sign
    r"|(?<=\d) (?=to [\d+\N{MINUS SIGN}])|(?<=\d to) (?=[\d+\N{MINUS SIGN}])"  # intervals
    r"|(?<=\d) (?=(?:px|ms|MB|GB|min|s|h|k|M|G|points)\b)"  # units
)
# What TeX does not know, reads as an ordinary character, or takes for a part of a command.
TEX_OWN = {
    "'": r"\textquotesingle{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",
    "]": "{]}",
    "\N{ZERO WIDTH SPACE}": r"\allowbreak{}",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
    "\N{THIN SPACE}": r"\,",
    "\N{NO-BREAK SPACE}": "~",
}
# What pdfLaTeX prints with the packages of this paper, tried character by character: Latin and Greek, punctuation,
# currencies, arrows and mathematical signs, but for those that need a package of their own.
TEX_BLOCKS = (
    ("\n", "\n"),
    (" ", "\u024f"),
    ("\u0370", "\u03ff"),
    ("\u1e00", "\u1eff"),
    ("\u2000", "\u206f"),
    ("\u2074", "\u2079"),
    ("\u20a0", "\u22ff"),
)
# What the next character would make a dash, or another sign, of.
LIGATURES = re.compile(r"([-,])(?=\1)")
TEX_LACKS = frozenset("ŉƕƞΐϒℋℐℒℛℬℰℱℳ⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞↜↝⇅⇵∟∯∰∱∻∾≆≋≌≙≛≸≹⊧⊨⊫⊶⊷⊹⊾⋘⋙⋨⋰")


def unbroken(text: str) -> str:
    """The text with no-break spaces where a line must not end: before units and around relations.

    >>> unbroken("91.3 % (p = 0.02)").replace("\\xa0", "_")
    '91.3_% (p_=_0.02)'
    """
    return BREAKLESS.sub("\N{NO-BREAK SPACE}", text)


@lru_cache(maxsize=1)
def _encoder() -> UnicodeToLatexEncoder:
    from pylatexenc.latexencode import UnicodeToLatexEncoder

    return UnicodeToLatexEncoder(unknown_char_policy="fail", unknown_char_warning=False)


@lru_cache(maxsize=4096)
def latex(text: str) -> Markup:
    """Escape for LaTeX text mode; characters that pdfLaTeX's fonts lack have their codes."""
    parts = re.split(f"([{re.escape(''.join(TEX_OWN))}])", marked(text, in_latex))
    encoded = "".join(TEX_OWN.get(part) or _encoder().unicode_to_latex(part) for part in parts)
    return Markup(LIGATURES.sub(r"\1{}", encoded))


@lru_cache(maxsize=4096)
def in_latex(character: str) -> bool:
    """Whether pdfLaTeX prints the character with the packages of this paper."""
    if character in TEX_LACKS or not any(first <= character <= last for first, last in TEX_BLOCKS):
        return False
    try:
        return character in TEX_OWN or bool(_encoder().unicode_to_latex(character))
    except ValueError:
        return False


@lru_cache(maxsize=4096)
def typst(text: str) -> Markup:
    """Escape for Typst markup: every ASCII punctuation mark loses its meaning; what no font has gets its code."""
    return Markup(ASCII_PUNCTUATION.sub(r"\\\1", legible(text)))


def typst_string(text: str) -> Markup:
    """A Typst string literal, quotes included."""
    return Markup('"' + plain(str(text)).replace("\\", "\\\\").replace('"', '\\"') + '"')


def breakable(text: str) -> str:
    """The text with places to break a line inside long names: after slashes, dots and hyphens between letters."""
    return re.sub(r"(?<=[A-Za-z0-9][/._-])(?=[A-Za-z])", "\N{ZERO WIDTH SPACE}", text)


def slug(name: str) -> Markup:
    """A name fit for labels and file names, e.g. ``level1/curves`` -> ``level1-curves``."""
    return Markup(re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-"))
