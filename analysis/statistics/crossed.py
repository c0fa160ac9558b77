"""Means over seeds and test images that both vary, and what more seeds would show.

Every seed is measured on the same images, so a score or a difference is a table of S seeds × N images, crossed and
without replication. Its mean varies with the images, with the seeds, and with what is left (Searle, Casella &
McCulloch 1992, chapter 4, https://doi.org/10.1002/9780470316856).
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np

from study.metrics.intervals import Interval

# Whom a test is about: the recipes, whatever seeds they are trained with, or the networks at hand.
About = Literal["recipes", "networks"]
ALPHA, LEVEL, POWER = 0.05, 0.95, 0.8
# Fewer trainings of each side carry no verdict about a recipe.
MIN_SEEDS = 3
# Images of either sort that a test of a share or of an area under a curve takes: with fewer its normal law does not
# hold. Of two equal scores a difference in AUROC at 5 % was found in 10 to 13 % of samples with 5, in 8 to 10 % with 10
# and in 6 % with 20 errors among 300 or 2,000 images.
FEWEST = 20
MANY_SEEDS = 1000
TINY = 1e-6
# Between trainings of CIFAR-10 for 64 epochs that differ in nothing but chance, on 10,000 test images: Jordan 2023,
# https://arxiv.org/abs/2304.01910, figure 1; shorter ones differ by more. Stands in where no experiment was repeated.
SEED_SD = 0.0015


@dataclass(frozen=True)
class MeanSquares:
    """Two-way analysis of variance of values (``seeds``, ``images``): mean, and mean squares by what they vary with.

    One seed has neither ``between_seeds`` nor ``interaction`` (NaN); its images vary in both at once.
    """

    mean: float
    between_images: float
    between_seeds: float
    interaction: float
    seeds: int
    images: int

    @classmethod
    def of(cls, values: np.ndarray) -> MeanSquares:
        """Of values (S, N)."""
        values = np.asarray(values, dtype=float)
        (seeds, images), mean = values.shape, float(values.mean())
        by_image, by_seed = values.mean(axis=0) - mean, values.mean(axis=1) - mean
        of_images, of_seeds = seeds * float(by_image @ by_image), images * float(by_seed @ by_seed)
        left = float(np.vdot(values, values)) - seeds * images * mean**2 - of_images - of_seeds
        between_images = of_images / max(1, images - 1)
        if seeds == 1:
            return cls(mean, between_images, math.nan, math.nan, seeds, images)
        interaction = max(0.0, left) / ((seeds - 1) * max(1, images - 1))
        return cls(mean, between_images, of_seeds / (seeds - 1), interaction, seeds, images)

    @property
    def of_images(self) -> float:
        """S × the variance between images that every seed would show; with one seed it cannot be told apart: 0."""
        return 0.0 if self.seeds == 1 else max(0.0, self.between_images - self.interaction)

    @property
    def own(self) -> Chance:
        """Chance in training as these seeds alone show it."""
        spread = self.between_seeds / self.interaction if self.interaction > 0 else 1.0
        return Chance(spread, self.seeds - 1, 1.0)

    def with_seeds(self, seeds: int) -> MeanSquares:
        """What is to be expected of so many seeds; one seed's variance is taken for interaction."""
        interaction = self.between_images if self.seeds == 1 else self.interaction
        of_images = self.of_images * seeds / self.seeds
        return replace(self, between_images=interaction + of_images, interaction=interaction, seeds=seeds)


