"""Scores of uncertainty against SciPy, scikit-learn and arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from study.metrics.uncertainty import (
    aurc,
    entropy,
    mutual_information,
    of_samples,
    predictive_entropy,
    risk_coverage,
)


def sample(images: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Uncertainties, many of them tied, and errors that grow likelier with them."""
    rng = np.random.default_rng(11)
    scores = rng.random(images).round(1)
    return scores, rng.random(images) > scores * 0.6


def test_entropy_agrees_with_scipy_for_any_leading_shape() -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(5), size=(3, 4))
    assert entropy(probs) == pytest.approx(stats.entropy(probs, axis=-1))


def test_entropy_runs_from_certainty_to_uniform() -> None:
    assert entropy(np.array([[1.0, 0, 0, 0], [0.25] * 4])) == pytest.approx([0, np.log(4)])


def test_risk_at_full_coverage_is_the_error_rate() -> None:
    scores, correct = sample()
    coverage, risk = risk_coverage(scores, correct)
    assert coverage[[0, -1]].tolist() == pytest.approx([1 / 300, 1])
    assert risk[-1] == pytest.approx(1 - correct.mean())


def test_risk_coverage_accepts_the_least_uncertain_first() -> None:
    _, risk = risk_coverage(np.array([0.9, 0.1, 0.5, 0.7]), np.array([False, True, True, False]))
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 4])


def test_tied_uncertainties_share_their_risk_in_any_order() -> None:
    scores, correct = sample()
    order = np.random.default_rng(2).permutation(300)
    (_, risk), (_, shuffled) = risk_coverage(scores, correct), risk_coverage(scores[order], correct[order])
    assert shuffled == pytest.approx(risk)


def test_aurc_is_the_expectation_over_orders_of_tied_images() -> None:
    scores, correct = sample(40)
    rng = np.random.default_rng(4)
    areas = []
    for _ in range(2000):
        order = np.lexsort([rng.random(40), scores])
        areas.append(np.mean(np.cumsum(~correct[order]) / np.arange(1, 41)))
    assert aurc(scores, correct) == pytest.approx(np.mean(areas), abs=0.002)


def test_aurc_of_a_constant_score_is_the_error_rate() -> None:
    _, correct = sample()
    assert aurc(np.zeros(300), correct) == pytest.approx(1 - correct.mean())


def test_aurc_of_a_perfect_score_is_as_low_as_possible() -> None:
    correct = np.arange(10) < 8
    assert aurc(np.arange(10), correct) == pytest.approx((1 / 9 + 2 / 10) / 10)


def test_predictive_entropy_is_that_of_the_mean() -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(4), size=(3, 5))
    np.testing.assert_allclose(predictive_entropy(probs), stats.entropy(probs.mean(axis=0), axis=1))
    uniform = np.full((2, 1, 10), 0.1, dtype=np.float32)
    assert predictive_entropy(uniform) == pytest.approx(np.log(10))


def test_mutual_information_is_zero_without_disagreement_and_log_two_for_two_certain_opposites() -> None:
    agreeing = np.tile([0.7, 0.2, 0.1], (4, 1, 1))
    assert mutual_information(agreeing) == pytest.approx(0, abs=1e-12)
    opposed = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    assert mutual_information(opposed) == pytest.approx(np.log(2))


def test_mutual_information_is_the_mean_divergence_from_the_mean() -> None:
    members = np.random.default_rng(1).dirichlet(np.ones(4), size=(6, 20))
    divergences = [stats.entropy(member, members.mean(axis=0), axis=-1) for member in members]
    assert mutual_information(members) == pytest.approx(np.mean(divergences, axis=0))


def test_samples_are_recorded_under_the_split_they_are_of() -> None:
    probs = np.random.default_rng(2).dirichlet(np.ones(4), size=(3, 5))
    named = of_samples("ood", probs)
    assert set(named) == {"ood_entropy", "ood_mutual_information"}
    np.testing.assert_array_equal(named["ood_entropy"], predictive_entropy(probs))
    np.testing.assert_array_equal(named["ood_mutual_information"], mutual_information(probs))
