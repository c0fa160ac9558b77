from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np
import pytest

from study import machine, records
from study.errors import StudyError
from study.kinds import Kind, Latency
from study.machine import available_threads
from study.running import runner, workers
from study.running.options import Options
from study.running.progress import Estimator, Reporter
from study.running.study import Job, Study, prepare

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


class Ledger:
    """What began and ended in which order, and what was under way at each beginning."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.under_way: set[str] = set()
        self.beside: dict[str, set[str]] = {}
        self.lock = Lock()

    def run(self, job: Job) -> tuple[str, float]:
        with self.lock:
            self.beside[job.name] = set(self.under_way)
            self.under_way.add(job.name)
        time.sleep(0.01)
        with self.lock:
            self.under_way.remove(job.name)
            self.events.append(job.name)
        return "done", 0.0


@pytest.fixture
def study() -> Study:
    return prepare(replace(SMALL, levels=(1, 2, 3, 4, 5), workers=2))


class Guess(Estimator):
    """An estimator that says a second of every experiment but those it has other numbers of."""

    def __init__(self, study: Study, seconds: Mapping[str, float]) -> None:
        super().__init__(study.scale, "here")
        self.known = seconds

    def seconds(self, experiment: Kind) -> float:
        return self.known.get(experiment.key, 1.0)


def reporter_of(study: Study, seconds: Mapping[str, float]) -> Reporter:
    return Reporter({job.name: job.experiment for job in study.jobs}, Guess(study, seconds), study.workers)


def run_in_threads(
    study: Study,
    monkeypatch: pytest.MonkeyPatch,
    ledger: Ledger,
    told: set[Options] | None = None,
    seconds: Mapping[str, float] | None = None,
) -> None:
    @contextmanager
    def pool(*_: object) -> Iterator[tuple[ThreadPoolExecutor, queue.SimpleQueue]]:
        with ThreadPoolExecutor(2) as threads:
            yield threads, queue.SimpleQueue()

    monkeypatch.setattr(workers, "_pool", pool)

    def run_own(given: Options, job: Job) -> tuple[str, float]:
        if told is not None:
            told.add(given)
        return ledger.run(job)

    monkeypatch.setattr(workers, "_run_own", run_own)
    monkeypatch.setattr(workers, "run_job", lambda study, job, advance: ledger.run(job))
    with reporter_of(study, seconds or {}) as reporter:
        workers.run_side_by_side(study, study.jobs, reporter)


def test_runs_start_when_what_they_need_is_complete(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()
    run_in_threads(study, monkeypatch, ledger)
    assert sorted(ledger.events) == sorted(job.name for job in study.jobs)
    for job in study.jobs:
        needed = {f"{key}/seed-{job.seed}" for key in job.experiment.needs}
        assert needed <= set(ledger.events[: ledger.events.index(job.name)])
    assert max(map(len, ledger.beside.values())) == 1, "two at a time, so one beside another"


def test_work_ahead_is_the_longest_chain(study: Study) -> None:
    jobs = [job for job in study.jobs if job.experiment.level == 5]
    ahead = workers._work_ahead(jobs, reporter_of(study, {"level5/student-ensemble": 3.5}))
    assert ahead["level5/student-ensemble/seed-0"] == 3.5
    assert ahead["level5/student/seed-0"] == 3.0, "its int8 version and then latency wait for it"
    assert ahead["level5/teacher-1/seed-0"] == 1 + 3.5, "the students wait for their teachers"
    assert ahead["level5/student-alone/seed-0"] == ahead["level5/latency/seed-0"] == 1.0


def test_levels_begin_in_order_and_the_longest_chain_of_each_first(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def note(reporter: Reporter, name: str, begin: Callable = Reporter.begin) -> None:
        begun.append(name)
        begin(reporter, name)

    monkeypatch.setattr(Reporter, "begin", note)
    longest = {"level1/head-only": 1.5}  # but no run builds on it
    run_in_threads(study, monkeypatch, Ledger(), seconds=longest)
    assert begun[:2] == ["level1/finetuned/seed-0", "level1/head-only/seed-0"]
    levels = [name[:6] for name in begun if name < "level3"]
    assert levels == sorted(levels)


def test_workers_are_told_what_was_decided(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    told: set[Options] = set()

    class Listening(Ledger):
        def run(self, job: Job) -> tuple[str, float]:
            return "done", 0.0

    undecided = replace(study.options, preset="auto", dataset="auto", device="auto")
    run_in_threads(replace(study, options=undecided), monkeypatch, Listening(), told)
    device = str(machine.resolve("auto").device)
    assert told == {replace(study.options, preset="quick", dataset="digits", device=device)}


def test_latency_is_measured_while_nothing_else_runs(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger()
    run_in_threads(study, monkeypatch, ledger)
    (latency,) = (job.name for job in study.jobs if isinstance(job.experiment, Latency))
    assert ledger.beside[latency] == set()
    assert all(latency not in beside for beside in ledger.beside.values())


def test_a_worker_that_dies_is_one_clear_line(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(Ledger):
        def run(self, job: Job) -> tuple[str, float]:
            raise BrokenProcessPool

    with pytest.raises(StudyError, match="worker process died during level1/.*with --workers 1 in less memory"):
        run_in_threads(study, monkeypatch, Dying())


def test_a_worker_that_died_between_runs_is_one_clear_line(study: Study) -> None:
    with pytest.raises(StudyError, match="a worker process died, perhaps"), workers._pool(study) as (pool, _):
        with pytest.raises(BrokenProcessPool):
            pool.submit(os._exit, 1).result()
        pool.submit(os.getpid)


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
