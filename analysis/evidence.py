"""What the analysis hands to the report, facts, findings, tables and figures, each with its runs, and who makes them.

A subject's functions say what they make by a decorator and are called with the results: ``facts`` and ``findings``
yield; ``table`` and ``figure`` return what has the function's name, or None while its runs are missing. One that makes
several yields each by name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from analysis import formats
from analysis.formats import Unit
from analysis.statistics.crossed import About
from study.experiment import Expectation

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

Verdict = Literal["supported", "contradicted", "equivalent", "inconclusive"]


@dataclass(frozen=True)
class Fact:
    """One number or name the paper prints.

    ``value`` is raw (accuracies and differences as fractions, times in the unit named), ``text``
    the printed form without markup, ``function`` the function that computed it and
    ``runs`` the names of the runs it came from.
    """

    name: str
    value: Any
    unit: Unit
    text: str
    function: str
    runs: tuple[str, ...]


@dataclass(frozen=True)
class Claim:
    """A finding as data: what its words must follow from.

    ``effect`` and its 95 % interval ``low`` to ``high``, of this test alone or joint in a smaller family, are raw,
    fractions where ``unit`` is "points" or "percent". ``p`` is two-sided, against ``null``, and ``p_equivalence``
    that of two one-sided tests against ``margin``, the smallest difference that matters; both are adjusted for the
    ``family`` of so many comparisons and None where they were not tested. ``n`` counts test images, ``seeds`` those
    that both sides have.
    """

    test: str
    about: About
    unit: Unit
    n: int
    seeds: int
    effect: float
    low: float
    high: float
    p: float | None
    verdict: Verdict
    runs: tuple[str, ...]
    expects: Expectation = "gain"
    null: float = 0.0
    margin: float | None = None
    p_equivalence: float | None = None
    family: int = 1


@dataclass(frozen=True)
class Finding:
    """One sentence of the paper that chose its words by its evidence; ``claim`` is the test it rests on, if any."""

    name: str
    sentence: str
    verdict: Verdict
    facts: tuple[str, ...]
    claim: Claim | None = None


@dataclass(frozen=True)
class Strip:
    """A small interval drawn in a table's cell, beside the cells that say it in numbers.

    All are fractions of the cell's width: the interval ``low`` to ``high``, its ``middle``, and where ``zero`` is.
    ``filled`` draws the middle solid, otherwise open.
    """

    low: float
    middle: float
    high: float
    zero: float
    filled: bool

    def __len__(self) -> int:
        """The width it takes, in characters."""
        return 16

    def __str__(self) -> str:
        """Nothing: what it draws stands in other cells."""
        return ""


@dataclass(frozen=True)
class Table:
    """A booktabs table: cells of plain text (the report escapes it) or a strip, alignment per column (l, r, c).

    A row of one cell heads the rows below it; the first ``leading`` cells of any other are its name. A ``dense`` table
    is set in smaller type, so that a row stays on a line.
    ``reads`` are keys of experiments that all of it rests on beside those that it names. ``origin`` is where its
    caption comes from, ``row_runs`` the runs behind each row; ``assemble`` finds both.
    """

    name: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str | Strip, ...], ...]
    align: str
    dense: bool = False
    reads: tuple[str, ...] = ()
    leading: int = 1
    origin: Origin | None = None
    row_runs: tuple[tuple[str, ...], ...] = ()

    @property
    def label(self) -> str:
        """What tells it from all other tables and figures."""
        return f"table/{self.name}"

    @cached_property
    def _names(self) -> tuple[list[str], list[str]]:
        """Rows by the names that lead them, columns by their heads; what comes again is counted."""
        return _distinct([", ".join(map(str, row[: self.leading])) for row in self.rows]), _distinct(self.header)

    def cell_name(self, row: int, column: int) -> str:
        """What the fact that a cell prints is called."""
        rows, columns = self._names
        return f"{self.label}/{rows[row]}/{columns[column]}"

    @property
    def facts(self) -> Iterator[Fact]:
        """The caption and every cell with a number as a fact, as far as their origin is known."""
        if self.origin:
            yield self.origin.text(f"caption/{self.label}", self.caption)
            for row, (cells, runs) in enumerate(zip(self.rows, self.row_runs, strict=True)):
                made = Origin(self.origin.computed_by, runs)
                for column, cell in enumerate(cells if len(cells) > 1 else ()):
                    if isinstance(cell, str) and any(map(str.isdigit, cell)):
                        yield made.text(self.cell_name(row, column), cell)


def _to_ten_digits(value: Any) -> Any:  # noqa: ANN401 - whatever JSON may hold
    if isinstance(value, list | tuple):
        return [_to_ten_digits(each) for each in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, each that was there before with its number in brackets."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} ({seen[name]})" if seen[name] > 1 else name)
    return numbered


@dataclass(frozen=True)
class Figure:
    """A figure drawn on demand: ``paint`` makes the matplotlib figure, as wide as the text.

    ``data`` holds what is drawn, by column, where it is numbers; ``fonts`` are families beside the style's, ``reads``
    keys of experiments that it rests on beside those that its caption names.
    """

    name: str
    caption: str
    paint: Callable[[], Canvas]
    alt: str
    data: Mapping[str, Sequence[object]] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    origin: Origin | None = None
    fonts: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What tells it from all other tables and figures."""
        return f"figure/{self.name}"

    @property
    def facts(self) -> Iterator[Fact]:
        """The caption as a fact, if its origin is known."""
        if self.origin:
            yield self.origin.text(f"caption/{self.label}", self.caption)

    def draw(self) -> Canvas:
        """The matplotlib figure in the paper's style."""
        from analysis import style

        with style.paper(self.fonts):
            return style.mend(self.paint())


