"""What the analysis hands to the report: facts, findings, tables and figures, each with its runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from matplotlib.figure import Figure as Canvas

Unit = Literal[
    "percent", "points", "p", "seconds", "milliseconds", "megabytes", "count", "number", "text", "minutes", "hours"
]
Verdict = Literal["supported", "inconclusive", "contradicted"]


@dataclass(frozen=True)
class Fact:
    """One number or name the paper prints.

    ``value`` is raw (accuracies and differences as fractions, times in the unit named), ``text``
    the printed form without markup, ``function`` the analysis function that computed it and
    ``runs`` the names of the runs it came from.
    """

    name: str
    value: Any
    unit: Unit
    text: str
    function: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One sentence of the paper that chose its words by its evidence."""

    name: str
    sentence: str
    verdict: Verdict
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A booktabs table: plain-text cells (the report escapes them), alignment per column (l, r, c)."""

    name: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str
    note: str = ""
    best: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Figure:
    """A figure drawn on demand: ``draw`` returns the matplotlib figure, ``width`` is a fraction of the text width."""

    name: str
    caption: str
    draw: Callable[[], Canvas]
    alt: str
    width: float = 1.0


@dataclass(frozen=True)
class Evidence:
    """Everything the paper may say, looked up by name; a missing name is pending, never invented."""

    facts: dict[str, Fact] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    pending: tuple[str, ...] = ()
