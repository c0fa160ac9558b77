import numpy as np
import pytest
from scipy import stats

from analysis.statistics.comparison import summarise
from analysis.statistics.crossed import MeanSquares, over_recipes
from study.metrics.intervals import wilson
from tests.outcomes import predictions_with


def test_one_seed_has_a_wilson_interval_and_no_deviation() -> None:
    accuracy = summarise([predictions_with([True] * 8 + [False] * 2)])
    expected = wilson(8, 10)
    assert accuracy.mean == pytest.approx(0.8)
    assert (accuracy.sd, accuracy.seeds) == (None, 1)
    assert (accuracy.low, accuracy.high) == (expected.low, expected.high)


def test_several_seeds_vary_with_seeds_and_images() -> None:
    """The variance of a crossed mean, as that of a proportion of fewer images (Korn & Graubard)."""
    seeds = [predictions_with(np.roll(np.arange(100) < hits, hits)) for hits in (85, 92, 94)]
    accuracy = summarise(seeds)
    squares = MeanSquares.of(np.stack([each.correct for each in seeds]))
    estimate = over_recipes(squares, squares.own)
    t, z = stats.t.ppf(0.975, estimate.degrees), stats.norm.ppf(0.975)
    mean = (0.85 + 0.92 + 0.94) / 3
    effective = mean * (1 - mean) / (estimate.standard_error * t / z) ** 2
    expected = wilson(mean * effective, effective)
    assert accuracy.mean == pytest.approx(mean)
    assert accuracy.sd == pytest.approx(np.std([0.85, 0.92, 0.94], ddof=1))
    assert (accuracy.low, accuracy.high) == pytest.approx((expected.low, expected.high))
    assert (accuracy.seeds, accuracy.images) == (3, 100)


def test_more_seeds_do_not_make_more_images() -> None:
    """The same network three times knows no more of other images than once."""
    once, thrice = (summarise([predictions_with(np.arange(100) < 92)] * seeds) for seeds in (1, 3))
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), abs=2e-3)


def test_interval_stays_within_possible_accuracies() -> None:
    accuracy = summarise([predictions_with([True] * 10), predictions_with([True] * 8 + [False] * 2)])
    assert 0.0 < accuracy.low < accuracy.high <= 1.0
    perfect = summarise([predictions_with([True] * 10)] * 3)
    assert (perfect.low, perfect.high) == pytest.approx((wilson(10, 10).low, 1.0))
