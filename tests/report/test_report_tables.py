"""Which columns of a wide table wrap."""

from __future__ import annotations

import pytest

from analysis.evidence import Table
from report.tables import wrapping_columns


def _table(align: str, *widths: int) -> Table:
    return Table("t", "", tuple("h" for _ in widths), (tuple("x" * width for width in widths),), align)


def test_a_table_that_fits_wraps_nothing() -> None:
    assert wrapping_columns(_table("lr", 80, 10)) == {}


def test_a_table_one_character_too_wide_wraps_its_long_texts() -> None:
    assert wrapping_columns(_table("llr", 31, 40, 18)) == {0: 31 / 89, 1: 40 / 89}
    assert wrapping_columns(_table("llr", 18, 60, 11)) == {1: 40 / 69}


@pytest.mark.parametrize("align", ["rrr", "lrr"])
def test_numbers_and_short_texts_never_wrap(align: str) -> None:
    assert wrapping_columns(_table(align, 18, 40, 40)) == {}


def test_a_table_across_pages_is_always_as_wide_as_the_page() -> None:
    assert wrapping_columns(_table("lrll", 30, 5, 10, 500), long=True) == {0: 30 / 85, 3: 40 / 85}
    assert wrapping_columns(_table("lr", 30, 10), long=True) == {0: 0.75}
