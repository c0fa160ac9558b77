import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.weightstats import DescrStatsW

from analysis.statistics.accuracy import student, summarise, wilson
from study.errors import StudyError
from tests.outcomes import predictions_with


@pytest.mark.parametrize(("correct", "total"), [(0, 10), (7, 10), (10, 10), (9134, 10_000)])
def test_wilson_agrees_with_scipy(correct: int, total: int) -> None:
    expected = binomtest(correct, total).proportion_ci(0.95, method="wilson")
    interval = wilson(correct, total)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


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


def test_one_seed_has_a_wilson_interval_and_no_deviation() -> None:
    accuracy = summarise([predictions_with([True] * 8 + [False] * 2)])
    expected = wilson(8, 10)
    assert accuracy.mean == pytest.approx(0.8)
    assert (accuracy.sd, accuracy.seeds, accuracy.images) == (None, 1, 10)
    assert (accuracy.low, accuracy.high) == (expected.low, expected.high)


def test_several_seeds_vary_between_seeds() -> None:
    seeds = [predictions_with(np.arange(100) < hits) for hits in (90, 92, 94)]
    accuracy = summarise(seeds)
    half = 4.302653 * 0.02 / 3**0.5  # t(0.975, 2 degrees of freedom) × sd / sqrt(seeds)
    assert accuracy.mean == pytest.approx(0.92)
    assert accuracy.sd == pytest.approx(0.02)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.92 - half, 0.92 + half), abs=1e-6)
    assert (accuracy.seeds, accuracy.images) == (3, 100)


def test_interval_stays_within_possible_accuracies() -> None:
    accuracy = summarise([predictions_with([True] * 10), predictions_with([True] * 8 + [False] * 2)])
    assert accuracy.high == 1.0
    assert accuracy.low == 0.0


def test_nothing_to_summarise_is_refused() -> None:
    with pytest.raises(StudyError, match="no predictions"):
        summarise([])
