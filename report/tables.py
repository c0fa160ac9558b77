"""How wide a table sets, judged by its longest cells."""

from __future__ import annotations

from analysis.evidence import Table

LINE = 92  # characters of table text that fit a line
GAP = 2  # characters between two columns
LONG = 18  # a column of shorter texts gains nothing by wrapping


def wrapped_column(table: Table) -> int | None:
    """The text column whose cells must wrap for the table to fit a line; None when none must or can."""
    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
    if sum(widths) + GAP * (len(widths) - 1) <= LINE:
        return None
    texts = [number for number, align in enumerate(table.align) if align == "l" and widths[number] > LONG]
    return max(texts, key=lambda number: widths[number], default=None)
