from __future__ import annotations

import pytest

from study import bench
from study.levels import level3_architecture
from study.machine import Machine
from study.presets import QUICK


@pytest.mark.usefixtures("one_thread")
def test_bench_reports_both_throughputs_and_their_ratio(cpu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ROUNDS", 1)
    monkeypatch.setattr(bench, "BATCHES_PER_ROUND", 1)
    row = bench.compare(level3_architecture.scratch(QUICK), cpu)
    assert row["name"] == "trainer/compact_cnn_small"
    expected = row["trainer_images_per_second"] / row["bare_images_per_second"]  # type: ignore[operator]
    assert row["ratio"] == pytest.approx(expected)
