"""Runs side by side, in worker processes that share the processors evenly.

A network on two threads waits for the slower one at every operation; two networks on one thread each do
not wait for each other.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from threading import Thread

import torch

from study.errors import StudyError
from study.experiment import Latency
from study.machine import available_threads
from study.running.jobs import Job, Options, Study, prepare, run_job
from study.running.progress import Reporter

POLL_SECONDS = 0.25
Seen = tuple[str, int]  # a run's name and how many more images it has processed
Outcome = Future[tuple[str, float]]


def run_side_by_side(
    study: Study, options: Options, jobs: Sequence[Job], images: dict[str, int], reporter: Reporter
) -> None:
    """Run the jobs, given in the plan's order, each as soon as what it needs is complete and a worker is free.

    Of a level, those runs begin first that head the longest chains, by estimate, so that the workers end together.
    ``images`` says how many each will process. Latency is measured in this process while the workers rest.
    The first error ends the workers, whose runs can be resumed, and is raised.
    """
    ahead = _work_ahead(jobs, reporter.estimates)
    waiting = sorted(jobs, key=lambda job: (study.seeds.index(job.seed), job.experiment.level, -ahead[job.name]))
    running = dict[Outcome, Job]()
    decided = replace(  # or a worker might find another dataset than the one that the others run on
        options, preset=study.preset.name, dataset=study.dataset.name, device=str(study.machine.device)
    )
    with _pool(study.workers) as (pool, seen):
        while waiting or running:
            ready = [job for job in waiting if not {*job.needs} & {j.name for j in (*waiting, *running.values())}]
            shared = [job for job in ready if not isinstance(job.experiment, Latency)]
            if running and not (shared and len(running) < study.workers):
                _collect(running, seen, reporter)
                continue
            job = (shared or ready)[0]
            waiting.remove(job)
            reporter.begin(job.name, images[job.name])
            if shared:
                running[pool.submit(_run_own, decided, job)] = job
            else:
                reporter.end(job.name, *run_job(study, job, partial(reporter.advance, job.name)))


def _work_ahead(jobs: Sequence[Job], estimates: dict[str, float]) -> dict[str, float]:
    """Estimated seconds from the beginning of each run to the end of the longest chain of runs that build on it."""
    ahead: dict[str, float] = {}
    for job in reversed(jobs):  # what needs a run comes after it
        after = (ahead[other.name] for other in jobs if job.name in other.needs)
        ahead[job.name] = estimates[job.name] + max(after, default=0.0)
    return ahead


def _collect(running: dict[Outcome, Job], seen: SimpleQueue[Seen], reporter: Reporter) -> None:
    """Wait a moment, report progress, and take finished runs out of ``running``."""
    finished, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
    while not seen.empty():
        name, images = seen.get()
        if name in reporter.active:
            reporter.advance(name, images)
    for outcome in finished:
        try:
            reporter.end(running[outcome].name, *outcome.result())
        except BrokenProcessPool:
            raise StudyError(
                f"a worker process died during {running[outcome].name}, perhaps for lack of memory; "
                "the same command goes on from there, with --workers 1 in less memory"
            ) from None
        del running[outcome]


@contextmanager
def _pool(workers: int) -> Iterator[tuple[ProcessPoolExecutor, SimpleQueue[Seen]]]:
    """Worker processes and the queue of what they have processed; they end when the block or this process does."""
    context = multiprocessing.get_context("spawn")
    seen: SimpleQueue[Seen] = context.SimpleQueue()
    lifeline, held = context.Pipe(duplex=False)
    setting = (max(1, available_threads() // workers), seen, lifeline)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=setting)
    try:
        yield pool, seen
        pool.shutdown()
    finally:
        held.close()
        pool.shutdown(cancel_futures=True)


class _Own:
    """What a worker process is given for life."""

    seen: SimpleQueue[Seen]


def _start(threads: int, seen: SimpleQueue[Seen], lifeline: Connection) -> None:
    """Make this process a worker: its share of threads, and an end when the other end of the pipe closes.

    Ctrl-C reaches every process of a terminal; the one that started the workers decides what it means.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    torch.set_num_threads(threads)
    _Own.seen = seen


def _end_with(lifeline: Connection) -> None:
    """Wait until the pipe's other end closes, by intent or because its process died; a run can be resumed anywhere."""
    lifeline.poll(None)
    os._exit(1)


@cache
def _own_study(options: Options) -> Study:
    return prepare(options)


def _run_own(options: Options, job: Job) -> tuple[str, float]:
    return run_job(_own_study(options), job, lambda images: _Own.seen.put((job.name, images)))
