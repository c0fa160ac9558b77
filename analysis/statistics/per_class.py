"""Classes one by one, and averages that weigh them alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from study.metrics.intervals import Interval, student, wilson
from study.records import Predictions

UNBALANCED = 2.0  # times as many images as the smallest class has
TOP = 5


@dataclass(frozen=True)
class Average:
    """A score in [0, 1], the mean over seeds, with its 95 % interval."""

    mean: float
    low: float
    high: float


def counts(predictions: Sequence[Predictions], classes: Sequence[str]) -> np.ndarray:
    """The confusion matrix (C, C): row the true class, column the predicted one; several seeds are added up."""
    from sklearn.metrics import confusion_matrix

    labels = np.concatenate([seed.labels for seed in predictions])
    predicted = np.concatenate([seed.predicted for seed in predictions])
    return confusion_matrix(labels, predicted, labels=np.arange(len(classes)))


def scores(predictions: Sequence[Predictions], classes: Sequence[str]) -> pd.DataFrame:
    """One row per class: class, precision, recall, f1, support and an interval for each score.

    Scores are fractions, ``support`` counts the images of one seed, and the 95 % intervals (precision_low,
    precision_high, recall_low, ...) cover the sampling of images: Wilson with one seed's number of
    images, also for scores that several seeds share, whose images are the same. For F1 it is the
    Wilson interval of J = TP/(TP+FP+FN) carried over by F1 = 2J/(1+J): Hand, Christen & Kirielle
    2021, https://doi.org/10.1007/s10994-021-05964-1. A score without a single image to stand on (the
    precision of a class never predicted) is NaN.
    """
    matrix = counts(predictions, classes) / len(predictions)
    hits, predicted, support = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    columns: dict[str, Sequence[str] | np.ndarray] = {"class": classes, "support": support.round().astype(int)}
    for name, totals in (("precision", predicted), ("recall", support), ("f1", predicted + support - hits)):
        rows = np.full((len(hits), 3), math.nan)
        for row in np.flatnonzero(totals):
            interval = wilson(hits[row], totals[row])
            rows[row] = hits[row] / totals[row], interval.low, interval.high
        rows = 2 * rows / (1 + rows) if name == "f1" else rows
        columns |= zip((name, f"{name}_low", f"{name}_high"), rows.T, strict=True)
    return pd.DataFrame(columns)


def confused_pairs(matrix: np.ndarray, classes: Sequence[str], top: int = 5) -> list[tuple[str, str, int]]:
    """The ``top`` largest off-diagonal counts of (C, C) as (true, predicted, count), none of them zero."""
    errors = np.where(np.eye(len(classes), dtype=bool), 0, matrix)
    order = np.argsort(-errors, axis=None, kind="stable")[:top]
    pairs = zip(*np.unravel_index(order, errors.shape), strict=True)
    return [(classes[i], classes[j], int(errors[i, j])) for i, j in pairs if errors[i, j] > 0]


def sizes(predictions: Predictions, classes: int) -> np.ndarray:
    """Images of each class, (C,)."""
    return np.bincount(predictions.labels, minlength=classes)


def unbalanced(images: np.ndarray) -> bool:
    """Whether classes (C,) differ in size by more than half: the smallest has under half the images of the largest."""
    return bool(images.max() > UNBALANCED * images.min())


def balanced_accuracy(predictions: Sequence[Predictions]) -> Average:
    """The mean recall of the classes that have images, one element of ``predictions`` per seed.

    Brodersen et al. 2010, https://doi.org/10.1109/ICPR.2010.764. The interval of one seed combines the classes' Wilson
    intervals by the method of variance estimates recovery (Zou, Huang & Zhang 2009,
    https://doi.org/10.1016/j.csda.2008.09.033) and covers the sampling of images; that of several is a t interval over
    seeds.
    """
    return _average([_mean_recall(seed) for seed in predictions])


def _mean_recall(predictions: Predictions) -> Average:
    support = np.bincount(predictions.labels)
    present = np.flatnonzero(support)
    hits = np.bincount(predictions.labels[predictions.correct], minlength=len(support))[present]
    intervals = [wilson(*each) for each in zip(hits.tolist(), support[present].tolist(), strict=True)]
    recall, number = hits / support[present], len(present)
    below, above = (
        math.sqrt(sum((r - bound) ** 2 for r, bound in zip(recall, bounds, strict=True))) / number
        for bounds in ([each.low for each in intervals], [each.high for each in intervals])
    )
    mean = float(recall.mean())
    return Average(mean, max(0.0, mean - below), min(1.0, mean + above))


def macro_f1(predictions: Sequence[Predictions]) -> float:
    """The mean F1 of the classes that are labels or predictions, and over seeds; a class never met rightly has 0."""
    from sklearn.metrics import f1_score

    each = [f1_score(seed.labels, seed.predicted, average="macro", zero_division=0) for seed in predictions]
    return float(np.mean(each))


def top_accuracy(predictions: Sequence[Predictions], top: int = TOP) -> Average:
    """How often the label is among the ``top`` classes with the highest logits; intervals as those of accuracy."""
    from sklearn.metrics import top_k_accuracy_score

    found = []
    for seed in predictions:
        share = float(top_k_accuracy_score(seed.labels, seed.logits, k=top, labels=np.arange(seed.logits.shape[1])))
        interval = wilson(share * len(seed.labels), len(seed.labels))
        found.append(Average(share, interval.low, interval.high))
    return _average(found)


def _average(seeds: Sequence[Average]) -> Average:
    """One seed's as it is; of several the mean with a t interval over them, cut to [0, 1]."""
    if len(seeds) == 1:
        return seeds[0]
    values = [seed.mean for seed in seeds]
    interval: Interval = student(values)
    return Average(float(np.mean(values)), max(0.0, interval.low), min(1.0, interval.high))
