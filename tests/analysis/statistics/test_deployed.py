"""Timed models with their accuracy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from analysis.statistics.deployed import COLUMNS, deployment_frame
from analysis.view import view_study
from study.records import finish
from tests.fabricate import fabricate


def add_timings(study: Path, *rows: dict[str, object]) -> None:
    """Append rows to the recorded latencies, which makes a new complete run."""
    folder = study / "level5" / "latency" / "seed-0"
    path = folder / "latency.json"
    path.write_text(json.dumps([*json.loads(path.read_text()), *rows]))
    finish(folder, {}, {"total": 1.0})


def timing(**changes: object) -> dict[str, object]:
    row: dict[str, object] = {
        "model": "level3/se-head", "precision": "float32", "runtime": "onnxruntime", "batch": 1, "threads": 1,
        "p50_ms": 2.4, "p95_ms": 3.0, "p99_ms": 4.0, "images_per_second": 400.0, "bytes": 12_000_000,
    }  # fmt: skip
    return row | changes


def test_latency_is_that_of_batch_one_and_throughput_that_of_the_best_batch(tmp_path: Path) -> None:
    study = fabricate(tmp_path, images=60)
    add_timings(study, timing(batch=64, p50_ms=50.0, images_per_second=1280.0), timing(threads=2, p50_ms=1.0))
    frame = deployment_frame(view_study(study)).set_index("model")
    assert frame.loc["level3/se-head", "p50_ms"] == pytest.approx(2.4)
    assert frame.loc["level3/se-head", "images_per_second"] == 1280


def test_onnxruntime_counts_where_two_runtimes_were_timed(tmp_path: Path) -> None:
    study = fabricate(tmp_path, images=60)
    add_timings(study, timing(runtime="torch", p50_ms=9.0))
    frame = deployment_frame(view_study(study)).set_index("model")
    assert frame.loc["level3/se-head", "runtime"] == "onnxruntime"


def test_int8_under_its_sources_name_takes_the_quantised_accuracy(tmp_path: Path) -> None:
    study = fabricate(tmp_path, images=60)
    add_timings(study, timing(model="level5/compact-student", precision="int8"))
    view = view_study(study)
    frame = deployment_frame(view)
    row = frame[(frame["model"] == "level5/compact-student") & (frame["precision"] == "int8")].iloc[0]
    assert row["evaluated"] == "level5/int8-static"
    assert row["accuracy"] == view.metric("level5/int8-static", "test_accuracy")


def test_nothing_timed_gives_an_empty_frame(tmp_path: Path) -> None:
    frame = deployment_frame(view_study(fabricate(tmp_path, images=60, skip=["level5/latency"])))
    assert frame.empty
    assert tuple(frame.columns) == COLUMNS
