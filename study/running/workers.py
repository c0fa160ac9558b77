"""Runs one after the other, or side by side in worker processes that share the processors evenly.

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
from graphlib import TopologicalSorter
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from threading import Thread

import torch

from study.errors import StudyError
from study.running.options import Options
from study.running.progress import Reporter
from study.running.recording import run_job
from study.running.study import Job, Study, prepare

POLL_SECONDS = 0.25
DIED = (
    "a worker process died{when}, perhaps for lack of memory; "
    "the same command goes on from there, with --workers 1 in less memory"
)
Seen = tuple[str, int]  # a run's name and how many more images it has processed
Outcome = Future[tuple[str, float]]


def run_one_by_one(study: Study, jobs: Sequence[Job], reporter: Reporter) -> None:
    """Run the jobs in the plan's order, in this process."""
    for job in jobs:
        _run_here(study, job, reporter)


def _run_here(study: Study, job: Job, reporter: Reporter) -> None:
    reporter.begin(job.name)
    reporter.end(job.name, *run_job(study, job, partial(reporter.advance, job.name)))


def run_side_by_side(study: Study, jobs: Sequence[Job], reporter: Reporter) -> None:
    """Run the jobs, each as soon as what it needs is complete and a worker is free.

    Of a level, those runs begin first that head the longest chains, by estimate, so that the workers end together.
    What needs the whole machine is run in this process while the workers rest. The first error ends the workers,
    whose runs can be resumed, and is raised.
    """
    by_name = {job.name: job for job in jobs}
    ahead = _work_ahead(jobs, reporter)
    order = TopologicalSorter({job.name: [name for name in job.needs if name in by_name] for job in jobs})
    order.prepare()
    ready, running = list[Job](), dict[Outcome, Job]()
    decided = replace(  # or a worker might find another dataset than the one that the others run on
        study.options, preset=study.preset.name, dataset=study.data.source, device=str(study.machine.device)
    )
    with _pool(study) as (pool, seen):
        while order.is_active():
            ready += [by_name[name] for name in order.get_ready()]
            ready.sort(key=lambda job: (study.seeds.index(job.seed), job.experiment.level, -ahead[job.name]))
            shared = [job for job in ready if not job.experiment.alone]
            if running and not (shared and len(running) < study.workers):
                order.done(*_collect(running, seen, reporter))
                continue
            job = (shared or ready)[0]
            ready.remove(job)
            if shared:
                reporter.begin(job.name)
                running[pool.submit(_run_own, decided, job)] = job
            else:
                _run_here(study, job, reporter)
                order.done(job.name)


def _work_ahead(jobs: Sequence[Job], reporter: Reporter) -> dict[str, float]:
    """Estimated seconds from the beginning of each run to the end of the longest chain of runs that build on it."""
    ahead: dict[str, float] = {}
    for job in reversed(jobs):  # what needs a run comes after it
        after = (ahead[other.name] for other in jobs if job.name in other.needs)
        ahead[job.name] = reporter.estimate(job.name) + max(after, default=0.0)
    return ahead


def _collect(running: dict[Outcome, Job], seen: SimpleQueue[Seen], reporter: Reporter) -> list[str]:
    """Wait a moment, report progress, and take finished runs out of ``running``; returns their names."""
    finished, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
    while not seen.empty():
        name, images = seen.get()
        if name in reporter.active:
            reporter.advance(name, images)
    for outcome in finished:
        try:
            reporter.end(running[outcome].name, *outcome.result())
        except BrokenProcessPool:
            raise StudyError(DIED.format(when=f" during {running[outcome].name}")) from None
    return [running.pop(outcome).name for outcome in finished]


@contextmanager
def _pool(study: Study) -> Iterator[tuple[ProcessPoolExecutor, SimpleQueue[Seen]]]:
    """Worker processes and the queue of what they have processed; they end when the block or this process does."""
    context = multiprocessing.get_context("spawn")
    seen: SimpleQueue[Seen] = context.SimpleQueue()
    lifeline, held = context.Pipe(duplex=False)
    setting = (study.threads, seen, lifeline)
    pool = ProcessPoolExecutor(study.workers, mp_context=context, initializer=_start, initargs=setting)
    try:
        yield pool, seen
        pool.shutdown()
    except BrokenProcessPool:  # noticed when the next run was handed over
        raise StudyError(DIED.format(when="")) from None
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
