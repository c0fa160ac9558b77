"""Facts by unit: the value kept raw, the text as it prints."""

from __future__ import annotations

from analysis import formats
from analysis.evidence import Fact

Runs = tuple[str, ...]


def text_fact(name: str, text: str, function: str, runs: Runs = ()) -> Fact:
    """A fact that is a name or a sentence part."""
    return Fact(name, text, "text", text, function, runs)


def count_fact(name: str, number: int, function: str, runs: Runs = ()) -> Fact:
    """A whole number."""
    return Fact(name, int(number), "count", formats.count(number), function, runs)


def number_fact(name: str, value: float, function: str, runs: Runs = (), digits: int = 3) -> Fact:
    """A dimensionless score."""
    return Fact(name, float(value), "number", formats.decimal(value, digits), function, runs)


def percent_fact(name: str, fraction: float, function: str, runs: Runs = ()) -> Fact:
    """A fraction that prints in percent."""
    return Fact(name, float(fraction), "percent", f"{formats.percent(fraction)} %", function, runs)


def points_fact(name: str, fraction: float, function: str, runs: Runs = ()) -> Fact:
    """A difference of fractions that prints in percentage points."""
    return Fact(name, float(fraction), "points", f"{formats.points(fraction)} points", function, runs)


def interval_fact(name: str, low: float, high: float, function: str, runs: Runs = ()) -> Fact:
    """Both bounds of a proportion's interval."""
    return Fact(name, [low, high], "percent", f"{formats.percent_interval(low, high)} %", function, runs)


def milliseconds_fact(name: str, value: float, function: str, runs: Runs = ()) -> Fact:
    """A latency."""
    return Fact(name, float(value), "milliseconds", f"{formats.decimal(value)} ms", function, runs)
