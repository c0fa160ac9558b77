"""Which column of a wide table wraps."""

from __future__ import annotations

import pytest

from analysis.evidence import Table
from report.tables import wrapped_column


def _table(align: str, *widths: int) -> Table:
    return Table("t", "", tuple("h" for _ in widths), (tuple("x" * width for width in widths),), align)


def test_a_table_that_fits_wraps_nothing() -> None:
    assert wrapped_column(_table("lr", 80, 10)) is None


def test_a_table_one_character_too_wide_wraps_its_longest_text() -> None:
    assert wrapped_column(_table("llr", 31, 40, 18)) == 1


@pytest.mark.parametrize("align", ["rrr", "lrr"])
def test_numbers_and_short_texts_never_wrap(align: str) -> None:
    assert wrapped_column(_table(align, 18, 40, 40)) is None
