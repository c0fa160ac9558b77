"""What validation logits say about trust: the temperature, and the confidence below which to abstain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from study.errors import StudyError

TEMPERATURES = (0.05, 20.0)
TARGET_RISK = 0.02
SMALLEST_COVERAGE = 0.5
FALLBACK_COVERAGE = 0.9


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


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T in [0.05, 20] for which softmax(logits / T) has the lowest negative log-likelihood.

    ``logits`` (N, C), ``labels`` (N,) integers. Fit it on validation images, never on the images it is
    judged by. Guo et al. 2017, section 4.2, https://arxiv.org/abs/1706.04599. The log-likelihood is concave
    in 1/T, so the bounded search finds its only maximum. StudyError when there are no images.
    """
    if not len(labels):
        raise StudyError("a temperature needs validation predictions, and there are none")
    logits, rows = np.asarray(logits, dtype=np.float64), np.arange(len(labels))

    def negative_log_likelihood(log_temperature: float) -> float:
        return -float(log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean())

    found = minimize_scalar(
        negative_log_likelihood, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(found.x))


def choose_abstention(confidence: np.ndarray, correct: np.ndarray) -> Abstention:
    """The lowest threshold whose selective risk on validation is at most 2 %.

    ``confidence`` (N,) in [0, 1], ``correct`` (N,) bool. Where meeting 2 % would leave more than half of
    the images unanswered, the threshold that answers 90 % of them. The risk is the empirical one, without
    the confidence bound of Geifman & El-Yaniv 2017, https://arxiv.org/abs/1705.08500.
    """
    thresholds, coverage, risk = _risk_coverage(confidence, correct)
    low_enough = np.flatnonzero((risk <= TARGET_RISK) & (coverage >= SMALLEST_COVERAGE))
    if len(low_enough):
        at, rule = low_enough[-1], f"at most {TARGET_RISK:.0%} of the answers wrong on validation images"
    else:
        at = np.searchsorted(coverage, FALLBACK_COVERAGE)
        rule = f"{FALLBACK_COVERAGE:.0%} of validation images answered"
    return Abstention(float(thresholds[at]), float(coverage[at]), float(risk[at]), rule.replace("%", " %"))


def _risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each distinct confidence, descending, with the coverage and the risk of answering from it upwards."""
    order = np.argsort(-confidence, kind="stable")
    ordered, errors = confidence[order], np.cumsum(~correct[order])
    last_of_tie = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    answered = last_of_tie + 1
    return ordered[last_of_tie], answered / len(ordered), errors[last_of_tie] / answered
