"""Which run begins when, and what becomes of the study when runs fail: all in an executor that only pretends."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from study import records
from study.errors import RunsFailed
from study.kinds import Kind, Latency
from study.records import Failure
from study.running.estimate import Estimator
from study.running.options import Options
from study.running.progress import Reporter
from study.running.recording import Finished
from study.running.schedule import Schedule, work_ahead
from study.running.study import Job, Study, prepare

BROKEN = Failure("there is no weight file", "Traceback ...")


class Pretended:
    """An executor with two lanes, in which the run that began first ends first; notes what began and ended when.

    ``failing`` runs fail, ``lost`` ones are lost as often as it says, the ``picky`` one finds no room for a while.
    """

    def __init__(
        self, failing: Mapping[str, Failure] | None = None, lost: Mapping[str, int] | None = None, picky: str = ""
    ) -> None:
        self.failing, self.lost, self.picky = failing or {}, dict(lost or {}), picky
        self.running: list[Job] = []
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.beside: dict[str, int] = {}

    def room(self, job: Job) -> bool:
        if job.name == self.picky and len(self.ended) < 3:
            return False
        alone = any(other.experiment.alone for other in self.running)
        return not self.running if job.experiment.alone else len(self.running) < 2 and not alone

    lanes = 2

    def submit(self, job: Job) -> str:
        assert self.room(job)
        self.beside[job.name] = len(self.running)
        self.begun.append(job.name)
        self.running.append(job)
        return "a machine"

    def poll(self) -> list[Finished]:
        name = self.running.pop(0).name
        if self.lost.get(name):
            self.lost[name] -= 1
            return [Finished(name, lost="its worker vanished")]
        self.ended.append(name)
        return [Finished(name, failure=self.failing[name]) if name in self.failing else Finished(name, "done")]

    def stop(self) -> None:
        pass


class Guess(Estimator):
    """An estimator that says a second of every experiment but those it has other numbers of."""

    def __init__(self, study: Study, seconds: Mapping[str, float]) -> None:
        super().__init__(study.scale, "here")
        self.known = seconds

    def seconds(self, experiment: Kind) -> float:
        return self.known.get(experiment.key, 1.0)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return prepare(Options(preset="quick", dataset="digits", device="cpu", runs=tmp_path))


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def reporter_of(study: Study, seconds: Mapping[str, float], out: io.StringIO | None = None) -> Reporter:
    runs = {job.name: job.experiment for job in study.jobs}
    return Reporter(runs, Guess(study, seconds), 2, Console(file=out or io.StringIO(), soft_wrap=True))


def scheduled(
    study: Study, executor: Pretended, out: io.StringIO | None = None, seconds: Mapping[str, float] | None = None
) -> Schedule:
    return Schedule(study, study.jobs, executor, reporter_of(study, seconds or {}, out))


def test_runs_start_when_what_they_need_is_complete(study: Study) -> None:
    executor = Pretended()
    assert scheduled(study, executor).run() == {}
    assert sorted(executor.ended) == sorted(job.name for job in study.jobs)
    for job in study.jobs:
        assert set(job.needs) <= set(executor.ended[: executor.ended.index(job.name)])
    assert max(executor.beside.values()) == 1, "two at a time, so one beside another"


def test_work_ahead_is_the_longest_chain(study: Study) -> None:
    jobs = [job for job in study.jobs if job.experiment.level == 5]
    ahead = work_ahead(jobs, reporter_of(study, {"level5/student-ensemble": 3.5}))
    assert ahead["level5/student-ensemble/seed-0"] == 3.5
    assert ahead["level5/student/seed-0"] == 3.0, "its int8 version and then latency wait for it"
    assert ahead["level5/teacher-1/seed-0"] == 1 + 3.5, "the students wait for their teachers"
    assert ahead["level5/student-alone/seed-0"] == ahead["level5/latency/seed-0"] == 1.0


def test_levels_begin_in_order_and_the_longest_chain_of_each_first(study: Study) -> None:
    executor = Pretended()
    scheduled(study, executor, seconds={"level1/head-only": 1.5}).run()  # the longest, but no run builds on it
    assert executor.begun[:2] == ["level1/finetuned/seed-0", "level1/head-only/seed-0"]
    levels = [name[:6] for name in executor.begun if name < "level3"]
    assert levels == sorted(levels)


def test_what_needs_the_machine_for_itself_comes_last(study: Study) -> None:
    executor = Pretended()
    scheduled(study, executor).run()
    (latency,) = (job.name for job in study.jobs if isinstance(job.experiment, Latency))
    assert executor.begun[-1] == latency and executor.beside[latency] == 0


def test_a_failed_run_is_recorded_and_what_does_not_need_it_goes_on(study: Study, out: io.StringIO) -> None:
    name = "level1/finetuned/seed-0"
    executor = Pretended(failing={name: BROKEN})
    schedule = scheduled(study, executor, out)
    assert schedule.run() == {name: BROKEN}
    assert records.read_failure(study.folder / name) == BROKEN
    without = schedule.waiting_for(name)
    assert "level4/hard/seed-0" in without and "level3/scratch-cnn/seed-0" not in without
    assert set(executor.ended) == {job.name for job in study.jobs} - without
    said = out.getvalue()
    assert f"{name}: failed: there is no weight file" in said and "Traceback" not in said
    assert schedule.reporter.left() == 0.0, "nobody waits for what cannot begin"


def test_fail_fast_stops_at_the_first_failure(study: Study) -> None:
    name = "level1/finetuned/seed-0"
    executor = Pretended(failing={name: BROKEN})
    impatient = replace(study, options=replace(study.options, fail_fast=True))
    with pytest.raises(RunsFailed, match=f"{name} failed: there is no weight file; the same command tries it again"):
        scheduled(impatient, executor).run()
    assert executor.ended == [name] and records.read_failure(study.folder / name) == BROKEN


def test_a_run_whose_worker_is_lost_is_tried_again(study: Study, out: io.StringIO) -> None:
    name = "level1/finetuned/seed-0"
    executor = Pretended(lost={name: 2})
    assert scheduled(study, executor, out).run() == {}
    assert executor.begun.count(name) == 3 and len(executor.ended) == len(study.jobs)
    assert out.getvalue().count(f"{name}: its worker vanished; it is tried again") == 2
    assert records.read_failure(study.folder / name) is None


def test_a_run_whose_workers_are_lost_three_times_has_failed(study: Study) -> None:
    name = "level3/scratch-cnn/seed-0"
    executor = Pretended(lost={name: 99})
    assert scheduled(study, executor).run() == {name: Failure("its worker vanished, 3 times")}
    assert executor.begun.count(name) == 3


def test_a_run_that_finds_no_room_lets_others_pass(study: Study) -> None:
    first = "level1/finetuned/seed-0"
    executor = Pretended(picky=first)
    assert scheduled(study, executor).run() == {}
    assert executor.begun.index(first) >= 3 and sorted(executor.ended) == sorted(job.name for job in study.jobs)


def test_time_left_is_that_of_the_lanes_there_are(study: Study) -> None:
    executor = Pretended()
    schedule = scheduled(study, executor)
    executor.lanes = 1  # a node is lost
    schedule.run()
    assert schedule.reporter.lanes == 1
