"""Classes one by one, and averages that weigh them alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.statistics import influence
from analysis.statistics.comparison import Accuracy, accuracy_of
from study.metrics.intervals import wilson
from study.records import Predictions

UNBALANCED = 2.0  # times as many images as the smallest class has
TOP = 5


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


def confused_pairs(matrix: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, str, int]]:
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


def balanced_accuracy(predictions: Sequence[Predictions]) -> Accuracy:
    """The mean recall of the classes that have images, one element of ``predictions`` per seed.

    Brodersen et al. 2010, https://doi.org/10.1109/ICPR.2010.764
    """
    found = accuracy_of(np.stack([influence.of_mean_recall(seed.labels, seed.predicted) for seed in predictions]))
    return _no_surer_than_its_classes(found, predictions, "recall")


def macro_f1(predictions: Sequence[Predictions]) -> Accuracy:
    """The mean F1 of the classes that are labels or predictions; a class never met rightly has 0."""
    found = accuracy_of(np.stack([influence.of_macro_f1(seed.labels, seed.predicted) for seed in predictions]))
    return _no_surer_than_its_classes(found, predictions, "f1")


def _no_surer_than_its_classes(found: Accuracy, predictions: Sequence[Predictions], score: str) -> Accuracy:
    """The mean of a score over classes with its interval at least as wide as those of the classes make it.

    A small class that is all right shows no variance. Squared distances of independent bounds add up: Zou & Donner
    2008, https://doi.org/10.1002/sim.3095
    """
    classes = scores(predictions, [str(label) for label in range(predictions[0].logits.shape[1])])
    classes = classes.dropna(subset=[score])
    below, above = (
        math.sqrt(((classes[score] - classes[f"{score}_{end}"]) ** 2).sum()) / len(classes) for end in ("low", "high")
    )
    return replace(found, low=min(found.low, found.mean - below), high=max(found.high, found.mean + above))


def top_accuracy(predictions: Sequence[Predictions], top: int = TOP) -> Accuracy:
    """How often the label is among the ``top`` classes with the highest logits."""
    ranks = [(seed.logits > _of_label(seed)).sum(axis=1) for seed in predictions]
    return accuracy_of(np.stack(ranks) < top)


def _of_label(predictions: Predictions) -> np.ndarray:
    """Each image's logit of its label, (N, 1)."""
    return np.take_along_axis(predictions.logits, predictions.labels[:, None], axis=1)
