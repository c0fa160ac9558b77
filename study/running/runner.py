"""Run a study: lock its folder, execute what is missing, record what happened."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from study import records
from study.errors import RunsFailed, StudyError
from study.experiment import ADDED
from study.records import Failure, Run
from study.running.estimate import Estimator, place, shared, slowdown_now
from study.running.options import Options
from study.running.preflight import preflight
from study.running.progress import Reporter
from study.running.study import Job, Study, prepare
from study.running.understood import understood
from study.status import LOCK, duration, note_under_way, problems

if TYPE_CHECKING:
    from study.running.schedule import Executor

LOCK_SECONDS = 1.0  # for which others may look whether the folder is held


def run(options: Options, say: Callable[[str], None] = print) -> Path:
    """Run what is missing of a study, or with ``dry_run`` say what that would be, and return its folder.

    Interrupt it whenever you like: complete runs stay, and an interrupted one goes on from its last
    epoch. StudyError, with nothing lost, for bad input and for a folder that is in use; RunsFailed when
    runs failed, with everything complete that does not need them.
    """
    study = prepare(options)
    with contextlib.nullcontext() if options.dry_run else locked(study.folder):
        current = _current(study)
        jobs = [*study.jobs, *study.joined(current)]
        missing = [job for job in jobs if job.name not in current]
        _require_upstream(missing, current)
        if study.data.notice:
            say(f"NOTICE: {study.data.notice}")
        complete = len(jobs) - len(missing)
        for line in (*study.unreadable, *problems(study.folder, study.plan, current)):
            say(line)
        say(f"study {study.folder}: {complete} of {len(jobs)} runs complete, {len(missing)} to do")
        if options.dry_run:
            say(understood(study.data))
            say(_listed(study, jobs, missing, _estimator(study, current)))
        else:
            if missing:
                preflight(study, missing)
            _tidy(study.folder, current.values())
            _write_plan(study, idle=not missing)
            if missing:
                _run_all(study, missing, _estimator(study, current))
    return study.folder


def _tidy(folder: Path, complete: Iterable[Run]) -> None:
    """Remove what a kill may have left: files written in part or on their way, checkpoints of complete runs, notes."""
    places = ("", "level*/*/*/", f"{ADDED}/*/*/")
    left = [*(path for place in places for path in folder.glob(f"{place}.*.partial")), *folder.glob(".cluster-*")]
    left += [run.folder / records.CHECKPOINT for run in complete]
    for path in left:
        path.unlink(missing_ok=True)
    for arriving in folder.glob(".arriving-*"):
        shutil.rmtree(arriving, ignore_errors=True)
    note_under_way(folder, {})


def _write_plan(study: Study, idle: bool) -> None:
    """Write study.json, as titles may have changed even where nothing is to do; then the device is that of before."""
    before = study.recorded.device if idle and study.recorded else ""
    records.write_plan(study.folder, replace(study.plan, device=before or str(study.machine.device)))


def _listed(study: Study, jobs: list[Job], missing: list[Job], estimator: Estimator) -> str:
    """The plan as a table: each run, its state and its estimated time, and that of all."""
    from tabulate import tabulate

    seconds = {job.name: estimator.seconds(job.experiment) for job in missing}
    rows = [
        (job.name, "to do" if job.name in seconds else "complete", duration(seconds.get(job.name, 0.0))) for job in jobs
    ]
    total = duration(shared(list(seconds.values()), study.workers))
    table = tabulate(rows, headers=("run", "state", "estimate"))
    further = duration(shared([estimator.seconds(experiment) for experiment in study.chosen], study.workers))
    left = f"{len(rows)} runs, about {total} to go on this machine{estimator.caveat if missing else ''}"
    return f"{table}\n{left}; each further seed of these experiments about {further}"


def _current(study: Study) -> dict[str, Run]:
    """The study's current runs by name. StudyError when its folder holds a study of another preset or dataset."""
    before = study.recorded
    if before and (before.preset, before.dataset.fingerprint) != (study.preset.name, study.data.fingerprint):
        raise StudyError(
            f"{study.folder} holds a study of preset {before.preset} on {before.dataset.title}; "
            "choose another name with --study"
        )
    told = [each.dataset.description for each in (before, study.plan) if each]
    if len({(each.mean, each.std) for each in told}) > 1:
        raise StudyError(
            f"the networks in {study.folder} see images with another mean and std than the description has now; "
            "choose another name with --study"
        )
    return records.current_runs(study.folder, study.plan)


def _estimator(study: Study, current: dict[str, Run]) -> Estimator:
    from study.machine import available_threads, processor

    device = str(study.machine.device)
    where = place({"processor": processor(), "device": device, "threads": study.threads})
    here = study.machine.device.type == "cpu" and not study.options.address
    busy = slowdown_now(min(study.workers * study.threads, available_threads())) if here else 1.0
    return Estimator.of(study.scale, where, current.values(), busy)


def _require_upstream(jobs: list[Job], current: dict[str, Run]) -> None:
    """StudyError when a run needs another that is neither complete nor about to run."""
    planned = {job.name for job in jobs}
    for job in jobs:
        for needed in job.needs:
            if needed not in planned and needed not in current:
                level = needed.partition("/")[0].removeprefix("level")
                raise StudyError(f"{job.name} needs {needed}: add level {level} to --levels")


def _run_all(study: Study, jobs: list[Job], estimator: Estimator) -> None:
    """Run the jobs. RunsFailed, when the others are complete, for runs that failed."""
    from study.running.schedule import Schedule

    started = time.perf_counter()
    runs = {job.name: job.experiment for job in jobs}
    device = str(study.machine.device)
    with Reporter(runs, estimator, folder=study.folder, device=device) as reporter:
        executor = _executor(study, reporter)
        reporter.lanes = executor.lanes
        precision = "bfloat16 where a recipe asks" if study.machine.precision("bfloat16") == "bfloat16" else "float32"
        reporter.say(f"about {duration(reporter.left())} on {device}, {precision}{estimator.caveat}")
        schedule = Schedule(study, jobs, executor, reporter)
        try:
            failed = schedule.run()
        finally:
            executor.stop()
            if not study.options.address:  # else it learnt from other machines
                estimator.remember()
        took = duration(time.perf_counter() - started)
        reporter.say(f"study {f'went on without {len(failed)} failed' if failed else 'complete'} in {took}")
    if failed:
        raise RunsFailed(_without(failed, set().union(*map(schedule.waiting_for, failed))))


def _executor(study: Study, reporter: Reporter) -> Executor:
    if study.options.executor == "ray":
        from study.running.cluster import Cluster

        return Cluster(study, reporter.advance, reporter.say)
    from study.running.workers import Processes

    return Processes(study, reporter.advance)


def _without(failed: Mapping[str, Failure], waiting: Collection[str]) -> str:
    """One line about runs that failed and those that wait for them."""
    first, *others = failed
    more = f" and {len(others)} more" if others else ""
    wait = f"; {len(waiting)} wait for them" if waiting else ""
    return (
        f"failed: {first} ({failed[first].error}){more}{wait}; `invoke status` shows all, the same command retries them"
    )


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the study's folder; StudyError when it cannot be written or another process holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=LOCK_SECONDS)
        lock.acquire()
    except Timeout as error:
        raise StudyError(f"another study is running in {folder}; wait for it or choose another --study name") from error
    except OSError as error:
        raise StudyError(f"cannot write to {folder}: {error.strerror}; choose another place with --runs") from error
    try:
        yield
    finally:
        lock.release()
