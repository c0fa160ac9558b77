"""Every timed model with its accuracy, size and latency."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.view import StudyView
from study.records import read_json

COLUMNS = (
    "model",
    "precision",
    "runtime",
    "accuracy",
    "bytes",
    "p50_ms",
    "p95_ms",
    "images_per_second",
    "evaluated",
)
LATENCY_FILE = "latency.json"


def deployment_frame(view: StudyView) -> pd.DataFrame:
    """One row per timed model and precision: latencies (ms) at batch 1 on one thread, means over seeds.

    Columns: model (key), precision, runtime, accuracy (test, fraction), bytes, p50_ms, p95_ms,
    images_per_second (the best over the batch sizes tried) and evaluated (key of the experiment the
    accuracy is from). Of several runtimes ONNX Runtime counts. Empty while nothing was timed.
    """
    timed = pd.DataFrame(_timings(view))
    if timed.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    timed = timed[timed["runtime"] == timed.groupby(["model", "precision"])["runtime"].transform("min")]
    names = ["model", "precision", "runtime"]
    alone = timed[(timed["batch"] == 1) & (timed["threads"] == timed["threads"].min())]
    frame = alone.groupby(names, sort=False)[["bytes", "p50_ms", "p95_ms"]].mean()
    frame["images_per_second"] = timed.groupby(names, sort=False)["images_per_second"].max()
    frame = frame.reset_index()
    frame["evaluated"] = [_evaluated(view, m, p) for m, p in zip(frame["model"], frame["precision"], strict=True)]
    frame["accuracy"] = [_accuracy(view, key) for key in frame["evaluated"]]
    return frame[list(COLUMNS)]


def _timings(view: StudyView) -> list[dict[str, Any]]:
    runs = [run for planned in view.of_kind("Latency") for run in view.runs_of(planned.key)]
    return [row for run in runs for row in read_json(run.folder / LATENCY_FILE)]


def _evaluated(view: StudyView, model: str, precision: str) -> str:
    """The experiment that recorded predictions of this model at this precision."""
    planned = view.experiments.get(model)
    if precision != "int8" or (planned and planned.kind == "Quantization"):
        return model
    quantised = [planned.key for planned in view.of_kind("Quantization") if planned.spec["source"] == model]
    return quantised[0] if quantised else model


def _accuracy(view: StudyView, key: str) -> float:
    return view.metric(key, "test_accuracy") if view.predictions(key) else float("nan")
