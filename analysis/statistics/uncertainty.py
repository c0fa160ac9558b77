"""Which uncertainty finds the errors, and what refusing the uncertain images would buy."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd


def entropy(probs: np.ndarray) -> np.ndarray:
    """Entropy in nats of distributions along the last axis; (..., C) to (...), in [0, log C]."""
    from scipy.special import entr

    return entr(probs).sum(axis=-1)


def error_auroc(scores: np.ndarray, correct: np.ndarray) -> float:
    """AUROC of telling errors from hits by an uncertainty (N,), high meaning uncertain.

    0.5 is chance, 1 finds every error first; NaN when all images are right or all wrong.
    Hendrycks & Gimpel 2017, https://arxiv.org/abs/1610.02136
    """
    from sklearn.metrics import roc_auc_score

    wrong = ~np.asarray(correct, dtype=bool)
    return float(roc_auc_score(wrong, scores)) if 0 < wrong.sum() < len(wrong) else math.nan


def risk_coverage(scores: np.ndarray, correct: np.ndarray) -> pd.DataFrame:
    """Error rate (``risk``) among the fraction ``coverage`` of images with the lowest uncertainty.

    One row for each of the N coverages 1/N to 1. Images with equal uncertainty count with their
    common error rate, the expectation over any order of them. Geifman & El-Yaniv 2017,
    https://arxiv.org/abs/1705.08500
    """
    wrong = pd.Series(~np.asarray(correct, dtype=bool), dtype=float)
    expected = wrong.groupby(np.asarray(scores)).transform("mean").to_numpy()
    accepted = np.arange(1, len(expected) + 1)
    risk = expected[np.argsort(scores, kind="stable")].cumsum() / accepted
    return pd.DataFrame({"coverage": accepted / len(expected), "risk": risk})


def aurc(scores: np.ndarray, correct: np.ndarray) -> float:
    """Area under the risk-coverage curve: mean risk over all N coverages, in [0, 1], low is good.

    Geifman, Uziel & El-Yaniv 2019, https://arxiv.org/abs/1805.08206
    """
    return float(risk_coverage(scores, correct)["risk"].mean())
