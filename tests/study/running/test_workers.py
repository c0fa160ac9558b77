from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from tqdm import tqdm

from study import machine, records
from study.errors import StoppingError
from study.kinds import Context, Kind, Scale
from study.machine import available_threads
from study.records import Outcome
from study.running import runner
from study.running.options import Options
from study.running.recording import Finished
from study.running.study import Job, Study, prepare
from study.running.workers import DIED, Processes, Worker
from tests.study.data.albums import album, picture
from tests.waiting import until

SMALL = Options(preset="quick", dataset="digits", device="cpu", levels=(1,))


@pytest.mark.slow
def test_side_by_side_gives_the_predictions_of_one_after_the_other(one_thread: None, tmp_path: Path) -> None:
    many = max(2, available_threads())  # so that each has one thread
    together, alone = (runner.run(replace(SMALL, runs=tmp_path / str(n), workers=n)) for n in (many, 1))
    runs = records.current_runs(alone, records.read_plan(alone))
    assert len(runs) == 2
    for name, run in runs.items():
        same = records.load_run(together / name)
        assert same.environment["threads"] == run.environment["threads"] == 1
        assert np.array_equal(run.predictions("test").logits, same.predictions("test").logits)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return prepare(replace(SMALL, workers=2, runs=tmp_path))


def ended(executor: Processes) -> Finished:
    """What became of the first run that ends."""
    return until(executor.poll)[0]


@dataclass(frozen=True, kw_only=True)
class Obedient(Kind):
    """A run that does what its name says; one that is to die once leaves a file to know the next time."""

    level: int = 1

    def carry_out(self, context: Context) -> Outcome:
        context.advance(30, True)
        context.advance(7)
        mark = context.folder / "was-here"
        if self.name == "die-once" and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.name == "fill-the-disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        if self.name == "fail":
            raise ValueError("so be it\nin two lines")
        left_by_a_kill = hasattr(tqdm.get_lock(), "mp_lock")
        return Outcome({"threads": torch.get_num_threads(), "process": os.getpid(), "left": left_by_a_kill})

    def cost(self, scale: Scale) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class ObedientAlone(Obedient):
    """One that needs the machine for itself."""

    alone: ClassVar[bool] = True


def metrics_of(study: Study, name: str) -> dict[str, Any]:
    return records.load_run(study.folder / name).metrics


@pytest.mark.slow
def test_workers_carry_out_report_fail_and_die(study: Study) -> None:
    seen: list[tuple[object, ...]] = []
    executor = Processes(study, lambda *said: seen.append(said))
    try:
        good, bad, dying = (Job(Obedient(name=name), 0) for name in ("good", "fail", "die-once"))
        executor.submit(good)
        assert ended(executor).summary == "done" and seen == [(good.name, 30, True), (good.name, 7, False)]
        found = metrics_of(study, good.name)
        assert found == {"threads": study.threads, "process": executor.idle[0].process.pid, "left": False}
        executor.submit(bad)
        failure = ended(executor).failure
        assert failure and failure.error == "ValueError: so be it" and "in carry_out" in failure.traceback
        executor.submit(dying)
        assert ended(executor).lost == DIED and executor.room(dying) and not executor.idle
        executor.submit(dying)
        assert ended(executor).summary == "done"
        os.kill(executor.idle[0].process.pid or 0, signal.SIGKILL)
        executor.idle[0].process.join()
        executor.submit(Job(Obedient(name="later"), 0))
        assert ended(executor).summary == "done", "a worker that died between two runs is replaced"
        executor.submit(Job(Obedient(name="fill-the-disk"), 0))
        with pytest.raises(StoppingError, match="cannot write .*fill-the-disk/seed-0: No space left on device"):
            ended(executor)
    finally:
        executor.stop()


@pytest.mark.slow
def test_a_worker_that_starts_later_refuses_images_that_changed(tmp_path: Path) -> None:
    """Each finds the images by itself, but what they should be is what the study found as it began."""
    folder = album(tmp_path / "data")
    study = prepare(Options(preset="quick", dataset=str(folder), device="cpu", workers=2, runs=tmp_path / "runs"))
    executor = Processes(study, lambda *_: None)
    picture(folder / "cat" / "late.png", 999)
    try:
        executor.submit(Job(Obedient(name="late"), 0))
        with pytest.raises(StoppingError, match="changed under the study; run it again"):
            ended(executor)
    finally:
        executor.stop()


@pytest.mark.parametrize(("workers", "kind"), [(1, Obedient), (2, ObedientAlone)])
def test_one_worker_and_what_is_alone_run_in_this_process(study: Study, workers: int, kind: type[Kind]) -> None:
    chosen = replace(study, options=replace(study.options, workers=workers))
    executor, job = Processes(chosen, lambda *_: None), Job(kind(name="here"), 0)
    executor.submit(job)
    assert ended(executor).summary == "done" and metrics_of(study, job.name)["process"] == os.getpid()


def test_workers_have_room_for_so_many_runs_and_for_one_alone_when_they_rest(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipes = [multiprocessing.Pipe() for _ in range(2)]
    unstarted = iter([Worker(multiprocessing.Process(), ours) for ours, _ in pipes])
    monkeypatch.setattr(Worker, "start", lambda *_: next(unstarted))
    executor = Processes(study, lambda *_: None)
    shared, alone = Job(Obedient(name="a"), 0), Job(ObedientAlone(name="b"), 0)
    found = []
    for _ in range(3):
        found.append((executor.room(shared), executor.room(alone)))
        if executor.room(shared):
            executor.submit(shared)
    assert found == [(True, True), (True, False), (False, False)]


def test_workers_are_told_what_was_decided(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[Study, int]] = []
    ours, _theirs = multiprocessing.Pipe()

    def start(told_of: Study, threads: int) -> Worker:
        told.append((told_of, threads))
        return Worker(multiprocessing.Process(), ours)

    monkeypatch.setattr(Worker, "start", start)
    undecided = replace(study.options, preset="auto", dataset="auto", device="auto")
    Processes(replace(study, options=undecided), lambda *_: None).submit(study.jobs[0])
    device = str(machine.resolve("auto").device)
    decided = replace(study.options, preset="quick", dataset="digits", device=device)
    assert told == [(replace(study, options=decided), study.threads)]


def _children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def _alive(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def _heed_interrupts() -> None:
    """Undo what a shell does to jobs in its background, which would inherit to the study."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """`invoke study` in a session of its own, both workers busy."""
    flags = ["--preset", "quick", "--dataset", "digits", "--levels", "1", "--workers", "2", "--runs", str(tmp_path)]
    command = [sys.executable, "-m", "invoke", "study", *flags]
    process = subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, text=True, preexec_fn=_heed_interrupts
    )
    try:
        while len(list(tmp_path.glob("quick-digits/level1/*/seed-0/spec.json"))) < 2:
            assert process.poll() is None, "it ended before its workers began"
            time.sleep(0.05)
        yield process
    finally:
        with suppress(ProcessLookupError):  # the whole group, as workers may have outlived it
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in Linux's /proc")
def test_workers_end_with_the_process_that_started_them(started: subprocess.Popen) -> None:
    children = _children(started.pid)
    assert len(children) >= 2
    started.kill()
    started.wait()
    deadline = time.monotonic() + 30
    while any(map(_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_alive, children))


@pytest.mark.slow
def test_interrupting_the_whole_terminal_is_one_line_and_exit_code_130(started: subprocess.Popen) -> None:
    os.killpg(started.pid, signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130
    assert said.strip() == "interrupted; the same command goes on from here"
