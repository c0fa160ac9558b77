"""How wide a table sets, judged by its longest cells."""

from __future__ import annotations

from analysis.evidence import Table

LINE = 92  # characters of table text that fit a line
GAP = 2  # characters between two columns
LONG = 18  # a column of shorter texts gains nothing by wrapping
WIDEST = 40  # characters that a column of a long table may claim


def wrapped_column(table: Table) -> int | None:
    """The text column whose cells must wrap for the table to fit a line; None when none must or can."""
    widths = _widths(table)
    if sum(widths) + GAP * (len(widths) - 1) <= LINE:
        return None
    texts = [number for number, align in enumerate(table.align) if align == "l" and widths[number] > LONG]
    return max(texts, key=lambda number: widths[number], default=None)


def stretching_columns(table: Table) -> dict[int, float]:
    """The text columns of a table across pages that share the width left by the others, with the share each has.

    The shares are of the whole width, judged by the columns' longest cells.
    """
    claims = [min(width, WIDEST) for width in _widths(table)]
    texts = [number for number, align in enumerate(table.align) if align == "l" and claims[number] > LONG]
    return {number: claims[number] / sum(claims) for number in texts}


def _widths(table: Table) -> list[int]:
    """Characters of each column's longest cell."""
    return [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
