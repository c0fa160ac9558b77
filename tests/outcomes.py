"""Predictions with chosen outcomes, for tests of the statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from study.records import Predictions


def predictions_of(
    labels: Sequence[int] | np.ndarray, predicted: Sequence[int] | np.ndarray, classes: int
) -> Predictions:
    """Predictions whose arg max is ``predicted``."""
    logits = np.eye(classes, dtype=np.float32)[np.asarray(predicted)]
    return Predictions(np.arange(len(logits)), np.asarray(labels), logits)


def predictions_with(correct: Sequence[bool] | np.ndarray) -> Predictions:
    """Predictions of two classes that are right exactly where ``correct`` says so."""
    hits = np.asarray(correct, dtype=bool)
    return predictions_of(np.ones(len(hits), dtype=int), hits.astype(int), classes=2)