@dataclass(frozen=True)
class Evidence:
    """Everything the paper may say, looked up by name; a missing name is pending, never invented.

    ``failed`` names those of the pending runs that failed.
    """

    facts: dict[str, Fact] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    pending: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


MAKES = "makes"  # the attribute that a decorator leaves
Maker = TypeVar("Maker", bound=Callable[..., Any])


def _marking(what: str) -> Callable[[Maker], Maker]:
    def mark(maker: Maker) -> Maker:
        setattr(maker, MAKES, what)
        return maker

    return mark


facts, findings, table, figure = (_marking(what) for what in ("facts", "findings", "table", "figure"))


@dataclass(frozen=True)
class Origin:
    """Makes the facts of one function or property from some runs: values kept raw, texts as printed.

    One that must not be imported is given by its full name.
    """

    computed_by: Callable[..., Any] | str
    runs: tuple[str, ...] = ()

    @property
    def function(self) -> str:
        """The function's full name."""
        made = getattr(self.computed_by, "fget", self.computed_by)  # a property's function
        return made if isinstance(made, str) else f"{made.__module__}.{made.__qualname__}"

    def fact(self, name: str, value: Any, unit: Unit, text: str) -> Fact:  # noqa: ANN401 - whatever JSON may hold
        """A fact in any unit, its numbers to ten digits: sums differ in their last with the number of threads."""
        return Fact(name, _to_ten_digits(value), unit, text, self.function, self.runs)

    def text(self, name: str, text: str) -> Fact:
        """A name or a part of a sentence."""
        return self.fact(name, text, "text", text)

    def count(self, name: str, number: int) -> Fact:
        """A whole number."""
        return self.fact(name, int(number), "count", formats.count(number))

    def number(self, name: str, value: float, digits: int = 3) -> Fact:
        """A dimensionless score."""
        return self.fact(name, float(value), "number", formats.decimal(value, digits))

    def percent(self, name: str, fraction: float) -> Fact:
        """A fraction that prints in percent."""
        return self.fact(name, float(fraction), "percent", f"{formats.percent(fraction)} %")

    def points(self, name: str, fraction: float) -> Fact:
        """A difference of fractions that prints in percentage points."""
        return self.fact(name, float(fraction), "points", f"{formats.points(fraction)} points")

    def interval(self, name: str, low: float, high: float) -> Fact:
        """Both bounds of a proportion's interval."""
        return self.fact(name, [low, high], "percent", f"{formats.percent_interval(low, high)} %")

    def milliseconds(self, name: str, value: float) -> Fact:
        """A latency."""
        return self.fact(name, float(value), "milliseconds", f"{formats.decimal(value)} ms")

    def megabytes(self, name: str, size: float, digits: int = 2) -> Fact:
        """Bytes that print in units of 10⁶ bytes."""
        return self.fact(name, size / 1e6, "megabytes", f"{formats.decimal(size / 1e6, digits)} MB")

    def duration(self, name: str, seconds: float) -> Fact:
        """A time in the unit a reader would choose."""
        return self.fact(name, *formats.duration(seconds))
