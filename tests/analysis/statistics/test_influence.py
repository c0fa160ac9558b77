"""Contributions of images to scores: their mean is the score, their spread is how it varies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from analysis.statistics import influence
from analysis.statistics.crossed import estimate_of
from analysis.statistics.trust import ece_interval
from study.metrics.calibration import expected_calibration_error, fit_temperature
from study.metrics.uncertainty import aurc

IMAGES = 600


def scored(rng: np.random.Generator, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Uncertainties (N,) and whether predictions are right (N,)."""
    scores = rng.normal(size=IMAGES)
    correct = rng.random(IMAGES) > 0.3 / (1 + np.exp(-2 * scores))
    return (scores.round(1) if ties else scores), correct


def classified(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, 3) that are twice as sure as they should be, and labels (N,)."""
    logits = rng.normal(0, 2, (IMAGES, 3))
    return logits, rng.multinomial(1, softmax(logits / 2, axis=1)).argmax(axis=1)


def believed(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Their probabilities (N, 3), and labels (N,)."""
    logits, labels = classified(rng)
    return softmax(logits, axis=1), labels


@pytest.mark.parametrize("ties", [False, True])
def test_mean_contribution_is_the_score(ties: bool) -> None:
    rng = np.random.default_rng(0)
    scores, correct = scored(rng, ties)
    assert influence.of_aurc(scores, correct).mean() == pytest.approx(aurc(scores, correct))
    assert influence.of_auroc(scores, ~correct).mean() == pytest.approx(roc_auc_score(~correct, scores))
    logits, labels = classified(rng)
    probs = softmax(logits, axis=1)
    assert influence.of_ece(probs, labels).mean() == pytest.approx(expected_calibration_error(probs, labels))
    fitted = influence.of_log_temperature(logits, labels).mean()
    assert fitted == pytest.approx(np.log(fit_temperature(logits, labels)))


def test_chance_explains_the_calibration_error_of_few_images() -> None:
    """A bin of 100 images, each 80 % sure: with 80 right nothing but noise is seen, with 60 right a gap of 0.2."""
    probs = np.tile([0.8, 0.2], (100, 1))
    noise = np.sqrt(0.8 * 0.2 / 100)
    right = np.repeat([0, 1], [80, 20])
    assert influence.excess_of_ece(probs, right) == pytest.approx(noise * np.sqrt(2 / np.pi))
    assert influence.excess_of_ece(probs, np.repeat([0, 1], [60, 40])) == pytest.approx(0, abs=1e-5)
    assert influence.excess_of_ece(np.eye(2)[right], right) == 0


def test_no_error_leaves_nothing_to_rank() -> None:
    assert np.isnan(influence.of_auroc(np.arange(5.0), np.zeros(5, dtype=bool))).all()


Sample = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


@pytest.mark.parametrize(
    ("sample", "contributions"),
    [
        (scored, influence.of_aurc),
        (lambda rng: scored(rng, ties=True), influence.of_aurc),
        (scored, influence.of_auroc),
        (classified, influence.of_log_temperature),
        (believed, influence.of_ece),
    ],
)
def test_standard_error_is_how_the_score_varies_over_samples(
    sample: Sample, contributions: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> None:
    rng = np.random.default_rng(1)
    found = [estimate_of(contributions(*sample(rng))[None]) for _ in range(150)]
    scatter = np.std([each.value for each in found], ddof=1)
    assert np.mean([each.standard_error for each in found]) == pytest.approx(scatter, rel=0.15)


def test_interval_of_the_calibration_error_reaches_as_far_as_it_varies_and_below_by_what_chance_adds() -> None:
    rng = np.random.default_rng(2)
    samples = [believed(rng) for _ in range(200)]
    scores = np.array([expected_calibration_error(*each) for each in samples])
    low, high = np.transpose([(each.low, each.high) for each in (ece_interval(p[None], y) for p, y in samples)])
    excess, reach = np.mean([influence.excess_of_ece(*each) for each in samples]), 1.96 * scores.std(ddof=1)
    assert (high - scores).mean() == pytest.approx(reach, rel=0.15)
    assert (scores - low).mean() == pytest.approx(reach + excess, rel=0.1)
