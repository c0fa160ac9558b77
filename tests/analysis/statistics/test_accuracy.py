import numpy as np
import pytest

from analysis.statistics.comparison import summarise
from study.errors import StudyError
from study.metrics.intervals import wilson
from tests.outcomes import predictions_with


def test_one_seed_has_a_wilson_interval_and_no_deviation() -> None:
    accuracy = summarise([predictions_with([True] * 8 + [False] * 2)])
    expected = wilson(8, 10)
    assert accuracy.mean == pytest.approx(0.8)
    assert (accuracy.sd, accuracy.seeds) == (None, 1)
    assert (accuracy.low, accuracy.high) == (expected.low, expected.high)


def test_several_seeds_vary_between_seeds() -> None:
    seeds = [predictions_with(np.arange(100) < hits) for hits in (90, 92, 94)]
    accuracy = summarise(seeds)
    half = 4.302653 * 0.02 / 3**0.5  # t(0.975, 2 degrees of freedom) × sd / sqrt(seeds)
    assert accuracy.mean == pytest.approx(0.92)
    assert accuracy.sd == pytest.approx(0.02)
    assert (accuracy.low, accuracy.high) == pytest.approx((0.92 - half, 0.92 + half), abs=1e-6)
    assert accuracy.seeds == 3


def test_interval_stays_within_possible_accuracies() -> None:
    accuracy = summarise([predictions_with([True] * 10), predictions_with([True] * 8 + [False] * 2)])
    assert accuracy.high == 1.0
    assert accuracy.low == 0.0


def test_nothing_to_summarise_is_refused() -> None:
    with pytest.raises(StudyError, match="no predictions"):
        summarise([])
