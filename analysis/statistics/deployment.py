"""Every timed model with its accuracy, size and latency, and which of them a deployment would choose."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.view import StudyView
from study.files import read_json
from study.kinds import Latency
from study.records import LATENCY

COLUMNS = (
    "model", "precision", "accuracy", "bytes", "p50_ms", "p50_low_ms", "p50_high_ms", "p95_ms", "images_per_second",
)  # fmt: skip
MEASURED = ["bytes", "p50_ms", "p50_low_ms", "p50_high_ms", "p95_ms"]


def deployment_frame(view: StudyView) -> pd.DataFrame:
    """One row per timed model and precision: latencies (ms) at batch 1 on one thread, means over seeds.

    Columns: model (key), precision, accuracy (test, fraction), bytes, p50_ms, the bounds p50_low_ms and p50_high_ms of
    its interval (NaN where it was timed too seldom), p95_ms and images_per_second (the best over the batch sizes and
    numbers of threads tried). Empty while nothing was timed.
    """
    runs = [run for latency in view.of_kind(Latency) for run in view.runs_of(latency.key)]
    timed = pd.DataFrame([row | {"run": run.name} for run in runs for row in read_json(run.folder / LATENCY)])
    if timed.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    timed[MEASURED] = timed[MEASURED].astype(float)
    names = ["model", "precision"]
    alone = timed[(timed["batch"] == 1) & (timed["threads"] == timed["threads"].min())]
    frame = alone.groupby(names, sort=False)[MEASURED].mean()
    best = timed.groupby([*names, "run"])["images_per_second"].max()
    frame = frame.join(best.groupby(names).mean()).reset_index()
    frame["accuracy"] = [view.metric(key, "test_accuracy") for key in frame["model"]]
    return frame[list(COLUMNS)]


def pareto_front(frame: pd.DataFrame, *costs: str) -> np.ndarray:
    """Which rows are on the Pareto front, (rows,) bool: more ``accuracy`` is better, less of every cost is better.

    A row is off the front when another is at least as good in every column and better in one; equal
    rows stay together. A row with a missing value is never on it.
    """
    losses = np.column_stack([-frame["accuracy"].to_numpy(float), frame[list(costs)].to_numpy(float)])
    no_worse = (losses[:, None] <= losses[None]).all(axis=2)
    better = (losses[:, None] < losses[None]).any(axis=2)
    dominated = (no_worse & better).any(axis=0)
    return ~dominated & ~np.isnan(losses).any(axis=1)
