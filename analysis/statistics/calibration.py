"""How far confidence can be believed: calibration errors, proper scores, temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from study.metrics.calibration import fit_temperature as fit_temperature

BINS = 15  # as Guo et al. 2017


@dataclass(frozen=True)
class CalibrationScores:
    """``ece`` and ``adaptive_ece`` in [0, 1], ``nll`` in nats, ``brier`` in [0, 2]; all better when low."""

    ece: float
    adaptive_ece: float
    nll: float
    brier: float


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax over the last axis of logits (..., C) divided by the temperature; float64 of the same shape."""
    from scipy.special import softmax

    return softmax(np.asarray(logits, dtype=float) / temperature, axis=-1)


def expected_calibration_error(probs: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """ECE of the predicted class over equal-width bins; probs (N, C), labels (N,).

    Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """
    return _gap(reliability(probs, labels, bins))


def adaptive_calibration_error(probs: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """ECE of the predicted class over bins of equal mass; probs (N, C), labels (N,).

    Equal confidences share a bin, so the result does not depend on the order of the images.
    The adaptive binning is that of Nixon et al. 2019, https://arxiv.org/abs/1904.01685
    """
    edges = np.quantile(probs.max(axis=1), np.linspace(0, 1, bins + 1))
    return _gap(_binned(probs, labels, edges))


def reliability(probs: np.ndarray, labels: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """Reliability diagram: per equal-width bin its mean confidence, accuracy and count of images.

    Bins are open on the left as in Guo et al. 2017; an empty bin has count 0 and NaN. Columns
    ``low`` and ``high`` are its edges.
    """
    return _binned(probs, labels, np.linspace(0, 1, bins + 1))


def negative_log_likelihood(probs: np.ndarray, labels: np.ndarray) -> float:
    """Mean of -log p(true class) in nats; probs (N, C), labels (N,).

    A probability of zero counts as the smallest normal float: finite, about 708 nats.
    """
    chosen = probs[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, np.finfo(float).tiny)).mean())


def brier(probs: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance to the one-hot label, summed over classes, in [0, 2].

    Brier 1950, https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
    """
    target = np.eye(probs.shape[1])[labels]
    return float(((probs - target) ** 2).sum(axis=1).mean())


def calibration_scores(probs: np.ndarray, labels: np.ndarray) -> CalibrationScores:
    """All four scores of probs (N, C) against labels (N,), with ``BINS`` bins."""
    return CalibrationScores(
        expected_calibration_error(probs, labels),
        adaptive_calibration_error(probs, labels),
        negative_log_likelihood(probs, labels),
        brier(probs, labels),
    )


def _binned(probs: np.ndarray, labels: np.ndarray, edges: np.ndarray) -> pd.DataFrame:
    """Mean confidence, accuracy and count of the images whose confidence is in (edge, next edge]."""
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = len(edges) - 1
    position = np.searchsorted(edges[1:-1], confidence, side="left")
    count = np.bincount(position, minlength=bins)
    size = np.where(count > 0, count, np.nan)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "confidence": np.bincount(position, confidence, minlength=bins) / size,
            "accuracy": np.bincount(position, correct, minlength=bins) / size,
            "count": count,
        }
    )


def _gap(bins: pd.DataFrame) -> float:
    """Mean of |accuracy - confidence| over images, bin by bin."""
    filled = bins[bins["count"] > 0]
    return float(np.average((filled["accuracy"] - filled["confidence"]).abs(), weights=filled["count"]))
