"""Several differences tested together: simultaneous intervals beside adjusted p-values."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from analysis.statistics.comparison import holm
from analysis.statistics.crossed import ALPHA, estimate_of

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
    adjusted = holm([estimate.p for estimate in found.values()])
    level = 1 - ALPHA / max(1, len(found))
    return {
        name: Contrast(
            estimate.value, estimate.interval(level).low, estimate.interval(level).high, float(p), len(found)
        )
        for (name, estimate), p in zip(found.items(), adjusted, strict=True)
    }
