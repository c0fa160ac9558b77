"""What each image contributes to a score of a whole test set: contributions (N,) whose mean is the score.

The mean of such contributions varies as the score does when other images are drawn (the infinitesimal jackknife: Efron
& Tibshirani 1993, section 21.3, https://doi.org/10.1201/9780429246593). So scores that are no means get intervals and
tests as means do, over seeds and images alike (``analysis.statistics.crossed``).
"""

from __future__ import annotations

import numpy as np

from study.metrics.calibration import BINS, bin_of, fit_temperature, probabilities
from study.metrics.uncertainty import risk_coverage


def of_aurc(scores: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Contributions to the area under the risk-coverage curve of uncertainties (N,) and correctness (N,) bool.

    An image counts by its own error, more the earlier it is answered, and by whom it makes wait.
    """
    order = np.argsort(scores, kind="stable")
    ranks = np.arange(1, len(order) + 1)
    wrong = (~np.asarray(correct, dtype=bool))[order].astype(float)
    risk = risk_coverage(scores, correct)[1]
    expected = np.diff(risk * ranks, prepend=0.0)  # the common error rate of images with equal scores
    waits = (1 / ranks)[::-1].cumsum()[::-1]
    _, tie, size = np.unique(np.asarray(scores)[order], return_inverse=True, return_counts=True)
    waits = (np.bincount(tie, waits) / size)[tie]
    pushed = (expected / ranks)[::-1].cumsum()[::-1]
    contributions = np.empty(len(order))
    contributions[order] = wrong * waits + expected.mean() - pushed
    return contributions


def of_auroc(scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Contributions to the AUROC of telling the ``positive`` (N,) bool images from the others by scores (N,).

    NaN when all images are of one sort. DeLong, DeLong & Clarke-Pearson 1988, https://doi.org/10.2307/2531595
    """
    from scipy.stats import rankdata

    positive = np.asarray(positive, dtype=bool)
    if positive.all() or not positive.any():
        return np.full(len(positive), np.nan)
    number = np.where(positive, positive.sum(), (~positive).sum())
    own = np.empty(len(positive))
    own[positive], own[~positive] = rankdata(scores[positive]), rankdata(scores[~positive])
    beaten = (rankdata(scores) - own) / (len(positive) - number)  # of the other sort, ties half
    placement = np.where(positive, beaten, 1 - beaten)
    area = placement[positive].mean()
    return area + (placement - area) * len(positive) / number


def of_ece(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Contributions to the expected calibration error of probs (N, C) and labels (N,)."""
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    position = bin_of(confidence, np.linspace(0, 1, BINS + 1))
    gap = confidence - correct
    return gap * np.sign(np.bincount(position, gap, minlength=BINS))[position]


def excess_of_ece(probs: np.ndarray, labels: np.ndarray) -> float:
    """How much of the ECE of probs (N, C) and labels (N,) chance explains: a bin's gap is never seen below zero.

    The mean of |gap|, normal about its size with its own sampling noise taken off, less that size, by the folded
    normal's mean (Leone, Nelson & Nottingham 1961, https://doi.org/10.1080/00401706.1961.10489974). It is the bias that
    Roelofs et al. 2022 measure (https://arxiv.org/abs/2012.08668), or up to twice that of badly calibrated networks.
    """
    from scipy.stats import foldnorm

    contributions, confidence = of_ece(probs, labels), probs.max(axis=1)
    position = bin_of(confidence, np.linspace(0, 1, BINS + 1))
    seen = np.bincount(position, contributions, minlength=BINS) / len(labels)
    variance = (np.bincount(position, contributions**2, minlength=BINS) / len(labels) - seen**2) / len(labels)
    noisy = variance > 0
    size, noise = np.sqrt((seen**2 - variance)[noisy].clip(0)), np.sqrt(variance[noisy])
    return float((foldnorm.mean(size / noise, scale=noise) - size).sum())


def of_log_temperature(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Contributions to the logarithm of the temperature fitted to logits (N, C) and labels (N,).

    The score of each image at the optimum over the mean curvature: Huber 1967 (the sandwich),
    https://projecteuclid.org/euclid.bsmsp/1200512988. Zero where there is no error, so that none is fitted.
    """
    if (logits.argmax(axis=1) == labels).all():
        return np.zeros(len(labels))
    temperature = fit_temperature(logits, labels)
    scaled = np.asarray(logits, dtype=float) / temperature
    probs = probabilities(scaled)
    expected = (probs * scaled).sum(axis=1)
    curvature = (probs * scaled**2).sum(axis=1) - expected**2
    score = scaled[np.arange(len(labels)), labels] - expected
    return np.log(temperature) - (score - score.mean()) / curvature.mean()


def of_mean_recall(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Contributions to the mean recall of the classes that have images; labels and predicted classes (N,)."""
    correct, images = labels == predicted, np.bincount(labels)
    recall = np.bincount(labels, correct) / np.maximum(images, 1)
    present = images > 0
    return recall[present].mean() + (correct - recall[labels]) / images[labels] * len(labels) / present.sum()


def of_macro_f1(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Contributions to the mean F1 of the classes that are labels or predictions, both (N,)."""
    correct, number = labels == predicted, 1 + max(labels.max(), predicted.max())
    size = np.bincount(labels, minlength=number) + np.bincount(predicted, minlength=number)
    f1 = 2 * np.bincount(labels, correct, minlength=number) / np.maximum(size, 1)
    own = (2 * correct - f1[labels]) / size[labels] - f1[predicted] / size[predicted]
    present = size > 0
    return f1[present].mean() + own * len(labels) / present.sum()


def of_ratio(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Of the mean of ``values`` where the mask holds, a ratio of two means; all (S, N), the mask somewhere true."""
    mean = values[mask].mean()
    return mean + (values - mean) * mask / mask.mean()
