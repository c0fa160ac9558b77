"""Which run begins when: each as soon as what it needs is complete and an executor has room for it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Protocol

from study import records
from study.errors import RunsFailed
from study.records import Failure
from study.running.progress import Reporter
from study.running.recording import Finished
from study.running.study import Job, Study

RETRIES = 2  # of a run whose worker ended without a word


class Executor(Protocol):
    """Where runs are carried out. What a run reports on the way goes to ``advance`` of the study's reporter."""

    @property
    def lanes(self) -> int:
        """How many runs it carries out at a time."""

    def room(self, job: Job) -> bool:
        """Whether the job could begin now; one that needs the machine for itself waits for it to be idle.

        It is true whenever nothing runs. StudyError when there is nothing left that could run the job.
        """

    def submit(self, job: Job) -> str:
        """Begin a job that there is room for; returns the name of the machine that carries it out."""

    def poll(self) -> list[Finished]:
        """Wait a moment, and tell which jobs have ended. StudyError for what ends the study."""

    def stop(self) -> None:
        """End whatever still runs; it can be resumed."""


class Schedule:
    """Runs the jobs of a study in an executor.

    Of a level, those runs begin first that head the longest chains, by estimate, so that the workers end together.
    What needs a whole machine comes last, and what there is no room for lets others pass. A run whose worker is lost is
    tried again; one that fails is recorded as failed, and what does not need it goes on.
    """

    def __init__(self, study: Study, jobs: Sequence[Job], executor: Executor, reporter: Reporter) -> None:
        self.study, self.executor, self.reporter = study, executor, reporter
        self.jobs = {job.name: job for job in jobs}
        self.order = TopologicalSorter({job.name: [name for name in job.needs if name in self.jobs] for job in jobs})
        ahead, seeds = work_ahead(jobs, reporter), list(dict.fromkeys(job.seed for job in jobs))
        self.rank = {
            job.name: (job.experiment.alone, seeds.index(job.seed), job.experiment.level, -ahead[job.name], at)
            for at, job in enumerate(jobs)
        }
        self.ready = set[str]()
        self.running = set[str]()
        self.losses = Counter[str]()
        self.failed: dict[str, Failure] = {}

    def run(self) -> Mapping[str, Failure]:
        """Run all, and return the failed runs by name.

        RunsFailed at once when one fails and the study is to fail fast; StudyError for what ends the study.
        """
        self.order.prepare()
        self._release()
        while self.ready or self.running:
            first = sorted(self.ready, key=self.rank.__getitem__)
            if name := next((name for name in first if self.executor.room(self.jobs[name])), ""):
                self._begin(name)
                continue
            for finished in self.executor.poll():
                self.running.remove(finished.name)
                self._settle(finished)
            self.reporter.lanes = self.executor.lanes  # of a cluster that may have lost some
        return self.failed

    def waiting_for(self, failed: str) -> set[str]:
        """Names of the runs that cannot begin without a failed one."""
        found = {failed}
        for job in self.jobs.values():  # what needs a run comes after it
            if found & set(job.needs):
                found.add(job.name)
        return found - {failed}

    def _release(self) -> None:
        self.ready.update(self.order.get_ready())

    def _begin(self, name: str) -> None:
        self.ready.remove(name)
        self.running.add(name)
        self.reporter.begin(name, self.executor.submit(self.jobs[name]))

    def _settle(self, finished: Finished) -> None:
        name = finished.name
        if finished.lost and self.losses[name] < RETRIES:
            self.losses[name] += 1
            self.reporter.retry(name, finished.lost)
            self.ready.add(name)
        elif finished.lost:
            self._fail(name, Failure(f"{finished.lost}, {RETRIES + 1} times"))
        elif finished.failure:
            self._fail(name, finished.failure)
        else:
            self.reporter.end(name, finished.summary, finished.seconds)
            self.order.done(name)
            self._release()

    def _fail(self, name: str, failure: Failure) -> None:
        records.write_failure(self.study.folder / name, failure)
        self.failed[name] = failure
        self.reporter.fail(name, failure.error, self.waiting_for(name))
        if self.study.options.fail_fast:
            raise RunsFailed(f"{name} failed: {failure.error}; the same command tries it again")


def work_ahead(jobs: Sequence[Job], reporter: Reporter) -> dict[str, float]:
    """Estimated seconds from the beginning of each run to the end of the longest chain of runs that build on it."""
    ahead: dict[str, float] = {}
    after = defaultdict[str, float](float)
    for job in reversed(jobs):  # what needs a run comes after it
        ahead[job.name] = reporter.estimate(job.name) + after[job.name]
        for name in job.needs:
            after[name] = max(after[name], ahead[job.name])
    return ahead
