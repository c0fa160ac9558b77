"""Scores of a model's confidence as means of one value per image, which is what their intervals are computed from.

A score that is no mean, such as an area under a curve, is turned into one by its jackknife pseudo-values: N times the
score of all images less N - 1 times the score without the image. Efron & Tibshirani 1993, section 11.5,
https://doi.org/10.1201/9780429246593
"""

from __future__ import annotations

import math

import numpy as np

from analysis.statistics.comparison import BootstrapResult
from study.metrics.calibration import BINS, reliability
from study.metrics.intervals import Interval


def image_interval(values: np.ndarray, level: float = 0.95) -> Interval:
    """Interval of the mean of ``values`` (S, N) of S seeds on the same N images; covers the sampling of images.

    The seeds are averaged first, image by image, for they share the images; then normal theory. NaN for fewer than two
    images.
    """
    from scipy.special import ndtri

    image = np.atleast_2d(values).mean(axis=0)
    if len(image) < 2:
        return Interval(math.nan, math.nan)
    half = float(ndtri((1 + level) / 2)) * float(image.std(ddof=1)) / math.sqrt(len(image))
    return Interval(float(image.mean()) - half, float(image.mean()) + half)


def image_test(values: np.ndarray) -> BootstrapResult:
    """Interval, two-sided p against zero and standard error of the mean of ``values`` (S, N), as ``image_interval``."""
    from scipy.special import ndtr

    image, interval = np.atleast_2d(values).mean(axis=0), image_interval(values)
    error = float(image.std(ddof=1)) / math.sqrt(len(image)) if len(image) > 1 else math.nan
    z = abs(float(image.mean())) / error if error else (math.inf if image.mean() else 0.0)
    return BootstrapResult(interval.low, interval.high, float(2 * ndtr(-z)), error)


def auroc_values(scores: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Pseudo-values (N,) of the AUROC with which ``scores`` (N,) rank errors above hits, ``correct`` (N,).

    Their spread is that of DeLong, DeLong & Clarke-Pearson 1988, https://doi.org/10.2307/2531595, up to terms of order
    1/N. NaN where one side has fewer than two images.
    """
    from scipy.stats import rankdata

    wrong = ~np.asarray(correct, dtype=bool)
    images, errors = len(wrong), int(wrong.sum())
    hits = images - errors
    if min(errors, hits) < 2:
        return np.full(images, math.nan)
    scores = np.asarray(scores, dtype=float)
    ranks, own = rankdata(scores), np.empty(images)
    own[wrong], own[~wrong] = rankdata(scores[wrong]), rankdata(scores[~wrong])
    # Of each image, the share of the other side that it is ranked rightly against.
    placed = np.where(wrong, (ranks - own) / hits, 1 - (ranks - own) / errors)
    auroc = placed[wrong].mean()
    side = np.where(wrong, errors, hits)
    without = (side * auroc - placed) / (side - 1)
    return images * auroc - (images - 1) * without


def aurc_values(scores: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Pseudo-values (N,) of the area under the risk-coverage curve of ``study.metrics.uncertainty.aurc``."""
    order = np.argsort(scores, kind="stable")
    wrong = (~np.asarray(correct, dtype=bool))[order].astype(float)
    _, tie, size = np.unique(np.asarray(scores)[order], return_inverse=True, return_counts=True)
    wrong = (np.bincount(tie, wrong) / size)[tie]  # images of equal uncertainty share their error rate
    images, position = len(wrong), np.arange(1, len(wrong) + 1)
    harmonic = (1 / position)[::-1].cumsum()[::-1]  # an error at position k counts in every coverage from k on
    area = (wrong * harmonic).sum()
    before = np.concatenate([[0.0], (wrong * harmonic).cumsum()[:-1]])
    errors_before = np.concatenate([[0.0], wrong.cumsum()[:-1]])
    errors_after = wrong.sum() - errors_before - wrong
    later = wrong * (harmonic + np.concatenate([[0.0], 1 / position[:-1]]))  # all behind it move up by one
    after = later.sum() - later.cumsum()
    without = (before + after - (errors_before + errors_after) / images) / (images - 1)
    values = np.empty(images)
    values[order] = area - (images - 1) * without
    return values


def calibration_values(probs: np.ndarray, labels: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Values (N,) whose mean is the expected calibration error of probs (N, C): confidence less correctness.

    Each has the sign of its bin's gap, which is taken as known; the error itself is biased upwards where it is small
    (Kumar, Liang & Ma 2019, https://arxiv.org/abs/1909.10155), and so is the interval.
    """
    confidence, correct = probs.max(axis=1), probs.argmax(axis=1) == labels
    found = reliability(probs, labels, bins)
    position = np.searchsorted(found.edges[1:-1], confidence, side="left")
    return np.sign(found.confidence - found.accuracy)[position] * (confidence - correct)


def rank_interval(correlation: float, images: int, level: float = 0.95) -> Interval:
    """Interval of Spearman's rank correlation of ``images`` pairs.

    Fisher's z with the variance of Bonett & Wright 2000, https://doi.org/10.1007/BF02294183. NaN where the correlation
    is, or for fewer than four pairs.
    """
    from scipy.special import ndtri

    if math.isnan(correlation) or images < 4:
        return Interval(math.nan, math.nan)
    if abs(correlation) == 1:
        return Interval(correlation, correlation)
    half = float(ndtri((1 + level) / 2)) * math.sqrt((1 + correlation**2 / 2) / (images - 3))
    middle = math.atanh(correlation)
    return Interval(math.tanh(middle - half), math.tanh(middle + half))
