"""Which column of a wide table wraps."""

from __future__ import annotations

import pytest

from analysis.evidence import Table
from report.tables import stretching_columns, wrapped_column


def _table(align: str, *widths: int) -> Table:
    return Table("t", "", tuple("h" for _ in widths), (tuple("x" * width for width in widths),), align)


def test_a_table_that_fits_wraps_nothing() -> None:
    assert wrapped_column(_table("lr", 80, 10)) is None


def test_a_table_one_character_too_wide_wraps_its_longest_text() -> None:
    assert wrapped_column(_table("llr", 31, 40, 18)) == 1


@pytest.mark.parametrize("align", ["rrr", "lrr"])
def test_numbers_and_short_texts_never_wrap(align: str) -> None:
    assert wrapped_column(_table(align, 18, 40, 40)) is None


def test_long_texts_share_what_the_rest_of_a_long_table_leaves() -> None:
    assert stretching_columns(_table("lrll", 30, 5, 10, 500)) == {0: 30 / 85, 3: 40 / 85}
    assert stretching_columns(_table("lr", 18, 40)) == {}
