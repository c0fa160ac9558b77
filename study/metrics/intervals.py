"""Confidence intervals of proportions and means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from study.errors import StudyError


@dataclass(frozen=True)
class Interval:
    """Bounds of a confidence interval, in the unit of what it bounds; low <= high."""

    low: float
    high: float


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
    share = correct / total  # which rounding may leave just outside where it is 0 or 1
    return Interval(min(float(low), share), max(float(high), share))


def student(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's t interval of the mean of at least two independent values, in their unit.

    Student 1908, https://doi.org/10.1093/biomet/6.1.1
    """
    from scipy import stats

    sample = np.asarray(values, dtype=float)
    half = stats.t.ppf((1 + level) / 2, len(sample) - 1) * stats.sem(sample)
    return Interval(float(sample.mean() - half), float(sample.mean() + half))


def rank_correlation(correlation: float, pairs: int) -> Interval:
    """95 % interval of Spearman's rank correlation of so many ``pairs``.

    Fisher's z with the variance of Bonett & Wright 2000, https://doi.org/10.1007/BF02294183. NaN where the correlation
    is, or for fewer than four pairs.
    """
    from scipy.special import ndtri

    if math.isnan(correlation) or pairs < 4:
        return Interval(math.nan, math.nan)
    if abs(correlation) == 1:
        return Interval(correlation, correlation)
    half = float(ndtri(0.975)) * math.sqrt((1 + correlation**2 / 2) / (pairs - 3))
    middle = math.atanh(correlation)
    return Interval(math.tanh(middle - half), math.tanh(middle + half))
