"""Accuracy and paired comparison of two experiments on the same test images, and what it could have detected."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from study.errors import StudyError
from study.metrics.intervals import Interval, student, wilson
from study.records import Predictions

ALPHA = 0.05


@dataclass(frozen=True)
class Accuracy:
    """Accuracy over seeds, as fractions in [0, 1].

    ``sd`` is the sample standard deviation between seeds (None for one seed). ``low`` and ``high``
    cover the sampling of test images for one seed (Wilson) and the variation between training
    seeds on these test images for several (Student's t).
    """

    mean: float
    sd: float | None
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class BootstrapResult:
    """Percentile interval, two-sided p against zero and standard error of a mean difference."""

    low: float
    high: float
    p: float
    standard_error: float


@dataclass(frozen=True)
class Comparison:
    """Treated minus control, as fractions of the test images.

    ``difference`` is the mean over seeds with its 95 % interval ``low`` to ``high``; ``p`` is
    two-sided and not yet corrected for multiple comparisons; ``detectable`` is the true difference
    that this design finds with power 0.8 at alpha 0.05.
    """

    difference: float
    low: float
    high: float
    p: float
    seeds: int
    detectable: float


def summarise(predictions: Sequence[Predictions]) -> Accuracy:
    """Accuracy of one experiment from the predictions of its seeds, one element per seed.

    One seed gets the Wilson interval over images, several get the t interval over the seeds'
    accuracies, cut to [0, 1]. StudyError when there are no predictions or no images.
    """
    if not predictions:
        raise StudyError("no predictions to summarise; run the study first")
    if len(predictions) == 1:
        interval = wilson(int(predictions[0].correct.sum()), len(predictions[0].labels))
        return Accuracy(predictions[0].accuracy, None, interval.low, interval.high, 1)
    values = [p.accuracy for p in predictions]
    interval = student(values)
    low, high = max(0.0, interval.low), min(1.0, interval.high)
    return Accuracy(float(np.mean(values)), float(np.std(values, ddof=1)), low, high, len(values))


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> tuple[int, int, float]:
    """Exact McNemar test of two classifiers on the same images; both arguments (N,) bool.

    The images that only a or only b classified correctly (counts), and the two-sided p.

    McNemar 1947, https://doi.org/10.1007/BF02295996; for classifiers Dietterich 1998,
    https://doi.org/10.1162/089976698300017197
    """
    from statsmodels.stats.contingency_tables import mcnemar as test

    only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    return only_a, only_b, float(test([[0, only_a], [only_b, 0]], exact=True).pvalue)


def paired_interval(only_a: int, only_b: int, images: int, level: float = 0.95) -> Interval:
    """Interval of accuracy(a) - accuracy(b) on the same images, from the discordant counts.

    Wald interval after adding one image to each discordant cell, cut to [-1, 1]: Bonett & Price
    2012, https://doi.org/10.3102/1076998611411915; recommended by Fagerland, Lydersen & Laake
    2014, https://doi.org/10.1002/sim.6148

    >>> interval = paired_interval(1, 7, 21)
    >>> round(interval.low, 3), round(interval.high, 3)
    (-0.508, -0.013)
    """
    a, b = (only_a + 1) / (images + 2), (only_b + 1) / (images + 2)
    half = _normal_quantile((1 + level) / 2) * math.sqrt((a + b - (a - b) ** 2) / (images + 2))
    return Interval(max(-1.0, a - b - half), min(1.0, a - b + half))


def bootstrap_difference(difference: np.ndarray, rng: np.random.Generator, resamples: int = 2000) -> BootstrapResult:
    """Bootstrap of the mean of ``difference`` (S, N): S seeds that share N images.

    Every resample draws seeds and, once for all of them, images: the images are the same for every
    seed, so their variability must not average out over seeds. This pigeonhole bootstrap errs on
    the wide side (Owen 2007, https://doi.org/10.1214/07-AOAS122) as long as images vary more than seeds do; where
    two or three seeds differ by more than that, its intervals are too narrow. The p-value inverts the percentile
    interval and counts the observed sample: Davison & Hinkley 1997, section 4.2,
    https://doi.org/10.1017/CBO9780511802843. With one seed only images are drawn.
    """
    return of_resamples(np.concatenate(list(_resampled_means(np.atleast_2d(difference), rng, resamples))))


def of_resamples(values: np.ndarray) -> BootstrapResult:
    """The result of a bootstrap, with a 95 % interval, from the statistic's values (R,) in the resamples."""
    low, high = np.quantile(values, [(1 - 0.95) / 2, (1 + 0.95) / 2])
    tail = min((values <= 0).sum(), (values >= 0).sum())
    p = min(1.0, 2 * (1 + int(tail)) / (1 + len(values)))
    return BootstrapResult(float(low), float(high), p, float(values.std(ddof=1)))


def _resampled_means(difference: np.ndarray, rng: np.random.Generator, resamples: int) -> Iterator[np.ndarray]:
    """Means of bootstrap resamples, in batches that keep memory small for any N."""
    seeds, images = difference.shape
    # Images with the same differences are interchangeable, so drawing how often each pattern
    # occurs is the same as drawing images, and far faster for the few patterns of 0 and ±1.
    patterns, counts = np.unique(difference, axis=1, return_counts=True)
    pattern = np.repeat(np.arange(len(counts)), counts)
    batch = max(1, 2_000_000 // patterns.shape[1])
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        # One binomial per pattern and resample; with many patterns, drawing the images is faster.
        if len(counts) <= 1000:
            image_weights = rng.multinomial(images, counts / images, size=size) / images
        else:
            drawn = (pattern[rng.integers(images, size=images)] for _ in range(size))
            image_weights = np.stack([np.bincount(each, minlength=len(counts)) for each in drawn]) / images
        seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=size) / seeds
        yield np.einsum("rk,rk->r", seed_weights @ patterns, image_weights)


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm-adjusted p-values (K,) of a family of K tests, in the given order.

    Holm 1979, https://www.jstor.org/stable/4615733
    """
    from statsmodels.stats.multitest import multipletests

    values = np.asarray(p, dtype=float)
    return multipletests(values, method="holm")[1] if values.size else values


def detectable_effect(
    discordant_rate: float, images: int, seeds: int = 1, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Smallest true difference in accuracy (a fraction) that McNemar's test finds with ``power``.

    Solves n·d² = (z(1-alpha/2)·sqrt(r) + z(power)·sqrt(r - d²))² for d, with r the fraction of
    discordant images and n = images × seeds pairs. Several seeds on the same images are not quite
    independent, which makes the answer a lower bound for them. A discordant rate too low to reach
    the power is raised to the lowest one that can, so that full agreement does not read as perfect
    resolution; 1 means that no difference could be found.

    Miettinen 1968, https://doi.org/10.2307/2528039; Connor 1987, https://doi.org/10.2307/2531961
    """
    n, a, b = images * seeds, _normal_quantile(1 - alpha / 2), _normal_quantile(power)
    root = math.sqrt(max(0.0, n + b**2 - a**2))
    agreeing = max(0.0, (math.sqrt(n) * root - a * b) / (n + b**2))
    rate = max(discordant_rate, 1 - agreeing**2)
    return min(1.0, math.sqrt(rate) * (math.sqrt(n) * a + b * root) / (n + b**2))


def seeds_needed(effect: float, between_seed_sd: float) -> int:
    """Seeds (at least 2) for a paired t-test over seeds to find ``effect`` with power 0.8 at alpha 0.05.

    ``between_seed_sd`` is the standard deviation over seeds of the per-seed difference, in the unit
    of ``effect``. ValueError when the effect is zero: no number of seeds finds it.

    Cohen 1988, chapter 2, https://doi.org/10.4324/9780203771587
    """
    from statsmodels.stats.power import TTestPower

    if effect == 0:
        raise ValueError("no number of seeds detects an effect of zero")
    # Beyond 50 standard deviations two seeds do, and the noncentral t loses its precision.
    size = min(50.0, abs(effect) / between_seed_sd) if between_seed_sd > 0 else 50.0
    normal = ((_normal_quantile(1 - ALPHA / 2) + _normal_quantile(0.8)) / size) ** 2
    seeds = max(2, math.floor(normal))
    while TTestPower().power(size, seeds, ALPHA) < 0.8:
        seeds += 1
    return seeds


def compare(
    treated: Sequence[Predictions],
    control: Sequence[Predictions],
    rng: np.random.Generator,
    resamples: int = 10_000,
    alpha: float = ALPHA,
    believed: float = 0.0,
) -> Comparison:
    """Compare two experiments seed by seed and image by image; element s of both is one seed.

    ``alpha`` is the level at which the detectable effect is to be seen: for one of m comparisons
    adjusted together, 0.05 / m (Bonferroni) bounds what Holm's method asks of it. With one seed, ``believed`` is
    the least difference that counts; a true one must exceed it by z(0.8) standard errors to be seen.

    One seed: exact McNemar test, Bonett-Price interval, McNemar power. Several seeds: bootstrap
    over seeds and images, and a detectable effect of (z(1 - alpha/2) + z(0.8)) bootstrap standard errors
    (Bloom 1995, https://doi.org/10.1177/0193841X9501900504), never below the one-seed formula's.

    StudyError when the two have different numbers of seeds, none, or different images.
    """
    if not treated or len(treated) != len(control):
        raise StudyError(
            f"cannot pair {len(treated)} seeds with {len(control)}; run both experiments with the same seeds"
        )
    first = treated[0]
    if not all(np.array_equal([first.indices, first.labels], [p.indices, p.labels]) for p in (*treated, *control)):
        raise StudyError("cannot compare runs on different test images; rerun the older one in this study")
    ours = np.stack([p.correct for p in treated])
    theirs = np.stack([p.correct for p in control])
    seeds, images = ours.shape
    discordant = float((ours != theirs).mean())
    observed = float(ours.mean() - theirs.mean())
    detectable = detectable_effect(discordant, images, seeds, alpha)
    if seeds == 1:
        only_ours, only_theirs, p = mcnemar(ours[0], theirs[0])
        span = paired_interval(only_ours, only_theirs, images)
        detectable = max(detectable, believed + _normal_quantile(0.8) * math.sqrt(discordant / images))
        return Comparison(observed, span.low, span.high, p, seeds, detectable)
    result = bootstrap_difference(ours.astype(float) - theirs, rng, resamples)
    detectable = max(detectable, (_normal_quantile(1 - alpha / 2) + _normal_quantile(0.8)) * result.standard_error)
    return Comparison(observed, result.low, result.high, result.p, seeds, detectable)


def _normal_quantile(probability: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(probability))
