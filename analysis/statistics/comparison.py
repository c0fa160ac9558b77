"""Accuracy and paired comparison of two experiments on the same test images, and what it could have detected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.statistics.crossed import (
    MIN_SEEDS,
    POWER,
    About,
    Chance,
    Estimate,
    MeanSquares,
    assumed,
    chance_of,
    over_networks,
    over_recipes,
    planned,
    seeds_for_equivalence,
    seeds_needed,
)
from study.metrics.intervals import wilson
from study.records import Predictions

MARGIN = 0.003
EXACT, PAIRED = "exact McNemar test", "paired z test over images"  # of one pair of networks, and of several
CROSSED = "crossed analysis of variance"  # of recipes


@dataclass(frozen=True)
class Accuracy:
    """Accuracy over seeds, as fractions in [0, 1].

    ``sd`` is the sample standard deviation between seeds (None for one seed). The 95 % interval ``low`` to ``high``
    covers the sampling of test images, and with several seeds chance in training, too.
    """

    mean: float
    sd: float | None
    low: float
    high: float
    seeds: int
    images: int


@dataclass(frozen=True)
class Comparison:
    """Treated minus control, as fractions of the test images.

    ``about`` says whom it is about: with "recipes" interval and p cover seeds and images, with "networks" images
    alone. ``difference`` is the mean over seeds with its 95 % interval ``low`` to ``high``; ``p`` is two-sided and
    ``p_equivalence`` that of two one-sided tests against ``margin``; interval and p are of this comparison alone.
    """

    about: About
    test: str
    difference: float
    low: float
    high: float
    p: float
    p_equivalence: float
    margin: float
    seeds: int
    images: int


@dataclass(frozen=True)
class PowerAnalysis:
    """What a comparison could have seen: the true difference that it finds with power 0.8, as a fraction.

    Where networks were retrained fewer than ``MIN_SEEDS`` times, the one that so many would find. ``matters`` seeds
    would find the smallest difference that matters; as the difference looks now, ``seeds`` would find it, and
    ``equivalent`` so many that it does not matter. None where a thousand would not on these images, or nothing is
    retrained.
    """

    detectable: float
    matters: int | None = None
    seeds: int | None = None
    equivalent: int | None = None


def summarise(predictions: Sequence[Predictions]) -> Accuracy:
    """Accuracy of one experiment from the predictions of its seeds, one element per seed, as ``accuracy_of`` says."""
    return accuracy_of(np.stack([p.correct for p in predictions]))


def accuracy_of(correct: np.ndarray) -> Accuracy:
    """Accuracy over seeds and images that were classified correctly, (S, N) bool; so, too, any score in [0, 1] whose
    contributions (S, N) are given (``analysis.statistics.influence``).

    The interval is Wilson's with the effective number of images, which would vary as much as seeds and images do here:
    Korn & Graubard 1998, https://www150.statcan.gc.ca/n1/en/catalogue/12-001-X19980024356. StudyError when there are no
    images.
    """
    seeds, images = correct.shape
    mean = float(correct.mean()) if images else 0.0
    effective = _effective(MeanSquares.of(correct)) if 0 < mean < 1 else float(images)
    interval = wilson(mean * effective, effective)
    sd = float(correct.mean(axis=1).std(ddof=1)) if seeds > 1 else None
    return Accuracy(mean, sd, interval.low, interval.high, seeds, images)


def _effective(squares: MeanSquares) -> float:
    """Images that one network would have to see for its accuracy to be as uncertain as this mean.

    No more than were classified, which few images may seem to exceed by chance.
    """
    estimate = over_recipes(squares, squares.own) if squares.seeds > 1 else over_networks(squares)
    half, unit = estimate.interval(), Estimate(0.0, 1.0, math.inf).interval()
    variance, most = squares.mean * (1 - squares.mean), squares.seeds * squares.images
    error = (half.high - half.low) / (unit.high - unit.low)
    return variance / max(error**2, variance / most)


def mcnemar(correct_a: np.ndarray, correct_b: np.ndarray) -> float:
    """Two-sided p of the exact McNemar test of two classifiers on the same images; both arguments (N,) bool.

    McNemar 1947, https://doi.org/10.1007/BF02295996; for classifiers Dietterich 1998,
    https://doi.org/10.1162/089976698300017197
    """
    from statsmodels.stats.contingency_tables import mcnemar as test

    only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    return float(test([[0, only_a], [only_b, 0]], exact=True).pvalue)


def holm(p: Sequence[float] | np.ndarray, at_most: int | None = None) -> np.ndarray:
    """Holm-adjusted p-values (K,) of a family of K tests, in the given order.

    ``at_most`` says how many of their null hypotheses can be true at once, all if None: Shaffer 1986,
    https://doi.org/10.1080/01621459.1986.10478341. Holm 1979, https://www.jstor.org/stable/4615733
    """
    values = np.asarray(p, dtype=float)
    order = values.argsort(kind="stable")
    left = np.arange(len(values), 0, -1).clip(max=len(values) if at_most is None else at_most)
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(values[order] * left).clip(max=1) if len(values) else values
    return adjusted


def detectable_effect(discordant_rate: float, images: int, alpha: float) -> float:
    """Smallest true difference in accuracy (a fraction) of two networks that McNemar's test finds with power 0.8.

    Solves n·d² = (z(1-alpha/2)·sqrt(r) + z(0.8)·sqrt(r - d²))² for d, with r the fraction of
    discordant images and n the number of images. A discordant rate too low to reach
    the power is raised to the lowest one that can, so that full agreement does not read as perfect
    power; 1 means that no difference could be found.

    Miettinen 1968, https://doi.org/10.2307/2528039; Connor 1987, https://doi.org/10.2307/2531961
    """
    from scipy.special import ndtri

    n, (a, b) = images, ndtri([1 - alpha / 2, POWER]).tolist()
    root = math.sqrt(max(0.0, n + b**2 - a**2))
    agreeing = max(0.0, (math.sqrt(n) * root - a * b) / (n + b**2))
    rate = max(discordant_rate, 1 - agreeing**2)
    return min(1.0, math.sqrt(rate) * (math.sqrt(n) * a + b * root) / (n + b**2))


def difference_squares(treated: np.ndarray, control: np.ndarray) -> MeanSquares:
    """Analysis of variance of the difference between two sides' correctness, (S, N) bool each.

    Two images are added, of which on average one seed of the treated side, and one of the control, has one right
    alone, so that full agreement does not read as certainty: with one seed this makes the interval of Bonett & Price
    2012, https://doi.org/10.3102/1076998611411915, recommended by Fagerland, Lydersen & Laake 2014,
    https://doi.org/10.1002/sim.6148.
    """
    difference = treated.astype(float) - control
    added = np.array([1.0, -1.0]) / len(difference)
    return MeanSquares.of(np.hstack([difference, np.tile(added, (len(difference), 1))]))


def compare(
    treated: np.ndarray,
    control: np.ndarray,
    retrained: bool = False,
    chance: Chance | None = None,
    margin: float = MARGIN,
) -> Comparison:
    """Compare two experiments seed by seed and image by image, by whether each side is right, (S, N) bool each.

    ``retrained`` sides are compared as recipes from ``MIN_SEEDS`` seeds on, with chance in training as ``chance`` or
    else their own seeds show it; with fewer, and where nothing was retrained, the networks at hand are compared.
    One pair of networks gets the exact McNemar test.
    """
    squares = difference_squares(treated, control)
    seeds, images = treated.shape
    recipes = retrained and seeds >= MIN_SEEDS
    estimate = over_recipes(squares, chance_of(squares, chance)) if recipes else over_networks(squares)
    interval = estimate.interval()
    p, test = estimate.p, CROSSED if recipes else PAIRED
    if seeds == 1:
        p, test = mcnemar(treated[0], control[0]), EXACT
    return Comparison(
        "recipes" if recipes else "networks",
        test,
        float(treated.mean() - control.mean()),
        max(-1.0, interval.low),
        min(1.0, interval.high),
        p,
        estimate.p_equivalence(margin),
        margin,
        seeds,
        images,
    )


def power_analysis(
    treated: np.ndarray,
    control: np.ndarray,
    retrained: bool,
    chance: Chance | None,
    per_seed: float,
    alpha: float,
    margin: float = MARGIN,
) -> PowerAnalysis:
    """What the comparison of two experiments could have seen at ``alpha``; arguments as of ``compare``.

    For one of m comparisons adjusted together ``alpha`` is 0.05 / m. ``per_seed`` is how many degrees of freedom a
    seed would add where networks were never repeated, so that chance in training is not known yet.
    """
    squares = difference_squares(treated, control)
    seeds, images = treated.shape
    if retrained:
        unknown = seeds == 1 and chance is None
        chance = assumed(squares, per_seed) if unknown else chance_of(squares, chance)
        found = over_recipes(squares, chance) if seeds >= MIN_SEEDS else planned(squares, chance, MIN_SEEDS)
        seen = found.detectable(alpha)
        equivalent = seeds_for_equivalence(squares, chance, margin, alpha)
        matters, needed = (seeds_needed(squares, chance, size, alpha) for size in (margin, abs(squares.mean)))
        return PowerAnalysis(min(1.0, seen), matters, needed, equivalent)
    if seeds == 1:
        return PowerAnalysis(detectable_effect(float((treated != control).mean()), images, alpha))
    return PowerAnalysis(min(1.0, over_networks(squares).detectable(alpha)))


def adjusted(comparisons: Sequence[Comparison]) -> list[tuple[float, float]]:
    """Each comparison's p and p of equivalence, adjusted together for all of them (Holm, Shaffer).

    No difference can be both none and one that matters: of the two hypotheses of a comparison at most one is true.
    """
    raw = np.array([(each.p, each.p_equivalence) for each in comparisons]).reshape(-1, 2)
    values = holm(raw.ravel(), at_most=len(raw)).reshape(-1, 2)
    return [(float(p), float(equivalence)) for p, equivalence in values]
