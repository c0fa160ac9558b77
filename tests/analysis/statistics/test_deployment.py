"""Timed models with their accuracy, and the front they make."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.deployment import COLUMNS, deployment_frame, pareto_front
from analysis.view import view_study
from study.files import write_json
from study.records import LATENCY, Outcome, finish
from tests.fabricate import fabricate


def add_timings(study: Path, *rows: dict[str, object]) -> None:
    """Append rows to the recorded latencies, which makes a new complete run."""
    folder = study / "level5" / "latency" / "seed-0"
    path = folder / "latency.json"
    path.write_text(json.dumps([*json.loads(path.read_text()), *rows]))
    finish(folder, Outcome(durations={"total": 1.0}))


def timing(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "model": "level3/se-head", "precision": "float32", "runtime": "onnxruntime", "batch": 1, "threads": 1,
        "p50_ms": 1.4, "p50_low_ms": 1.3, "p50_high_ms": 1.5,
        "p95_ms": 2.0, "p99_ms": 4.0, "images_per_second": 400.0, "bytes": 12_000_000,
    }  # fmt: skip
    return row | changes


def test_latency_is_that_of_batch_one_and_throughput_that_of_the_best_batch(tmp_path: Path) -> None:
    study = fabricate(tmp_path, images=60)
    add_timings(study, timing(batch=64, p50_ms=50.0, images_per_second=1280.0), timing(threads=2, p50_ms=1.0))
    frame = deployment_frame(view_study(study)).set_index("model")
    assert frame.loc["level3/se-head", "p50_ms"] == pytest.approx(1.4)
    assert frame.loc["level3/se-head", "images_per_second"] == 1280


def test_latency_and_the_best_throughput_of_each_seed_are_averaged(tmp_path: Path) -> None:
    study = fabricate(tmp_path, seeds=(0, 1), images=60)
    for seed, p50, one, many in ((0, 1.0, 100.0, 400.0), (1, 3.0, 200.0, 300.0)):
        folder = study / "level5" / "latency" / f"seed-{seed}"
        alone = timing(p50_ms=p50, images_per_second=one)
        write_json(folder / LATENCY, [alone, timing(batch=64, p50_ms=50.0, images_per_second=many)])
        finish(folder, Outcome(durations={"total": 1.0}))
    (row,) = deployment_frame(view_study(study)).itertuples()
    assert (row.p50_ms, row.images_per_second) == ((1 + 3) / 2, (400 + 300) / 2)


def test_a_model_timed_too_seldom_has_no_interval_of_its_median(tmp_path: Path) -> None:
    study = fabricate(tmp_path, images=60)
    add_timings(study, timing(model="level5/compact-student", precision="float16", p50_low_ms=None, p50_high_ms=None))
    frame = deployment_frame(view_study(study)).set_index("precision")
    assert np.isnan(frame.loc["float16", "p50_low_ms"])
    assert (frame.loc["int8", "p50_low_ms"] < frame.loc["int8", "p50_ms"]).all()


def test_nothing_timed_gives_an_empty_frame(tmp_path: Path) -> None:
    frame = deployment_frame(view_study(fabricate(tmp_path, images=60, skip=["level5/latency"])))
    assert frame.empty
    assert tuple(frame.columns) == COLUMNS


def rows_of(*rows: tuple[float, ...], columns: tuple[str, ...] = ("accuracy", "cost")) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def test_front_keeps_what_nothing_beats() -> None:
    models = rows_of((0.90, 5.0), (0.92, 9.0), (0.91, 9.5), (0.89, 4.0), (0.88, 4.5))
    assert pareto_front(models, "cost").tolist() == [True, True, False, True, False]


def test_equal_accuracy_at_lower_cost_wins() -> None:
    assert pareto_front(rows_of((0.9, 5.0), (0.9, 4.0)), "cost").tolist() == [False, True]


def test_equal_models_stay_together() -> None:
    assert pareto_front(rows_of((0.9, 5.0), (0.9, 5.0)), "cost").tolist() == [True, True]


def test_a_second_cost_can_keep_a_slower_model() -> None:
    models = rows_of((0.9, 5.0, 40.0), (0.9, 6.0, 10.0), columns=("accuracy", "p50_ms", "bytes"))
    assert pareto_front(models, "p50_ms").tolist() == [True, False]
    assert pareto_front(models, "p50_ms", "bytes").tolist() == [True, True]


def test_a_missing_cost_neither_enters_nor_shapes_the_front() -> None:
    assert pareto_front(rows_of((0.99, np.nan), (0.9, 5.0)), "cost").tolist() == [False, True]


def test_no_models_have_no_front() -> None:
    assert pareto_front(rows_of(), "cost").tolist() == []


def test_off_the_front_means_beaten_by_a_model_on_it() -> None:
    rng = np.random.default_rng(0)
    models = rows_of(*rng.random((60, 2)).round(1))
    front = pareto_front(models, "cost")
    best = models[front]
    for accuracy, cost in models[~front].to_numpy():
        at_least = (best["accuracy"] >= accuracy) & (best["cost"] <= cost)
        assert (at_least & ((best["accuracy"] > accuracy) | (best["cost"] < cost))).any()
    for accuracy, cost in best.to_numpy():
        assert not ((models["accuracy"] > accuracy) & (models["cost"] < cost)).any()
