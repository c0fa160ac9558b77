"""Which characters can be printed: by the font that comes with matplotlib, else by one that is installed here.

What no font has is printed as its code in brackets, never as an empty box.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from itertools import groupby
from pathlib import Path

BASE = "DejaVu Sans"
# Matplotlib's mathematical fonts have places of their own for characters, and its last resort draws boxes.
NO_TEXT = re.compile(r"(cm[a-z]+10|STIX.*|Last ?Resort.*|DejaVu Math.*)$")
RIGHT_TO_LEFT = ("R", "AL")
CONTROLS = ("Cc", "Cs", "Zl", "Zp")
DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they turn all that follows


def plain(text: str) -> str:
    """One line of printable text: control characters, lone surrogates and what ends lines or turns them are spaces.

    Letters and their accents are one character where there is one; characters that Unicode does not know, or leaves to
    private use, have their codes.
    """
    kept = (" " if unicodedata.category(c) in CONTROLS or c in DIRECTIONS else c for c in text)
    text = unicodedata.normalize("NFC", "".join(kept))
    return marked(text, lambda c: unicodedata.category(c) not in ("Cn", "Co"))


def marked(text: str, printable: Callable[[str], bool]) -> str:
    """The text with each stretch of characters that are not ``printable`` as their codes.

    >>> marked("a\\N{CJK UNIFIED IDEOGRAPH-4E2D}b", str.isascii)
    'a[U+4E2D]b'
    """
    stretches = ((shown, "".join(each)) for shown, each in groupby(text, printable))
    return "".join(each if shown else f"[{' '.join(f'U+{ord(c):04X}' for c in each)}]" for shown, each in stretches)


def legible(text: str) -> str:
    """The text as typesetting with all fonts at hand can show it."""
    return marked(text, lambda character: font_of(character) is not None)


def drawable(text: str) -> str:
    """The text as matplotlib can draw it, which takes two dollar signs for formulas and, up to 3.10, knows no bidi."""
    from matplotlib import ft2font

    shapes = hasattr(ft2font, "__libraqm_version__")

    def printable(character: str) -> bool:
        ordered = shapes or unicodedata.bidirectional(character) not in RIGHT_TO_LEFT
        return ordered and font_of(character) is not None

    return marked(plain(text), printable).replace("$", r"\$")


def families(texts: Iterable[str]) -> tuple[str, ...]:
    """The fonts, beside the base, that these texts need, as far as there are any."""
    found = {font_of(character) for character in set().union(*texts)}
    return tuple(sorted(font for font in found if font and font != BASE))


def folders(texts: Iterable[str]) -> list[str]:
    """Where the base font and those that these texts need lie."""
    files = _files()
    return sorted({str(Path(files[family]).parent) for family in (BASE, *families(texts))})


@cache
def font_of(character: str) -> str | None:
    """The family that has the character, the base where it can; None where no font has it."""
    code = ord(character)
    if character.isascii() or code in _characters(BASE) or unicodedata.category(character) in ("Cf", "Zs"):
        return BASE
    return next((family for family in sorted(_files()) if code in _characters(family)), None)


@cache
def _files() -> dict[str, str]:
    """The file of each family, its upright cut, for text."""
    from matplotlib import font_manager

    upright = [f for f in font_manager.fontManager.ttflist if f.style == "normal" and f.weight in (400, "normal", 500)]
    named = {font.name: font.fname for font in sorted(upright, key=lambda font: font.fname, reverse=True)}
    files = {family: file for family, file in named.items() if not NO_TEXT.match(family)}
    return files | {BASE: font_manager.findfont(BASE, fallback_to_default=False)}


@cache
def _characters(family: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(_files()[family]).get_charmap())
    except (RuntimeError, OSError):  # a font that FreeType cannot read is of no use
        return frozenset()
