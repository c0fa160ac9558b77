"""How wide a table sets, judged by its longest cells."""

from __future__ import annotations

from analysis.evidence import Table

LINE = 92  # characters of table text that fit a line
GAP = 2  # characters between two columns
LONG = 18  # a column of shorter texts gains nothing by wrapping
WIDEST = 40  # characters that a wrapping column may claim


def wrapping_columns(table: Table, long: bool = False) -> dict[int, float]:
    """The text columns whose cells wrap, each with its share of the table's width.

    None where the table fits a line, unless it is a ``long`` one that may break across pages, in smaller type.
    """
    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]
    if not long and sum(widths) + GAP * (len(widths) - 1) <= LINE:
        return {}
    claims = [min(width, WIDEST) for width in widths]
    texts = [number for number, align in enumerate(table.align) if align == "l" and claims[number] > LONG]
    return {number: claims[number] / sum(claims) for number in texts}