@dataclass(frozen=True)
class Chance:
    """Chance in training: how much more seeds vary than independent images would make them, as a ratio.

    Mean square between seeds over that of the interaction, 1 where trainings differ by each image's own luck alone.
    It was estimated with ``degrees`` of freedom, to which a further seed adds ``per_seed``. ``prior`` says how much
    alike the comparisons are that it was estimated from: for each of them it is worth so many degrees of freedom of
    that comparison's own, infinitely many where they do not differ.
    """

    overdispersion: float
    degrees: float
    per_seed: float
    prior: float = math.inf

    def of(self, squares: MeanSquares) -> Chance:
        """Of one comparison: its own seeds' and that of all, weighed as much as they are alike.

        The moderated variance of Smyth 2004, https://doi.org/10.2202/1544-6115.1027, about the mean; never less than
        independent images make.
        """
        if squares.seeds == 1 or math.isinf(self.prior):
            return self
        own, degrees = squares.own, self.prior + squares.own.degrees
        spread = (self.prior * self.overdispersion + own.degrees * own.overdispersion) / degrees
        return replace(self, overdispersion=max(1.0, spread), degrees=min(degrees, self.degrees))

    def with_seeds(self, seeds: int) -> Chance:
        """As well as so many seeds would tell it."""
        return replace(self, degrees=min(self.prior + seeds - 1, self.per_seed * (seeds - 1)))


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error and the degrees of freedom of its t reference."""

    value: float
    standard_error: float
    degrees: float

    def interval(self, level: float = LEVEL) -> Interval:
        """Student's interval."""
        half = _t_quantile((1 + level) / 2, self.degrees) * self.standard_error
        return Interval(self.value - half, self.value + half)

    @property
    def p(self) -> float:
        """Two-sided, against zero."""
        return 2 * self._tail(abs(self.value))

    def p_equivalence(self, margin: float) -> float:
        """That the mean is not within ``margin`` of zero, by two one-sided tests.

        Schuirmann 1987, https://doi.org/10.1007/BF01068419
        """
        return self._tail(margin - abs(self.value))

    def detectable(self, alpha: float) -> float:
        """The true mean that a two-sided test at ``alpha`` finds with power 0.8."""
        return _noncentrality(self.degrees, alpha) * self.standard_error

    def power_of_equivalence(self, margin: float, alpha: float) -> float:
        """How likely both one-sided tests at ``alpha`` are to find the mean within ``margin``, if it is this one.

        A lower bound, as it counts each test's failures by itself; never below 0.
        """
        if self.standard_error == 0:
            return float(abs(self.value) < margin)
        critical = _t_quantile(1 - alpha, self.degrees)
        sizes = ((margin - self.value) / self.standard_error, (margin + self.value) / self.standard_error)
        return max(0.0, sum(_power(critical, size, self.degrees) for size in sizes) - 1)

    def _tail(self, distance: float) -> float:
        from scipy import stats

        if self.standard_error == 0:
            return 0.5 if distance == 0 else float(distance < 0)
        return float(stats.t.sf(distance / self.standard_error, self.degrees))


def over_networks(squares: MeanSquares) -> Estimate:
    """The mean over the networks at hand: images vary, seeds do not."""
    spread = squares.between_images * (squares.images - 1) / squares.images
    return Estimate(squares.mean, math.sqrt(spread / (squares.seeds * squares.images)), math.inf)


def estimate_of(values: np.ndarray) -> Estimate:
    """The mean of values (S, N) of the networks at hand, as it varies with the images."""
    return over_networks(MeanSquares.of(values))


def over_recipes(squares: MeanSquares, chance: Chance) -> Estimate:
    """The mean over all seeds a recipe may be trained with, and all images.

    Images contribute what they show in every seed; chance in training contributes the interaction times its
    overdispersion, so that it may be pooled over comparisons whose networks disagree on more or fewer images.
    Degrees of freedom: Satterthwaite 1946, https://doi.org/10.2307/3002019
    """
    of_seeds = chance.overdispersion * squares.interaction
    total = squares.of_images + of_seeds
    spread = of_seeds**2 / chance.degrees + squares.of_images**2 / max(1, squares.images - 1)
    error = math.sqrt(total / (squares.seeds * squares.images))
    return Estimate(squares.mean, error, total**2 / spread if spread > 0 else math.inf)


def pooled(squares: Mapping[tuple[str, ...], MeanSquares]) -> Chance | None:
    """Chance in training from several comparisons, by the pair of experiments each is of; None without repetition."""
    usable = {pair: each for pair, each in squares.items() if each.seeds > 1 and each.interaction > 0}
    if not usable:
        return None
    repeats = {pair: each.seeds - 1 for pair, each in usable.items()}
    spread = sum(repeats[pair] * each.own.overdispersion for pair, each in usable.items()) / sum(repeats.values())
    alike = prior_degrees([each.own for each in usable.values()])
    return Chance(spread, degrees_together(repeats), degrees_together(dict.fromkeys(usable, 1)), alike)


