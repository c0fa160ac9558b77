"""How numbers print: one place, so that the same number never prints in two ways."""

from __future__ import annotations

import math
from typing import Literal

Unit = Literal[
    "percent", "points", "p", "seconds", "milliseconds", "megabytes", "count", "number", "text", "minutes", "hours"
]

MINUS = "\N{MINUS SIGN}"
MISSING = "\N{EN DASH}"


def decimal(value: float, digits: int = 2) -> str:
    """Fixed number of decimals with a true minus sign; a rounded zero carries no sign.

    >>> decimal(-0.001), decimal(-1.5)
    ('0.00', '−1.50')
    """
    if math.isnan(value):
        return MISSING
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)


def signed(value: float, digits: int = 2) -> str:
    """Like ``decimal`` with a plus sign before positive numbers.

    >>> signed(0.84), signed(0.0)
    ('+0.84', '0.00')
    """
    text = decimal(value, digits)
    return f"+{text}" if value > 0 and text != decimal(0, digits) else text


def percent(fraction: float) -> str:
    """A fraction as a percentage without its sign, for cells under a % head.

    >>> percent(0.91337)
    '91.34'
    """
    return decimal(100 * fraction)


def percent_interval(low: float, high: float) -> str:
    """Bounds (fractions) of an interval in percent, without the % sign."""
    return f"{percent(low)} to {percent(high)}"


def points(fraction: float) -> str:
    """A difference of fractions in percentage points with its sign, without the word.

    >>> points(-0.0084)
    '−0.84'
    """
    return signed(100 * fraction)


def points_interval(low: float, high: float) -> str:
    """Bounds (fractions) of a difference in percentage points, without the word."""
    return f"{points(low)} to {points(high)}"


def p_value(p: float) -> str:
    """Two significant digits, or that it is below 0.001.

    >>> p_value(0.0123), p_value(0.5), p_value(0.0002)
    ('0.012', '0.50', '< 0.001')
    """
    if math.isnan(p):
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:#.2g}"


def p_phrase(p: float, which: str = "p") -> str:
    """``p_value`` as it stands in a sentence.

    >>> p_phrase(0.5), p_phrase(0.0)
    ('p = 0.50', 'p < 0.001')
    """
    text = p_value(p)
    return f"{which} {text}" if text.startswith("<") else f"{which} = {text}"


def count(number: float) -> str:
    """A whole number with thousands separators."""
    return f"{round(number):,}"


def plural(number: int, noun: str, many: str = "") -> str:
    """A count and its noun, whose plural may be given.

    >>> plural(1, "seed"), plural(3, "seed"), plural(2, "class", "classes")
    ('1 seed', '3 seeds', '2 classes')
    """
    return f"{count(number)} {noun if number == 1 else many or noun + 's'}"


def sentence_case(words: str) -> str:
    """The words as a sentence begins with them.

    >>> sentence_case("the full recipe"), sentence_case("MixUp")
    ('The full recipe', 'MixUp')
    """
    return words[:1].upper() + words[1:]


def margin(value: float, half: float, digits: int = 2) -> str:
    """A value and the half-width of its interval, for cells whose head says so.

    >>> margin(3.1415, 0.2)
    '3.14 ± 0.20'
    """
    return MISSING if math.isnan(value) else f"{decimal(value, digits)} ± {decimal(half, digits)}"


def quantity(number: float) -> str:
    """A large count in thousands (k) or millions (M), three significant digits.

    >>> quantity(3_412_000), quantity(999_600), quantity(27_100), quantity(12)
    ('3.41 M', '1.00 M', '27.1 k', '12')
    """
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if float(f"{number:.3g}") >= size:
            return f"{number / size:#.3g}".rstrip(".") + f" {suffix}"
    return f"{number:g}"


def duration(seconds: float) -> tuple[float, Unit, str]:
    """A duration in the unit a reader would choose: value, unit and printed text.

    >>> duration(5400)
    (1.5, 'hours', '1.5 h')
    """
    units: tuple[tuple[float, Unit, str], ...] = ((3600, "hours", "h"), (60, "minutes", "min"), (1, "seconds", "s"))
    size, unit, symbol = next((each for each in units if seconds >= each[0]), units[-1])
    return seconds / size, unit, f"{decimal(seconds / size, 1)} {symbol}"


def number(value: float) -> str:
    """A dimensionless score with three decimals."""
    return decimal(value, 3)


def setting(value: float) -> str:
    """A recipe's number as short as it can be written exactly.

    >>> setting(0.001), setting(5e-4), setting(15.0)
    ('0.001', '0.0005', '15')
    """
    return f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 1 else f"{value:g}"


def listing(names: list[str], last: str = "and") -> str:
    """Names joined as in a sentence, ``last`` before the last one.

    >>> listing(["a", "b", "c"])
    'a, b and c'
    """
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else ""
