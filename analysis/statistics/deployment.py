"""What a deployment would choose: models that no other model beats on accuracy and every cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def pareto_front(frame: pd.DataFrame, accuracy: str = "accuracy", cost: str | Sequence[str] = "cost") -> np.ndarray:
    """Which rows are on the Pareto front, (rows,) bool: more accuracy is better, less cost is better.

    A row is off the front when another is at least as good in every column and better in one; equal
    rows stay together. Several cost columns span a front in as many dimensions. A row with a
    missing value is never on it.
    """
    costs = [cost] if isinstance(cost, str) else list(cost)
    losses = np.column_stack([-frame[accuracy].to_numpy(float), frame[costs].to_numpy(float)])
    no_worse = (losses[:, None] <= losses[None]).all(axis=2)
    better = (losses[:, None] < losses[None]).any(axis=2)
    dominated = (no_worse & better).any(axis=0)
    return ~dominated & ~np.isnan(losses).any(axis=1)