def prior_degrees(seen: Sequence[Chance]) -> float:
    """Degrees of freedom that the mean is worth for each, infinite where they do not vary more than by chance.

    From the variance of their logarithms, of which chance makes a known part: Smyth 2004, section 6.2.
    """
    from scipy import optimize, special

    halves = np.array([each.degrees / 2 for each in seen])
    logs = np.log([max(each.overdispersion, TINY) for each in seen]) - special.digamma(halves) + np.log(halves)
    excess = float(logs.var(ddof=1) - special.polygamma(1, halves).mean()) if len(seen) > 1 else 0.0
    if excess <= TINY:
        return math.inf
    return 2 * float(optimize.brentq(lambda half: special.polygamma(1, half) - excess, TINY, 1 / TINY))


def chance_of(squares: MeanSquares, together: Chance | None) -> Chance:
    """Chance in training of one comparison, as it and all others ``together`` show it, or by itself where none do."""
    return together.of(squares) if together else squares.own


def degrees_together(repeats: Mapping[tuple[str, ...], int]) -> float:
    """Degrees of freedom of a variance that comparisons tell together, from those that each pair would have alone.

    Two comparisons that share an experiment share half of their chance, so their squares correlate by a quarter.
    """
    shared = sum(
        min(repeats[a], repeats[b]) * (1.0 if a == b else 0.25 if {*a} & {*b} else 0.0)
        for a, b in product(repeats, repeat=2)
    )
    return sum(repeats.values()) ** 2 / shared


def assumed(squares: MeanSquares, per_seed: float) -> Chance:
    """Chance in training of a difference whose networks were never repeated: ``SEED_SD`` on either side on top."""
    variance = squares.with_seeds(1).between_images
    shift = 2 * SEED_SD**2 * squares.images
    return Chance(1 + shift / variance if variance > 0 else 1.0, per_seed, per_seed)


def planned(squares: MeanSquares, chance: Chance, seeds: int) -> Estimate:
    """The estimate that so many seeds would give, if mean and variances are as they look now."""
    return over_recipes(squares.with_seeds(seeds), chance.with_seeds(seeds))


def seeds_needed(squares: MeanSquares, chance: Chance, size: float, alpha: float) -> int | None:
    """Seeds, at least ``MIN_SEEDS``, with which a test at ``alpha`` would find a mean of ``size`` with power 0.8.

    None where ``MANY_SEEDS`` would not on these images, as for a size of zero.
    """
    return _least(lambda seeds: planned(squares, chance, seeds).detectable(alpha) <= size)


def seeds_for_equivalence(squares: MeanSquares, chance: Chance, margin: float, alpha: float) -> int | None:
    """The same for two one-sided tests to find that the mean is within ``margin``, if it is what was seen."""
    return _least(lambda seeds: planned(squares, chance, seeds).power_of_equivalence(margin, alpha) >= POWER)


def _least(enough: Callable[[int], bool]) -> int | None:
    """The least number of seeds that is enough, given that more of them always are; None where none is."""
    seeds = range(MIN_SEEDS, MANY_SEEDS + 1)
    found = bisect_left(seeds, True, key=enough)
    return seeds[found] if found < len(seeds) else None


def _t_quantile(probability: float, degrees: float) -> float:
    from scipy import stats

    return float(stats.t.ppf(probability, degrees))


def _noncentrality(degrees: float, alpha: float) -> float:
    """How many standard errors a true mean must be for a two-sided t test to find it with power 0.8."""
    from scipy import optimize

    critical = _t_quantile(1 - alpha / 2, degrees)
    return float(optimize.brentq(lambda size: _power(critical, size, degrees) - POWER, 0, 3 * critical + 10))


def _power(critical: float, size: float, degrees: float) -> float:
    """How likely a mean of ``size`` standard errors is to lie above the critical value."""
    from scipy import stats

    if degrees > MANY_SEEDS:
        return float(stats.norm.sf(critical - size))
    return float(stats.nct.sf(critical, degrees, size))
