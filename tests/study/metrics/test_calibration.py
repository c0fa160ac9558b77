"""Calibration scores against other libraries; the temperature and the abstention threshold against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from study.errors import StudyError
from study.metrics.calibration import (
    choose_abstention,
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    probabilities,
    reliability,
)


def sample(images: int = 500, sharpness: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Overconfident logits (N, 4) and labels drawn from the softmax of the unsharpened ones."""
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(images, 4)) * 1.5
    labels = np.array([rng.choice(4, p=row) for row in softmax(logits, axis=1)])
    return logits * sharpness, labels


def with_confidence(confidence: list[float]) -> np.ndarray:
    """Probabilities (N, 2) that predict class 0 with the given confidence."""
    return np.column_stack([confidence, 1 - np.array(confidence)])


def test_probabilities_divide_by_the_temperature() -> None:
    logits = np.array([[np.log(9.0), 0.0]], dtype=np.float32)
    assert probabilities(logits) == pytest.approx(np.array([[0.9, 0.1]]))
    assert probabilities(logits, temperature=2.0) == pytest.approx(np.array([[0.75, 0.25]]))


@pytest.mark.parametrize("bins", [5, 15])
def test_expected_calibration_error_agrees_with_torchmetrics(bins: int) -> None:
    logits, labels = sample()
    probs = probabilities(logits)
    expected = multiclass_calibration_error(torch.tensor(probs), torch.tensor(labels), 4, n_bins=bins, norm="l1")
    assert expected_calibration_error(probs, labels, bins) == pytest.approx(float(expected), abs=1e-6)


def test_certain_and_right_is_perfectly_calibrated() -> None:
    probs, labels = np.eye(3), np.arange(3)
    assert expected_calibration_error(probs, labels) == negative_log_likelihood(probs, labels).mean() == 0


def test_reliability_reports_each_bin_and_leaves_empty_ones_open() -> None:
    found = reliability(with_confidence([0.55, 0.65, 0.95]), np.array([0, 1, 0]), bins=5)
    assert found.count.tolist() == [0, 0, 1, 1, 1]
    assert found.edges.tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert found.confidence[2:].tolist() == pytest.approx([0.55, 0.65, 0.95])
    assert found.accuracy[2:].tolist() == [1, 0, 1]
    assert np.isnan([found.confidence[:2], found.accuracy[:2]]).all()
    assert found.gap == pytest.approx((0.45 + 0.65 + 0.05) / 3)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    assert reliability(with_confidence([0.75, 1.0]), np.array([0, 0]), bins=4).count.tolist() == [0, 0, 1, 1]


def test_negative_log_likelihood_agrees_with_scikit_learn() -> None:
    logits, labels = sample()
    probs = probabilities(logits)
    each = negative_log_likelihood(probs, labels)
    assert each.shape == labels.shape
    assert each.mean() == pytest.approx(log_loss(labels, probs))


def test_negative_log_likelihood_of_several_networks_is_that_of_each() -> None:
    logits, labels = sample()
    several = probabilities(np.stack([logits, logits / 3]))
    expected = np.stack([negative_log_likelihood(probs, labels) for probs in several])
    assert np.array_equal(negative_log_likelihood(several, labels), expected)


def test_negative_log_likelihood_of_the_impossible_is_finite() -> None:
    impossible = negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([1]))
    assert impossible == pytest.approx([-np.log(2.0**-1022)])  # the smallest normal float


def test_fitted_temperature_matches_the_closed_form() -> None:
    # Margin m and accuracy q in two classes: the NLL is least where sigmoid(m / T) = q.
    margin, hits = 4.0, 80
    logits = np.tile([margin, 0.0], (100, 1))
    labels = (np.arange(100) >= hits).astype(int)
    assert fit_temperature(logits, labels) == pytest.approx(margin / np.log(0.8 / 0.2), rel=1e-4)


def test_fitted_temperature_undoes_a_known_sharpening() -> None:
    logits, labels = sample(images=4000, sharpness=3.0)
    assert fit_temperature(logits, labels) == pytest.approx(3.0, rel=0.1)


def test_temperature_scaling_improves_an_overconfident_model() -> None:
    logits, labels = sample(images=2000)
    before, after = probabilities(logits), probabilities(logits, fit_temperature(logits, labels))
    assert expected_calibration_error(after, labels) < expected_calibration_error(before, labels) / 2
    assert negative_log_likelihood(after, labels).mean() < negative_log_likelihood(before, labels).mean()


def test_without_an_error_no_temperature_is_best_and_the_logits_stay() -> None:
    logits = np.array([[500.0, 0.0], [0.0, 500.0]], dtype=np.float32)
    assert fit_temperature(logits, np.array([0, 1])) == 1


def test_temperature_brings_confidence_to_the_accuracy() -> None:
    # Two classes, margin 4, right in 3 of 4: the best p is 0.75 = 1 / (1 + exp(-4 / T)), so T = 4 / ln 3.
    logits, labels = np.tile([4.0, 0.0], (8, 1)), np.array([0, 0, 0, 1] * 2)
    assert fit_temperature(logits, labels) == pytest.approx(4 / np.log(3), rel=1e-4)


def test_temperature_scales_with_the_logits() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 5)).astype(np.float32), rng.integers(0, 5, 200)
    logits[np.arange(200), labels] += 1
    assert fit_temperature(3 * logits, labels) == pytest.approx(3 * fit_temperature(logits, labels), rel=1e-3)


def test_temperature_without_images_is_reported() -> None:
    with pytest.raises(StudyError, match="needs validation predictions"):
        fit_temperature(np.empty((0, 3)), np.empty(0, dtype=int))


def test_threshold_is_the_lowest_that_keeps_the_risk() -> None:
    # 100 images, confidence 1.00, 0.99, ... 0.01. Errors at ranks 60 and 80: answering 79 has risk
    # 1/79 < 2 %, answering 80 to 99 has 2/80 ... 2/99 > 2 %, answering all 100 has 2/100 = 2 %.
    confidence = np.arange(100, 0, -1) / 100
    correct = ~np.isin(np.arange(1, 101), (60, 80))
    everything = choose_abstention(confidence, correct)
    assert (everything.threshold, everything.coverage, everything.risk) == (0.01, 1.0, 0.02)
    correct[89] = False  # rank 90: now 3/100, and the lowest that holds is rank 79 with confidence 0.22
    fewer = choose_abstention(confidence, correct)
    assert (fewer.threshold, fewer.coverage, fewer.risk) == (0.22, 0.79, 1 / 79)
    assert "at most 2 %" in fewer.rule


def test_threshold_falls_back_to_ninety_percent_coverage() -> None:
    confidence, correct = np.arange(100, 0, -1) / 100, np.arange(100) % 2 == 0
    chosen = choose_abstention(confidence, correct)
    assert (chosen.threshold, chosen.coverage, chosen.risk) == (0.11, 0.9, 0.5)
    assert "90 %" in chosen.rule


def test_threshold_never_splits_images_of_equal_confidence() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.5])
    chosen = choose_abstention(confidence, np.array([True, True, True, False]))
    assert (chosen.threshold, chosen.coverage, chosen.risk) == (0.9, 0.75, 0.0)
    assert choose_abstention(confidence, np.array([True, False, True, True])).coverage == 1.0


def test_images_are_taken_in_any_order() -> None:
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(50), rng.random(50) < 0.9
    order = rng.permutation(50)
    assert choose_abstention(confidence[order], correct[order]) == choose_abstention(confidence, correct)
