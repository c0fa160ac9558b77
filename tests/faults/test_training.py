"""Trainings as a night's are, in stages and with averaged weights, and a search: the disk fills, the clock is set."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from optuna.storages.journal import _storage

from study import files, records
from study.description import Level
from study.design import levels, presets
from study.errors import StoppingError
from study.experiment import Architecture, Recipe, Stage, Subset
from study.kinds import Training
from study.running import estimate, runner
from study.running.estimate import Estimator, place
from study.running.options import Options
from study.running.study import prepare
from study.training.trainer import Progress, Trainer
from tests.faults import killed
from tests.faults.test_machine import mounted

pytestmark = pytest.mark.usefixtures("one_thread")

PRESET = replace(presets.OVERNIGHT, name="night", subset=Subset(80, 40, 40))
OPTIONS = Options(PRESET.name, dataset="digits", device="cpu", workers=1, study="night")
STAGES = Stage(2, 3e-3, 32, killed.SHIFTED), Stage(2, 1e-3, 32)
RECIPE = Recipe(STAGES, 20, weight_decay=0.05, layer_decay=0.9, averaging=0.9)
NET = Training(level=1, name="net", architecture=Architecture("mobilenetv3_small_050"), recipe=RECIPE)
DISK = 32 << 20


class Killed(BaseException):
    """What no code of the study catches."""


@contextmanager
def designed() -> Iterator[None]:
    """Let the levels be a training and a search."""
    found = {1: (NET,), 2: (killed.SEARCH,)}
    modules = {
        number: SimpleNamespace(LEVEL=Level(number, "level"), experiments=lambda _, each=each: each)
        for number, each in found.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, PRESET.name, PRESET)
        patch.setattr(levels, "_modules", lambda: modules)
        yield


@pytest.fixture(autouse=True)
def _a_night(_designed: None) -> Iterator[None]:
    with designed():
        yield


def run(runs: Path) -> int:
    """Run what is missing; returns how many epochs were kept."""
    kept, save = count(), Progress.save

    def counted(progress: Progress, path: Path, owner: str = "") -> None:
        save(progress, path, owner)
        next(kept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "save", counted)
        runner.run(replace(OPTIONS, runs=runs), say=lambda _: None)
    return next(kept)


@contextmanager
def struck(owner: type, name: str, number: int, strike: Callable[[], None]) -> Iterator[None]:
    """Strike when a method returns for the n-th time."""
    method, calls = getattr(owner, name), count(1)

    def then(*arguments: object) -> object:
        returned = method(*arguments)
        if next(calls) == number:
            strike()
        return returned

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, then)
        yield


def stop() -> None:
    raise Killed


@pytest.fixture(scope="module")
def whole(one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], int]:
    """What the study finds when nothing happens, and how many epochs it takes."""
    runs = tmp_path_factory.mktemp("night")
    with designed():
        kept = run(runs)
    return killed.found(runs / OPTIONS.study), kept


@pytest.mark.parametrize(
    ("owner", "name", "epoch", "lost"),
    [(Trainer, "_fit_epoch", 3, 1), (Progress, "save", 6, 0)],
    ids=["before an epoch of the second stage is kept", "before a trial's epoch is told to the search"],
)
def test_a_disk_that_fills_in_mid_training_is_one_line_and_costs_an_epoch_at_most(
    whole: tuple[dict[str, str], int], tmp_path: Path, owner: type, name: str, epoch: int, lost: int
) -> None:
    disk, (result, epochs) = tmp_path / "disk", whole
    with mounted(disk, "-o", f"size={DISK}"):
        filler = disk / "filler"

        def fill() -> None:
            with suppress(OSError):
                filler.write_bytes(bytes(DISK))

        with struck(owner, name, epoch, fill), pytest.raises(StoppingError, match="No space left.*free space") as error:
            run(disk)
        assert "\n" not in str(error.value) and filler.stat().st_size
        filler.unlink()
        assert run(disk) == epochs - epoch + lost
        assert killed.found(disk / OPTIONS.study) == result


class SetClock(datetime):
    """A clock that is set anew whenever it is read."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> SetClock:
        return cls.fromtimestamp(time.time(), tz)


@pytest.mark.parametrize("jump", [timedelta(days=10), timedelta(days=-10)], ids=["forward", "back"])
def test_a_clock_that_is_set_changes_neither_times_nor_estimates(
    whole: tuple[dict[str, str], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump: timedelta
) -> None:
    now, calls, begun = time.time, count(1), time.perf_counter()
    monkeypatch.setattr(time, "time", lambda: now() + next(calls) * jump.total_seconds())
    monkeypatch.setattr(time, "time_ns", lambda: int(time.time() * 1e9))
    monkeypatch.setattr(_storage, "datetime", SetClock)
    monkeypatch.setattr(estimate, "TELLING_SECONDS", 1e-9)
    with struck(Trainer, "_fit_epoch", 6, stop), pytest.raises(Killed):
        run(tmp_path)
    run(tmp_path)
    took, folder = time.perf_counter() - begun, tmp_path / OPTIONS.study
    assert killed.found(folder) == whole[0]
    runs = list(records.current_runs(folder, records.read_plan(folder)).values())
    assert sum(run.durations["total"] for run in runs) < took
    trials = files.read_json(runs[1].folder / records.TRIALS)
    assert all(trial["seconds"] > 0 for trial in trials)
    assert sum(trial["seconds"] for trial in trials) <= runs[1].durations["search"] < runs[1].durations["total"]
    study = prepare(replace(OPTIONS, runs=tmp_path))
    estimator = Estimator.of(study.scale, place(runs[0].environment), runs)
    assert all(0 < estimator.seconds(experiment) < took for experiment in study.chosen)
