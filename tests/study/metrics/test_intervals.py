"""Intervals against SciPy and statsmodels."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binomtest
from statsmodels.stats.weightstats import DescrStatsW

from study.errors import StudyError
from study.metrics.intervals import rank_correlation, student, wilson


@pytest.mark.parametrize(("correct", "total"), [(0, 10), (7, 10), (10, 10), (9134, 10_000)])
def test_wilson_agrees_with_scipy(correct: int, total: int) -> None:
    expected = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    interval = wilson(correct, total)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_holds_the_share_itself_where_nothing_or_everything_is_right() -> None:
    for total in range(1, 400):
        assert wilson(total, total).high == 1 and wilson(0, total).low == 0


def test_wilson_narrows_at_a_lower_level() -> None:
    wide, narrow = wilson(70, 100, 0.95), wilson(70, 100, 0.80)
    assert wide.low < narrow.low < 0.7 < narrow.high < wide.high


def test_wilson_of_no_images_is_refused() -> None:
    with pytest.raises(StudyError, match="at least one image"):
        wilson(0, 0)


def test_student_agrees_with_statsmodels() -> None:
    values = [0.912, 0.915, 0.909, 0.917]
    interval = student(values, 0.9)
    assert (interval.low, interval.high) == pytest.approx(DescrStatsW(values).tconfint_mean(alpha=0.1))


def test_interval_of_a_rank_correlation_is_fishers_with_bonett_and_wrights_variance() -> None:
    found, half = rank_correlation(0.5, 103), 1.959964 * math.sqrt(1.125 / 100)
    expected = math.tanh(math.atanh(0.5) - half), math.tanh(math.atanh(0.5) + half)
    assert (found.low, found.high) == pytest.approx(expected)


def test_a_correlation_that_is_none_has_no_interval() -> None:
    assert math.isnan(rank_correlation(math.nan, 100).low)
