"""Scores of uncertainty, which of them finds the errors, and what refusing the uncertain images would buy."""

from __future__ import annotations

import numpy as np


def entropy(probs: np.ndarray) -> np.ndarray:
    """Entropy in nats of distributions along the last axis; (..., C) to (...), in [0, log C]."""
    from scipy.special import entr

    return entr(probs).sum(axis=-1)


def predictive_entropy(probs: np.ndarray) -> np.ndarray:
    """Entropy of the mean prediction in nats, (N,), between 0 and ln C; ``probs`` (M, N, C) of M samples."""
    return entropy(probs.mean(axis=0, dtype=np.float64))


def mutual_information(probs: np.ndarray) -> np.ndarray:
    """Entropy of the mean minus mean entropy in nats, (N,), between 0 and ln C; ``probs`` (M, N, C).

    The information a label would give about the weights (Houlsby et al. 2011, https://arxiv.org/abs/1112.5745);
    ``probs`` are of dropout passes or of an ensemble's members.
    """
    return np.maximum(predictive_entropy(probs) - entropy(probs.astype(np.float64)).mean(axis=0), 0.0)


def of_samples(prefix: str, probs: np.ndarray) -> dict[str, np.ndarray]:
    """Both uncertainties of every image from samples (M, N, C), under the names that records give them."""
    return {
        f"{prefix}_entropy": predictive_entropy(probs),
        f"{prefix}_mutual_information": mutual_information(probs),
    }


def risk_coverage(scores: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coverages 1/N to 1, and the error rate among that fraction of the images with the lowest uncertainty, (N,) each.

    Images with equal uncertainty count with their common error rate, the expectation over any order of them.
    Geifman & El-Yaniv 2017, https://arxiv.org/abs/1705.08500
    """
    order = np.argsort(scores, kind="stable")
    wrong, accepted = (~np.asarray(correct, dtype=bool))[order], np.arange(1, len(order) + 1)
    _, tie, size = np.unique(np.asarray(scores)[order], return_inverse=True, return_counts=True)
    expected = (np.bincount(tie, wrong) / size)[tie]
    return accepted / len(order), expected.cumsum() / accepted


def aurc(scores: np.ndarray, correct: np.ndarray) -> float:
    """Area under the risk-coverage curve: mean risk over all N coverages, in [0, 1], low is good.

    Geifman, Uziel & El-Yaniv 2019, https://arxiv.org/abs/1805.08206
    """
    return float(risk_coverage(scores, correct)[1].mean())
