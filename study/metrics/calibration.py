"""How far confidence can be believed: calibration errors, proper scores, temperature, and when to abstain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from study.errors import StudyError
from study.metrics.uncertainty import risk_coverage

BINS = 15  # as Guo et al. 2017
TEMPERATURES = (0.05, 20.0)
TARGET_RISK = 0.02
SMALLEST_COVERAGE = 0.5
FALLBACK_COVERAGE = 0.9


@dataclass(frozen=True)
class Reliability:
    """Bins of a reliability diagram: edges (B + 1,), and per bin its images and their mean confidence and accuracy.

    An empty bin has count 0 and NaN.
    """

    edges: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray

    @property
    def gap(self) -> float:
        """Mean of |accuracy - confidence| over images, bin by bin."""
        filled = self.count > 0
        return float(np.average(np.abs(self.accuracy - self.confidence)[filled], weights=self.count[filled]))


@dataclass(frozen=True)
class Abstention:
    """A model answers when its confidence is at least ``threshold``.

    ``coverage`` is the fraction of validation images answered, ``risk`` the fraction of wrong
    answers among them, ``rule`` says in words how the threshold was chosen.
    """

    threshold: float
    coverage: float
    risk: float
    rule: str


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax over the last axis of logits (..., C) divided by the temperature; float64 of the same shape."""
    from scipy.special import softmax

    return softmax(np.asarray(logits, dtype=float) / temperature, axis=-1)


def negative_log_likelihood(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log p(true class) of each image in nats; probs (..., N, C) and labels (N,) give (..., N).

    A probability of zero counts as the smallest normal float: finite, about 708 nats.
    """
    chosen = np.take_along_axis(probs, np.broadcast_to(labels, probs.shape[:-1])[..., None], axis=-1)[..., 0]
    return -np.log(np.maximum(chosen, np.finfo(float).tiny))


def reliability(probs: np.ndarray, labels: np.ndarray, bins: int = BINS) -> Reliability:
    """Reliability diagram over equal-width bins, open on the left; probs (N, C), labels (N,).

    Its gap is the expected calibration error: Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """
    return _binned(probs, labels, np.linspace(0, 1, bins + 1))


def expected_calibration_error(probs: np.ndarray, labels: np.ndarray, bins: int = BINS) -> float:
    """ECE of the predicted class over equal-width bins; probs (N, C), labels (N,).

    Guo et al. 2017, https://arxiv.org/abs/1706.04599
    """
    return reliability(probs, labels, bins).gap


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T in [0.05, 20] for which softmax(logits / T) has the lowest negative log-likelihood.

    ``logits`` (N, C), ``labels`` (N,) integers. Fit it on validation images, never on the images it is
    judged by. Guo et al. 2017, section 4.2, https://arxiv.org/abs/1706.04599. The log-likelihood is concave
    in 1/T, so the bounded search finds its only maximum. Without an error there is none, and T is 1: the logits stay
    as they are. StudyError when there are no images.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    if not len(labels):
        raise StudyError("a temperature needs validation predictions, and there are none")
    if (logits.argmax(axis=1) == labels).all():
        return 1.0
    logits, rows = np.asarray(logits, dtype=np.float64), np.arange(len(labels))

    def mean_loss(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean())

    found = minimize_scalar(mean_loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def choose_abstention(confidence: np.ndarray, correct: np.ndarray) -> Abstention:
    """The lowest threshold whose selective risk on validation is at most 2 %.

    ``confidence`` (N,) in [0, 1], ``correct`` (N,) bool. Where meeting 2 % would leave more than half of
    the images unanswered, the threshold that answers 90 % of them. The risk is the empirical one, without
    the confidence bound of Geifman & El-Yaniv 2017, https://arxiv.org/abs/1705.08500.
    """
    thresholds = np.sort(confidence)[::-1]
    coverage, risk = risk_coverage(-confidence, correct)
    whole_tie = np.append(np.diff(thresholds) != 0, True)  # a threshold answers all images of equal confidence
    thresholds, coverage, risk = thresholds[whole_tie], coverage[whole_tie], risk[whole_tie]
    low_enough = np.flatnonzero((risk <= TARGET_RISK) & (coverage >= SMALLEST_COVERAGE))
    if len(low_enough):
        at, rule = low_enough[-1], f"at most {TARGET_RISK:.0%} of the answers wrong on validation images"
    else:
        at = np.searchsorted(coverage, FALLBACK_COVERAGE)
        rule = f"{FALLBACK_COVERAGE:.0%} of validation images answered"
    return Abstention(float(thresholds[at]), float(coverage[at]), float(risk[at]), rule.replace("%", " %"))


def bin_of(confidence: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Position of the bin (edge, next edge] that each confidence (N,) is in."""
    return np.searchsorted(edges[1:-1], confidence, side="left")


def _binned(probs: np.ndarray, labels: np.ndarray, edges: np.ndarray) -> Reliability:
    """Mean confidence, accuracy and count of the images whose confidence is in (edge, next edge]."""
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    bins = len(edges) - 1
    position = bin_of(confidence, edges)
    count = np.bincount(position, minlength=bins)
    size = np.where(count > 0, count, np.nan)
    mean_confidence, accuracy = (np.bincount(position, each, minlength=bins) / size for each in (confidence, correct))
    return Reliability(edges, mean_confidence, accuracy, count)
