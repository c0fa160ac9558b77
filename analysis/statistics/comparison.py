"""Paired comparison of two experiments on the same test images, and what it could have detected."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics.accuracy import Interval
from study.errors import StudyError
from study.records import Predictions

ALPHA = 0.05


@dataclass(frozen=True)
class McNemar:
    """Images that only a or only b classified correctly (counts) and the exact two-sided p."""

    only_a: int
    only_b: int
    p: float


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
    that this design finds with power 0.8 at alpha 0.05; ``discordant`` is the mean fraction of
    images that exactly one of the two classified correctly; ``images`` counts one seed's images.
    """

    difference: float
    low: float
    high: float
    p: float
    seeds: int
    images: int
    detectable: float
    discordant: float


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> McNemar:
    """Exact McNemar test of two classifiers on the same images; both arguments (N,) bool.

    McNemar 1947, https://doi.org/10.1007/BF02295996; for classifiers Dietterich 1998,
    https://doi.org/10.1162/089976698300017197
    """
    from statsmodels.stats.contingency_tables import mcnemar as test

    a, b = np.asarray(correct_a, dtype=bool), np.asarray(correct_b, dtype=bool)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return McNemar(only_a, only_b, float(test([[0, only_a], [only_b, 0]], exact=True).pvalue))


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


def bootstrap_difference(
    difference: np.ndarray, rng: np.random.Generator, resamples: int = 2000, level: float = 0.95
) -> BootstrapResult:
    """Bootstrap of the mean of ``difference`` (S, N): S seeds that share N images.

    Every resample draws seeds and, once for all of them, images: the images are the same for every
    seed, so their variability must not average out over seeds. This pigeonhole bootstrap errs on
    the wide side (Owen 2007, https://doi.org/10.1214/07-AOAS122) as long as images vary more than seeds do; where
    two or three seeds differ by more than that, its intervals are too narrow. The p-value inverts the percentile
    interval and counts the observed sample: Davison & Hinkley 1997, section 4.2,
    https://doi.org/10.1017/CBO9780511802843. With one seed only images are drawn.
    """
    means = np.concatenate(list(_resampled_means(np.atleast_2d(difference), rng, resamples)))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    tail = min((means <= 0).sum(), (means >= 0).sum())
    p = min(1.0, 2 * (1 + int(tail)) / (1 + resamples))
    return BootstrapResult(float(low), float(high), p, float(means.std(ddof=1)))


def _resampled_means(difference: np.ndarray, rng: np.random.Generator, resamples: int) -> Iterator[np.ndarray]:
    """Means of bootstrap resamples, in batches that keep memory small for any N."""
    seeds, images = difference.shape
    # Images with the same differences are interchangeable, so drawing how often each pattern
    # occurs is the same as drawing images, and far faster for the few patterns of 0 and ±1.
    patterns, counts = np.unique(difference, axis=1, return_counts=True)
    batch = max(1, 2_000_000 // patterns.shape[1])
    for start in range(0, resamples, batch):
        size = min(batch, resamples - start)
        image_weights = _draws(counts, rng, size) / images
        seed_weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=size) / seeds
        yield np.einsum("rk,rk->r", seed_weights @ patterns, image_weights)


def _draws(counts: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """How often each pattern comes up when its images are drawn with replacement, (size, K)."""
    images = int(counts.sum())
    # One binomial per pattern and resample; with many patterns, drawing the images is faster.
    if len(counts) <= 1000:
        return rng.multinomial(images, counts / images, size=size)
    pattern = np.repeat(np.arange(len(counts)), counts)
    drawn = (pattern[rng.integers(images, size=images)] for _ in range(size))
    return np.stack([np.bincount(patterns, minlength=len(counts)) for patterns in drawn])


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


def seeds_needed(effect: float, between_seed_sd: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Seeds (at least 2) for a paired t-test over seeds to find ``effect`` with ``power``.

    ``between_seed_sd`` is the standard deviation over seeds of the per-seed difference, in the unit
    of ``effect``. ValueError when the effect is zero: no number of seeds finds it.

    Cohen 1988, chapter 2, https://doi.org/10.4324/9780203771587
    """
    from statsmodels.stats.power import TTestPower

    if effect == 0:
        raise ValueError("no number of seeds detects an effect of zero")
    # Beyond 50 standard deviations two seeds do, and the noncentral t loses its precision.
    size = min(50.0, abs(effect) / between_seed_sd) if between_seed_sd > 0 else 50.0
    normal = ((_normal_quantile(1 - alpha / 2) + _normal_quantile(power)) / size) ** 2
    seeds = max(2, math.floor(normal))
    while TTestPower().power(size, seeds, alpha) < power:
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
    _check_paired(treated, control)
    ours = np.stack([p.correct for p in treated])
    theirs = np.stack([p.correct for p in control])
    seeds, images = ours.shape
    discordant = float((ours != theirs).mean())
    observed = float(ours.mean() - theirs.mean())
    detectable = detectable_effect(discordant, images, seeds, alpha)
    if seeds == 1:
        test = mcnemar(ours[0], theirs[0])
        span = paired_interval(test.only_a, test.only_b, images)
        detectable = max(detectable, believed + _normal_quantile(0.8) * math.sqrt(discordant / images))
        return Comparison(observed, span.low, span.high, test.p, seeds, images, detectable, discordant)
    result = bootstrap_difference(ours.astype(float) - theirs, rng, resamples)
    detectable = max(detectable, (_normal_quantile(1 - alpha / 2) + _normal_quantile(0.8)) * result.standard_error)
    return Comparison(observed, result.low, result.high, result.p, seeds, images, detectable, discordant)


def _normal_quantile(probability: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(probability))


def _check_paired(treated: Sequence[Predictions], control: Sequence[Predictions]) -> None:
    if not treated or len(treated) != len(control):
        raise StudyError(
            f"cannot pair {len(treated)} seeds with {len(control)}; run both experiments with the same seeds"
        )
    first, *others = [*treated, *control]
    if any(
        not np.array_equal(first.indices, other.indices) or not np.array_equal(first.labels, other.labels)
        for other in others
    ):
        raise StudyError("cannot compare runs on different test images; rerun the older one in this study")
