"""What is timed, the rows, their order statistics and the way models take turns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from study import machine, records
from study.deployment.int8 import FP32, INT8
from study.errors import StudyError
from study.files import read_json
from study.kinds import Context, Latency, Quantization, Training, latency
from study.kinds.latency import Candidate, measure
from study.records import Outcome, Run
from tests.exported_models import channel_model, random_images
from tests.study.kinds.workshop import Workshop, network


def test_the_int8_model_of_each_quantised_source_and_every_network_once_are_timed(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("student", "other"):
        workshop.record(network(name), Outcome())
    for name in ("static", "dynamic"):
        workshop.record(Quantization(level=5, name=name, source="level3/student", method=name), Outcome())  # type: ignore[arg-type]
    asked: list[tuple[list[Candidate], Any]] = []
    written: dict[Path, str] = {}

    def measured(candidates: list[Candidate], images: object, *how: object) -> list[dict[str, object]]:
        asked.append((candidates, how[:3]))
        return [{"model": "level3/student"}]

    def export(run: Run, path: Path, context: Context) -> None:
        written[path] = run.key

    monkeypatch.setattr(latency, "measure", measured)
    monkeypatch.setattr(latency, "export", export)
    monkeypatch.setattr(machine, "available_threads", lambda: 4)
    timed = Latency(level=5, name="latency", sources=("level5/static", "level5/dynamic", "level3/other"), repeats=7)
    context = workshop.context(timed)
    assert timed.carry_out(context) == Outcome()
    ((candidates, how),) = asked
    assert list(written.values()) == ["level3/other"], "the others were exported to be quantised"
    int8 = {name: workshop.root / f"level5/{name}/seed-0" for name in ("static", "dynamic")}
    assert set(candidates) == {
        Candidate("level3/student", "float32", int8["dynamic"] / FP32),
        Candidate("level3/other", "float32", next(iter(written))),
        Candidate("level5/static", "int8", int8["static"] / INT8),
        Candidate("level5/dynamic", "int8", int8["dynamic"] / INT8),
    }
    assert len(candidates) == 4
    assert how == ((1, 64), (1, 4), 7)
    assert read_json(context.folder / records.LATENCY) == [{"model": "level3/student"}]


def test_latency_is_measured_alone() -> None:
    assert Latency.alone and not Training.alone


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
        assert (row["p50_low_ms"], row["p50_high_ms"]) == (None, None)  # three repeats bound no median
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


def test_the_median_lies_between_the_order_statistics_that_the_binomial_names(
    candidates: list[Candidate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "_interleaved", lambda *_: np.tile(np.arange(1, 26) / 1000, (2, 1)))
    row = measure(candidates, random_images(1), (1,), (1,), repeats=25, rng=np.random.default_rng(0))[0]
    # Of 25 values the 8th and the 18th: fewer than 8 of 25 lie below the median in 2.2 % (Conover 1999, table A3).
    assert (row["p50_low_ms"], row["p50_ms"], row["p50_high_ms"]) == pytest.approx((8.0, 13.0, 18.0))
    assert binom.cdf(7, 25, 0.5) < 0.025 < binom.cdf(8, 25, 0.5)


def test_too_few_images_or_nothing_to_time_is_reported(candidates: list[Candidate]) -> None:
    with pytest.raises(StudyError, match="batch size 64 needs as many images; there are 8"):
        measure(candidates, random_images(8), (64,), (1,), repeats=1, rng=np.random.default_rng(0))
    with pytest.raises(StudyError, match="at least one model"):
        measure([], random_images(8), (1,), (1,), repeats=1, rng=np.random.default_rng(0))
