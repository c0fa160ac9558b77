"""Accuracy with an interval that says which variability it covers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.errors import StudyError
from study.records import Predictions


@dataclass(frozen=True)
class Interval:
    """Bounds of a confidence interval, in the unit of what it bounds; low <= high."""

    low: float
    high: float


@dataclass(frozen=True)
class Accuracy:
    """Accuracy over seeds, as fractions in [0, 1].

    ``sd`` is the sample standard deviation between seeds (None for one seed). ``low`` and ``high``
    cover the sampling of test images for one seed (Wilson) and the variation between training
    seeds on these test images for several (Student's t). ``images`` counts one seed's images.
    """

    mean: float
    sd: float | None
    low: float
    high: float
    seeds: int
    images: int


def wilson(correct: float, total: float, level: float = 0.95) -> Interval:
    """Score interval of a proportion: ``correct`` of ``total`` images; bounds in [0, 1].

    Counts may be fractions, as means over seeds are. StudyError when there are no images.

    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953

    >>> wilson(0, 10).low
    0.0
    """
    from statsmodels.stats.proportion import proportion_confint

    if total <= 0:
        raise StudyError("an interval needs at least one image; give the split a larger share")
    low, high = proportion_confint(correct, total, alpha=1 - level, method="wilson")
    return Interval(float(low), float(high))


def student(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's t interval of the mean of at least two independent values, in their unit.

    Student 1908, https://doi.org/10.1093/biomet/6.1.1
    """
    from scipy import stats

    sample = np.asarray(values, dtype=float)
    half = stats.t.ppf((1 + level) / 2, len(sample) - 1) * stats.sem(sample)
    return Interval(float(sample.mean() - half), float(sample.mean() + half))


def summarise(predictions: Sequence[Predictions], level: float = 0.95) -> Accuracy:
    """Accuracy of one experiment from the predictions of its seeds, one element per seed.

    One seed gets the Wilson interval over images, several get the t interval over the seeds'
    accuracies, cut to [0, 1]. StudyError when there are no predictions or no images.
    """
    if not predictions:
        raise StudyError("no predictions to summarise; run the study first")
    images = len(predictions[0].labels)
    if len(predictions) == 1:
        interval = wilson(int(predictions[0].correct.sum()), images, level)
        return Accuracy(predictions[0].accuracy, None, interval.low, interval.high, 1, images)
    values = [p.accuracy for p in predictions]
    interval = student(values, level)
    low, high = max(0.0, interval.low), min(1.0, interval.high)
    return Accuracy(float(np.mean(values)), float(np.std(values, ddof=1)), low, high, len(values), images)
