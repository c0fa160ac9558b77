"""Several differences tested together: simultaneous intervals beside adjusted p-values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from analysis.statistics.comparison import difference_squares, holm, mcnemar
from analysis.statistics.crossed import (
    ALPHA,
    MIN_SEEDS,
    Estimate,
    MeanSquares,
    chance_of,
    over_networks,
    over_recipes,
    pooled,
)

Name = TypeVar("Name", bound=Hashable)
# Of a difference between recipes: with which others it tells chance in training, and the experiments it is of.
Retrained = tuple[str, tuple[str, str]]


@dataclass(frozen=True)
class Contrast:
    """A mean difference, in the unit of its values.

    ``low`` to ``high`` holds it with those of its family at 95 % together (Bonferroni), ``p`` is two-sided and adjusted
    over the family (Holm); both cover the sampling of test images, and chance in training where recipes are compared.
    It is not ``decidable`` where recipes would be, but too few seeds leave it to these networks.
    """

    difference: float
    low: float
    high: float
    p: float
    family: int = 1
    decidable: bool = True

    @property
    def differs(self) -> int:
        """1 or -1 for a difference detected with adjusted p below 0.05, else 0, of those whom it is about."""
        return int(np.sign(self.difference)) if self.p < ALPHA else 0

    @property
    def sign(self) -> int:
        """``differs`` where that may be a verdict, else 0."""
        return self.differs if self.decidable else 0


def contrasts(
    values: Mapping[Name, np.ndarray], retrained: Mapping[Name, Retrained] | None = None
) -> dict[Name, Contrast]:
    """The family of the mean differences of ``values`` (S, N) each, S seeds on the same N images.

    Those ``retrained`` compare recipes, which takes ``MIN_SEEDS`` seeds; all others are of the networks at hand.
    """
    squares = {name: MeanSquares.of(each) for name, each in values.items()}
    found = _estimates(squares, retrained or {})
    return _family({name: (each.value, each, each.p) for name, each in found.items()}, _few(squares, retrained or {}))


def accuracy_contrasts(
    differences: Mapping[Name, np.ndarray], retrained: Mapping[Name, Retrained] | None = None
) -> dict[Name, Contrast]:
    """The family of differences in accuracy, each (S, N) of -1, 0 and 1: one side's correctness less the other's.

    As of one comparison (``analysis.statistics.comparison.compare``), intervals hold two images more, and with one seed
    p is that of the exact McNemar test, so that few images do not read as certainty. ``retrained`` as of ``contrasts``.
    """
    squares = {name: difference_squares(each, np.zeros_like(each)) for name, each in differences.items()}
    estimates, found = _estimates(squares, retrained or {}), {}
    for name, each in differences.items():
        p = mcnemar(each[0] > 0, each[0] < 0) if len(each) == 1 else estimates[name].p
        found[name] = float(each.mean()), estimates[name], p
    family = _family(found, _few(squares, retrained or {}))
    return {name: replace(each, low=max(-1.0, each.low), high=min(1.0, each.high)) for name, each in family.items()}


def _few(squares: Mapping[Name, MeanSquares], retrained: Mapping[Name, Retrained]) -> set[Name]:
    """Those of recipes that were trained too few times for a verdict."""
    return {name for name in retrained if squares[name].seeds < MIN_SEEDS}


def _estimates(squares: Mapping[Name, MeanSquares], retrained: Mapping[Name, Retrained]) -> dict[Name, Estimate]:
    """Over recipes where they were retrained often enough, with chance as all of a pool tell it, else over networks."""
    pools = defaultdict[str, dict[tuple[str, ...], MeanSquares]](dict)
    recipes = {name: its for name, its in retrained.items() if name not in _few(squares, retrained)}
    for name, (pool, pair) in recipes.items():
        pools[pool][(*pair, repr(name))] = squares[name]
    chances = {pool: pooled(each) for pool, each in pools.items()}
    return {
        name: over_recipes(each, chance_of(each, chances[recipes[name][0]])) if name in recipes else over_networks(each)
        for name, each in squares.items()
    }


def _family(found: Mapping[Name, tuple[float, Estimate, float]], few: set[Name]) -> dict[Name, Contrast]:
    """Contrasts from each one's difference, the estimate that its interval is of, and its p alone."""
    adjusted = holm([p for *_, p in found.values()])
    level = 1 - ALPHA / max(1, len(found))
    intervals = [estimate.interval(level) for _, estimate, _ in found.values()]
    return {
        name: Contrast(difference, interval.low, interval.high, float(p), len(found), name not in few)
        for (name, (difference, *_)), interval, p in zip(found.items(), intervals, adjusted, strict=True)
    }
