"""Several differences tested together: simultaneous intervals beside adjusted p-values."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from analysis.statistics.comparison import difference_squares, holm, mcnemar
from analysis.statistics.crossed import ALPHA, Estimate, estimate_of, over_networks

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Contrast:
    """A mean difference of the networks at hand, in the unit of its values.

    ``low`` to ``high`` holds it with those of its family at 95 % together (Bonferroni), ``p`` is two-sided and adjusted
    over the family (Holm); both cover the sampling of test images.
    """

    difference: float
    low: float
    high: float
    p: float
    family: int = 1

    @property
    def sign(self) -> int:
        """1 or -1 for a difference detected with adjusted p below 0.05, else 0."""
        return int(np.sign(self.difference)) if self.p < ALPHA else 0


def contrasts(values: Mapping[Name, np.ndarray]) -> dict[Name, Contrast]:
    """The family of the mean differences of ``values`` (S, N) each, S seeds on the same N images."""
    found = {name: estimate_of(each) for name, each in values.items()}
    return _family({name: (each.value, each, each.p) for name, each in found.items()})


def accuracy_contrasts(differences: Mapping[Name, np.ndarray]) -> dict[Name, Contrast]:
    """The family of differences in accuracy, each (S, N) of -1, 0 and 1: one side's correctness less the other's.

    As of one comparison (``analysis.statistics.comparison.compare``), intervals hold two images more, and with one seed
    p is that of the exact McNemar test, so that few images do not read as certainty.
    """
    found = {}
    for name, each in differences.items():
        estimate = over_networks(difference_squares(each, np.zeros_like(each)))
        p = mcnemar(each[0] > 0, each[0] < 0)[-1] if len(each) == 1 else estimate.p
        found[name] = float(each.mean()), estimate, p
    return _family(found)


def _family(found: Mapping[Name, tuple[float, Estimate, float]]) -> dict[Name, Contrast]:
    """Contrasts from each one's difference, the estimate that its interval is of, and its p alone."""
    adjusted = holm([p for *_, p in found.values()])
    level = 1 - ALPHA / max(1, len(found))
    intervals = [estimate.interval(level) for _, estimate, _ in found.values()]
    return {
        name: Contrast(difference, interval.low, interval.high, float(p), len(found))
        for (name, (difference, *_)), interval, p in zip(found.items(), intervals, adjusted, strict=True)
    }
