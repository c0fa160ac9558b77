"""Text made safe for each format: whatever a class name holds, it prints as itself and does nothing else."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from pylatexenc.latexencode import UnicodeToLatexEncoder

ASCII_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
BREAKLESS = re.compile(
    r" (?=[%=<±])|(?<=[=<±]) (?=[\d+\N{MINUS SIGN}])"  # relations and the percent sign
    r"|(?<=\d) (?=to [\d+\N{MINUS SIGN}])|(?<=\d to) (?=[\d+\N{MINUS SIGN}])"  # intervals
    r"|(?<=\d) (?=(?:px|ms|MB|GB|min|s|h|k|M|G|points)\b)"  # units
)
# Spaces that TeX does not know, or reads as ordinary characters.
TEX_SPACES = {
    "\N{ZERO WIDTH SPACE}": r"\allowbreak{}",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
    "\N{THIN SPACE}": r"\,",
    "\N{NO-BREAK SPACE}": "~",
}


def plain(text: str) -> str:
    """One line of printable text: control characters and lone surrogates and private characters become spaces."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Co") else c for c in text)


def unbroken(text: str) -> str:
    """The text with no-break spaces where a line must not end: before units and around relations.

    >>> unbroken("91.3 % (p = 0.02)").replace("\\xa0", "_")
    '91.3_% (p_=_0.02)'
    """
    return BREAKLESS.sub("\N{NO-BREAK SPACE}", text)


@lru_cache(maxsize=1)
def _encoder() -> UnicodeToLatexEncoder:
    from pylatexenc.latexencode import UnicodeToLatexEncoder

    return UnicodeToLatexEncoder(unknown_char_policy="replace", unknown_char_warning=False)


@lru_cache(maxsize=4096)
def latex(text: str) -> Markup:
    """Escape for LaTeX text mode; characters that pdfLaTeX's fonts lack become a bold question mark."""
    parts = re.split(f"([{''.join(TEX_SPACES)}])", text)
    encoded = "".join(TEX_SPACES.get(part) or _encoder().unicode_to_latex(part) for part in parts)
    return Markup(encoded.replace("--", "-{}-"))  # two hyphens are no dash


def typst(text: str) -> Markup:
    """Escape for Typst markup: every ASCII punctuation mark loses its meaning."""
    return Markup(ASCII_PUNCTUATION.sub(r"\\\1", text))


def typst_string(text: str) -> Markup:
    """A Typst string literal, quotes included."""
    return Markup('"' + plain(str(text)).replace("\\", "\\\\").replace('"', '\\"') + '"')


def breakable(text: str) -> str:
    """The text with places to break a line inside long names: after slashes, dots and hyphens between letters."""
    return re.sub(r"(?<=[A-Za-z0-9][/._-])(?=[A-Za-z])", "\N{ZERO WIDTH SPACE}", text)


def slug(name: str) -> Markup:
    """A name fit for labels and file names, e.g. ``level1/curves`` -> ``level1-curves``."""
    return Markup(re.sub(r"[^A-Za-z0-9-]+", "-", name).strip("-"))
