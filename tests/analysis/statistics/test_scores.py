"""Intervals of scores that are no plain proportions, against brute force and scipy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.scores import (
    aurc_values,
    auroc_values,
    calibration_values,
    image_interval,
    image_test,
    rank_interval,
)
from study.metrics.calibration import expected_calibration_error
from study.metrics.uncertainty import aurc, error_auroc

Score = Callable[[np.ndarray, np.ndarray], float]


def _images(count: int, seed: int = 0, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores = rng.random(count)
    correct = rng.random(count) > 0.2 + 0.5 * scores
    return (scores.round(1) if ties else scores), correct


def _jackknife(score: Score, scores: np.ndarray, correct: np.ndarray) -> np.ndarray:
    n = len(scores)
    without = [score(np.delete(scores, i), np.delete(correct, i)) for i in range(n)]
    return n * score(scores, correct) - (n - 1) * np.array(without)


@pytest.mark.parametrize("ties", [False, True])
def test_pseudo_values_of_auroc_are_those_of_leaving_each_image_out(ties: bool) -> None:
    scores, correct = _images(40, ties=ties)
    np.testing.assert_allclose(auroc_values(scores, correct), _jackknife(error_auroc, scores, correct))


def test_pseudo_values_of_aurc_are_those_of_leaving_each_image_out() -> None:
    scores, correct = _images(40)
    np.testing.assert_allclose(aurc_values(scores, correct), _jackknife(aurc, scores, correct))


def test_images_of_equal_uncertainty_leave_the_mean_of_aurc_values_near_the_area() -> None:
    scores, correct = _images(400, ties=True)
    assert aurc_values(scores, correct).mean() == pytest.approx(aurc(scores, correct), abs=0.005)


def test_interval_of_auroc_agrees_with_scipys_bootstrap() -> None:
    scores, correct = _images(300)
    found = image_interval(auroc_values(scores, correct))
    options = {"paired": True, "vectorized": False, "n_resamples": 999, "method": "percentile"}
    resampled = stats.bootstrap((scores, correct), error_auroc, rng=np.random.default_rng(1), **options)
    assert found.low == pytest.approx(resampled.confidence_interval.low, abs=0.012)
    assert found.high == pytest.approx(resampled.confidence_interval.high, abs=0.012)


def test_auroc_without_two_errors_has_no_interval() -> None:
    assert math.isnan(image_interval(auroc_values(np.arange(4.0), np.array([True, True, True, False]))).low)


def test_mean_of_calibration_values_is_the_calibration_error() -> None:
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(4), 200), rng.integers(4, size=200)
    assert calibration_values(probs, labels).mean() == pytest.approx(expected_calibration_error(probs, labels))


def test_image_interval_is_normal_and_averages_seeds_first() -> None:
    values = np.array([[1.0, 3.0, 5.0], [3.0, 5.0, 7.0]])  # means 2, 4, 6 with standard deviation 2
    found = image_interval(values)
    half = 1.959964 * 2 / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((4 - half, 4 + half), abs=1e-5)


def test_image_test_is_a_z_test() -> None:
    found = image_test(np.array([1.0, 3.0, 5.0, -1.0]))
    z = 2 / (stats.tstd([1, 3, 5, -1]) / 2)
    assert found.p == pytest.approx(2 * stats.norm.sf(z))


def test_no_difference_at_all_is_no_evidence() -> None:
    assert image_test(np.zeros(5)).p == 1.0


def test_rank_interval_is_fishers_with_bonett_and_wrights_variance() -> None:
    found = rank_interval(0.5, 103)
    half = 1.959964 * math.sqrt(1.125 / 100)
    assert (found.low, found.high) == pytest.approx(
        (math.tanh(math.atanh(0.5) - half), math.tanh(math.atanh(0.5) + half))
    )
    assert math.isnan(rank_interval(math.nan, 100).low)
