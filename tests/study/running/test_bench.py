from __future__ import annotations

import json
from dataclasses import replace

import pytest

from study.design.levels import level3_architecture
from study.design.levels.level5_deployment import MOBILE
from study.design.presets import QUICK
from study.machine import Machine, available_threads
from study.running import bench

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ROUNDS", 1)


def test_bench_reports_both_throughputs_and_their_ratio(cpu: Machine) -> None:
    small = bench.Bench(level3_architecture.scratch(QUICK), cpu)
    row = small.compare("trainer", small.trained(), small.bare())
    assert row["name"] == "trainer/compact_cnn_small"
    expected = row["images_per_second"] / row["baseline_images_per_second"]  # type: ignore[operator]
    assert row["ratio"] == pytest.approx(expected)


def test_decoding_is_measured_on_all_processors_against_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "DECODED_IMAGES", 8)
    row = bench.decoding()
    assert row["name"] == f"decoding/{available_threads()} processors" and row["ratio"] > 0  # type: ignore[operator]


@pytest.mark.slow
def test_bench_prints_a_line_of_json_per_comparison(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = replace(QUICK.transfer.stage, frozen_groups=3)
    frozen = replace(QUICK, transfer=replace(QUICK.transfer, batch_size=10, stage=stage))
    monkeypatch.setattr(bench, "CPU", frozen)
    bench.main()
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert {row["name"] for row in rows} == {
        f"trainer/{QUICK.transfer.backbone}",
        f"trainer/{QUICK.scratch.network}",
        f"trainer/{MOBILE}",
        f"decoding/{available_threads()} processors",
        *(f"{what}/{QUICK.transfer.backbone}" for what in ("frozen-trunk", "few-at-a-time", "int8")),
    }
    assert all(row["ratio"] > 0 for row in rows)
