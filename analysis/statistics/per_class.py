"""Scores per class, the confusion matrix and the pairs of classes that get confused."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.statistics.accuracy import wilson
from study.records import Predictions


def confusion(predictions: Predictions | Sequence[Predictions], classes: Sequence[str]) -> np.ndarray:
    """Counts (C, C): row the true class, column the predicted one; several seeds are added up."""
    from sklearn.metrics import confusion_matrix

    runs = _as_runs(predictions)
    labels = np.concatenate([run.labels for run in runs])
    predicted = np.concatenate([run.predicted for run in runs])
    return confusion_matrix(labels, predicted, labels=np.arange(len(classes)))


def scores(
    predictions: Predictions | Sequence[Predictions], classes: Sequence[str], level: float = 0.95
) -> pd.DataFrame:
    """One row per class: class, precision, recall, f1, support and an interval for each score.

    Scores are fractions, ``support`` counts the images of one seed, and the intervals (precision_low,
    precision_high, recall_low, ...) cover the sampling of images: Wilson with one seed's number of
    images, also for scores that several seeds share, whose images are the same. For F1 it is the
    Wilson interval of J = TP/(TP+FP+FN) carried over by F1 = 2J/(1+J): Hand, Christen & Kirielle
    2021, https://doi.org/10.1007/s10994-021-05964-1. A score without a single image to stand on (the
    precision of a class never predicted) is NaN.
    """
    matrix = confusion(predictions, classes) / len(_as_runs(predictions))
    hits, predicted, support = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    jaccard = _proportion("f1", hits, predicted + support - hits, level)
    columns = {
        "class": list(classes),
        **_proportion("precision", hits, predicted, level),
        **_proportion("recall", hits, support, level),
        **{name: 2 * values / (1 + values) for name, values in jaccard.items()},
        "support": support.round().astype(int),
    }
    return pd.DataFrame(columns)


def confused_pairs(matrix: np.ndarray, classes: Sequence[str], top: int = 5) -> list[tuple[str, str, int]]:
    """The ``top`` largest off-diagonal counts of (C, C) as (true, predicted, count), none of them zero."""
    errors = np.array(matrix)
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:top]
    cells = [divmod(int(cell), len(classes)) for cell in order]
    return [(classes[i], classes[j], int(errors[i, j])) for i, j in cells if errors[i, j] > 0]


def _as_runs(predictions: Predictions | Sequence[Predictions]) -> Sequence[Predictions]:
    return [predictions] if isinstance(predictions, Predictions) else predictions


def _proportion(name: str, hits: np.ndarray, totals: np.ndarray, level: float) -> dict[str, np.ndarray]:
    """Columns ``name``, ``name_low`` and ``name_high`` of hits/totals, NaN where the total is zero."""
    rows = [_with_interval(hit, total, level) for hit, total in zip(hits, totals, strict=True)]
    value, low, high = np.array(rows).T
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _with_interval(hits: float, total: float, level: float) -> tuple[float, float, float]:
    if total == 0:
        return math.nan, math.nan, math.nan
    interval = wilson(hits, total, level)
    return hits / total, interval.low, interval.high
