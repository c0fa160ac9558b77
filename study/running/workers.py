"""Runs one after the other in this process, or side by side in worker processes that share the processors evenly.

A network on two threads waits for the slower one at every operation; two networks on one thread each do
not wait for each other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import RLock, Thread

import torch
from tqdm import tqdm

from study.errors import StudyError
from study.running.recording import Finished, attempt
from study.running.study import Job, Study

POLL_SECONDS = 0.25
TIDY_SECONDS = 10
DIED = "its worker process died, perhaps for lack of memory, of which --workers 1 needs less"


@dataclass(frozen=True)
class Worker:
    """A process that carries out what it reads from a pipe; on it come back images processed and what became of it."""

    process: BaseProcess
    pipe: Connection

    @classmethod
    def start(cls, study: Study, threads: int) -> Worker:
        """One for a study with nothing left to find, that ends at the latest when this process does."""
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(study, threads, theirs), daemon=True)
        process.start()
        theirs.close()  # or its end would not show here
        return cls(process, ours)


class Processes:
    """The executor that needs nothing but this machine.

    What needs the machine for itself is run in this process while the workers rest; with one worker everything is.
    """

    def __init__(self, study: Study, advance: Callable[[str, int, bool], None]) -> None:
        self.study, self.advance = study, advance
        self.here: Job | None = None
        self.idle: list[Worker] = []
        self.busy: dict[Connection, tuple[Worker, Job]] = {}

    @property
    def lanes(self) -> int:
        """How many runs go on at a time."""
        return self.study.workers

    def room(self, job: Job) -> bool:
        """Whether a worker is free, or for a job of this process all are."""
        if self.here:  # begun, and waiting to be polled
            return False
        if self._runs_here(job):
            return not self.busy
        return len(self.busy) < self.study.workers

    def submit(self, job: Job) -> str:
        """Begin a job in a worker; one of this process waits to be polled. Returns this machine's name."""
        if self._runs_here(job):
            self.here = job
        else:
            self._hand_over(job)
        return platform.node()

    def poll(self) -> list[Finished]:
        """Run what runs here, or hear what the workers say. StudyError when one says what ends the study."""
        if self.here:
            job, self.here = self.here, None
            return [attempt(self.study, job, partial(self.advance, job.name))]
        heard = [self._hear(pipe) for pipe in wait(self.busy, POLL_SECONDS) if isinstance(pipe, Connection)]
        return [finished for finished in heard if finished]

    def stop(self) -> None:
        """End the workers; those that have nothing to do may tidy up."""
        for worker in self.idle:
            worker.pipe.close()
        for worker, _ in self.busy.values():
            worker.process.kill()
        for worker in [*self.idle, *(worker for worker, _ in self.busy.values())]:
            worker.process.join(TIDY_SECONDS)
            worker.process.kill()

    def _hand_over(self, job: Job) -> None:
        self.idle = [worker for worker in self.idle if worker.process.is_alive()]
        worker = self.idle.pop() if self.idle else self._worker()
        with contextlib.suppress(OSError):  # should it have died, polling will tell
            worker.pipe.send(job)
        self.busy[worker.pipe] = worker, job

    def _worker(self) -> Worker:
        """A new one, for the study as it began: the data may have changed since."""
        return Worker.start(replace(self.study, options=self.study.decided), self.study.threads)

    def _runs_here(self, job: Job) -> bool:
        return self.study.workers == 1 or job.experiment.alone

    def _hear(self, pipe: Connection) -> Finished | None:
        worker, job = self.busy[pipe]
        try:
            said = pipe.recv()
        except (EOFError, OSError):
            said = Finished(job.name, lost=DIED)
        else:
            if isinstance(said, tuple):
                return self.advance(job.name, *said)
            self.idle.append(worker)
        del self.busy[pipe]
        if isinstance(said, StudyError):
            raise said
        return said


def work(study: Study, threads: int, pipe: Connection) -> None:
    """Be a worker process: carry out each job of the study that the pipe brings, with these threads.

    Ctrl-C reaches every process of a terminal; the one that started the workers decides what it means.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    tqdm.set_lock(RLock())  # the usual one of torch's bars outlives a worker that is killed, of which Python warns
    with contextlib.suppress(EOFError):
        while True:
            job = pipe.recv()
            try:
                said: object = attempt(study, job, lambda images, resumed=False: pipe.send((images, resumed)))
            except StudyError as error:
                said = error
            pipe.send(said)


def _end_with_parent() -> None:
    """Wait for the process that started this one to end, even in mid-run: a run can be resumed anywhere."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
