import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from analysis.statistics.calibration import (
    adaptive_calibration_error,
    brier,
    calibration_scores,
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
    scores = calibration_scores(probs, labels)
    assert (scores.ece, scores.adaptive_ece, scores.nll, scores.brier) == (0, 0, 0, 0)


def test_adaptive_calibration_error_uses_bins_of_equal_mass() -> None:
    # two bins of two: {0.6, 0.7} with accuracy 1/2 and {0.8, 0.9} with accuracy 1
    probs, labels = with_confidence([0.9, 0.6, 0.8, 0.7]), np.array([0, 1, 0, 0])
    expected = (abs(0.5 - 0.65) + abs(1 - 0.85)) / 2
    assert adaptive_calibration_error(probs, labels, bins=2) == pytest.approx(expected)


def test_adaptive_calibration_error_ignores_the_order_of_equal_confidences() -> None:
    probs, labels = with_confidence([0.9] * 6 + [0.6] * 2), np.array([0, 0, 0, 1, 1, 1, 0, 1])
    order = np.array([5, 4, 3, 2, 1, 0, 7, 6])
    # 0.9: accuracy 1/2, 0.6: accuracy 1/2
    assert adaptive_calibration_error(probs, labels, bins=4) == pytest.approx((6 * 0.4 + 2 * 0.1) / 8)
    assert adaptive_calibration_error(probs[order], labels[order], bins=4) == pytest.approx((6 * 0.4 + 2 * 0.1) / 8)


def test_reliability_reports_each_bin_and_leaves_empty_ones_open() -> None:
    frame = reliability(with_confidence([0.55, 0.65, 0.95]), np.array([0, 1, 0]), bins=5)
    assert frame["count"].tolist() == [0, 0, 1, 1, 1]
    assert frame["low"].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    assert frame["confidence"][2:].tolist() == pytest.approx([0.55, 0.65, 0.95])
    assert frame["accuracy"][2:].tolist() == [1, 0, 1]
    assert frame[["confidence", "accuracy"]][:2].isna().all(axis=None)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    frame = reliability(with_confidence([0.75, 1.0]), np.array([0, 0]), bins=4)
    assert frame["count"].tolist() == [0, 0, 1, 1]


def test_negative_log_likelihood_agrees_with_scikit_learn() -> None:
    logits, labels = sample()
    probs = probabilities(logits)
    assert negative_log_likelihood(probs, labels) == pytest.approx(log_loss(labels, probs))


def test_negative_log_likelihood_of_the_impossible_is_finite() -> None:
    assert negative_log_likelihood(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(708.396, abs=1e-3)


def test_brier_agrees_with_scikit_learn() -> None:
    logits, labels = sample()
    probs = probabilities(logits)
    assert brier(probs, labels) == pytest.approx(brier_score_loss(labels, probs, scale_by_half=False))
    assert brier(np.array([[1.0, 0.0]]), np.array([1])) == 2.0


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
    before = calibration_scores(probabilities(logits), labels)
    after = calibration_scores(probabilities(logits, fit_temperature(logits, labels)), labels)
    assert after.ece < before.ece / 2
    assert after.adaptive_ece < before.adaptive_ece / 2
    assert after.nll < before.nll
    assert after.brier < before.brier


def test_faultless_validation_reaches_the_lowest_temperature_and_stays_finite() -> None:
    logits = np.array([[5.0, 0.0], [0.0, 5.0]], dtype=np.float32)
    assert 0.04 < fit_temperature(logits, np.array([0, 1])) < 1
