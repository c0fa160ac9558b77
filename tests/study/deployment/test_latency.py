"""Timing: the rows, their order statistics and the way models take turns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from study.deployment import latency
from study.deployment.latency import Candidate, measure
from study.errors import StudyError
from tests.exported_models import channel_model, random_images


@pytest.fixture
def candidates(tmp_path: Path) -> list[Candidate]:
    for name in ("fp32", "int8"):
        channel_model(tmp_path / f"{name}.onnx")
    return [
        Candidate("level5/student", "float32", tmp_path / "fp32.onnx"),
        Candidate("level5/student", "int8", tmp_path / "int8.onnx"),
    ]


def test_one_row_per_model_batch_size_and_thread_count(candidates: list[Candidate]) -> None:
    rows = measure(candidates, random_images(8), (1, 8), (1, 2), repeats=3, rng=np.random.default_rng(0), warmup=1)
    settings = [(row["precision"], row["threads"], row["batch"]) for row in rows]
    assert settings == [(p, t, b) for t in (1, 2) for b in (1, 8) for p in ("float32", "int8")]
    for row in rows:
        assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
        assert row["bytes"] == candidates[0].path.stat().st_size
        assert (row["model"], row["runtime"]) == ("level5/student", "onnxruntime")


def test_equal_thread_counts_are_timed_once(candidates: list[Candidate]) -> None:
    rows = measure(candidates, random_images(1), (1,), (1, 1), repeats=1, rng=np.random.default_rng(0), warmup=0)
    assert len(rows) == 2


class Recorder:
    """A session that notes when it is called and with what."""

    def __init__(self, name: str, calls: list[tuple[str, bytes]]) -> None:
        self.name, self.calls = name, calls

    def run(self, _: None, feed: dict[str, np.ndarray]) -> None:
        self.calls.append((self.name, feed["images"].tobytes()))


def test_models_take_turns_in_changing_order_on_the_same_images(
    candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, bytes]] = []
    monkeypatch.setattr(latency, "open_session", lambda path, threads: Recorder(path.name, calls))
    measure(candidates, random_images(3), (1,), (1,), repeats=20, rng=np.random.default_rng(0), warmup=4)
    turns = [calls[i : i + 2] for i in range(0, len(calls), 2)]
    assert len(turns) == 24
    assert all({name for name, _ in turn} == {"fp32.onnx", "int8.onnx"} for turn in turns)
    assert all(turn[0][1] == turn[1][1] for turn in turns)
    assert {turn[0][0] for turn in turns} == {"fp32.onnx", "int8.onnx"}


def test_percentiles_and_throughput_come_from_the_timed_repeats(
    candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = np.array([[0.001, 0.002, 0.003], [0.010, 0.010, 0.010]])
    monkeypatch.setattr(latency, "_interleaved", lambda *_: seconds)
    first, second = measure(candidates, random_images(4), (4,), (1,), repeats=3, rng=np.random.default_rng(0))
    assert first["p50_ms"] == pytest.approx(2.0)
    assert first["p95_ms"] == pytest.approx(2.9)  # linear interpolation: 2 + 0.9 * (3 - 2)
    assert first["images_per_second"] == pytest.approx(3 * 4 / 0.006)
    assert second["images_per_second"] == pytest.approx(400.0)


def test_too_few_images_or_nothing_to_time_is_reported(candidates: list[Candidate]) -> None:
    with pytest.raises(StudyError, match="batch size 64 needs as many images; there are 8"):
        measure(candidates, random_images(8), (64,), (1,), repeats=1, rng=np.random.default_rng(0))
    with pytest.raises(StudyError, match="at least one model"):
        measure([], random_images(8), (1,), (1,), repeats=1, rng=np.random.default_rng(0))
