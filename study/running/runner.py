"""Run a study: plan it, lock its folder, execute what is missing, record what happened."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from study import records
from study.design import levels
from study.errors import StudyError
from study.experiment import Experiment, identity
from study.running.estimate import Estimator
from study.running.jobs import Job, Options, Study, prepare, run_job
from study.running.progress import Reporter, duration
from study.running.workers import run_side_by_side

LOCK = ".lock"


def dry_run(options: Options) -> list[tuple[str, str, float]]:
    """What `invoke study` would do: each run's name, "complete" or "to do", and its estimated seconds."""
    study = prepare(options)
    estimator = Estimator(study.dataset, study.machine, levels.experiments(study.preset))
    return [
        (job.name, "complete", 0.0) if study.is_done(job) else (job.name, "to do", estimator.seconds(job.experiment))
        for job in study.jobs
    ]


def run(options: Options, say: Callable[[str], None] = print) -> Path:
    """Run what is missing of a study and return its folder.

    Interrupt it whenever you like: complete runs stay, and an interrupted one goes on from its last
    epoch. StudyError, with nothing lost, for bad input and for a folder that is in use.
    """
    study = prepare(options)
    with _locked(study.folder):
        missing = _missing(study)
        _require_upstream(study, missing)
        _write_plan(study)
        complete = len(study.jobs) - len(missing)
        if study.dataset.notice:
            say(f"NOTICE: {study.dataset.notice}")
        say(f"study {study.folder}: {complete} of {len(study.jobs)} runs complete, {len(missing)} to do")
        if missing:
            _run_all(study, options, missing)
        _export(study, afresh=bool(missing))
    return study.folder


def _missing(study: Study) -> list[Job]:
    """Jobs without a complete run of their spec, and those that build on the results of such jobs."""
    missing: dict[str, Job] = {}
    for job in study.jobs:
        if not study.is_done(job) or any(name in missing for name in job.needs):
            missing[job.name] = job
    return list(missing.values())


def _export(study: Study, afresh: bool) -> None:
    """Write the deployable model, the best static int8 one by validation accuracy, unless it is there already."""
    from study.deployment.card import write_export
    from study.deployment.predict import load_export

    if not afresh:
        with contextlib.suppress(StudyError):
            load_export(study.folder)
            return
    plan = records.load_plan(study.folder)
    current = {run.name: run for run in records.current_runs(study.folder, plan)}
    static = [run for run in current.values() if run.spec["experiment"].get("method") == "static"]
    if static:
        best = max(static, key=lambda run: run.metrics["validation_accuracy"])
        source = current[f"{best.spec['experiment']['source']}/seed-{best.seed}"]
        write_export(study.folder, source, best, plan)


def _run_all(study: Study, options: Options, jobs: list[Job]) -> None:
    estimator = Estimator(study.dataset, study.machine, levels.experiments(study.preset))
    estimates = {job.name: estimator.seconds(job.experiment) for job in jobs}
    started = time.perf_counter()
    with Reporter(estimates) as reporter:
        reporter.say(f"about {duration(sum(estimates.values()))} on {study.machine.device}, {_precision_note(study)}")
        images = {job.name: estimator.images(job.experiment) for job in jobs}
        if study.workers > 1:
            run_side_by_side(study, options, jobs, images, reporter)
        else:
            for job in jobs:
                reporter.begin(job.name, images[job.name])
                reporter.end(job.name, *run_job(study, job, partial(reporter.advance, job.name)))
        reporter.say(f"study complete in {duration(time.perf_counter() - started)}")


def _precision_note(study: Study) -> str:
    return "bfloat16 where a recipe asks" if study.machine.precision("bfloat16") == "bfloat16" else "float32"


def _require_upstream(study: Study, jobs: list[Job]) -> None:
    """StudyError when a run needs another that is neither complete nor about to run."""
    planned = {job.name for job in jobs}
    by_key = {experiment.key: experiment for experiment in levels.experiments(study.preset)}
    for job in jobs:
        for key in job.experiment.needs:
            needed = Job(by_key[key], job.seed)
            if needed.name not in planned and not study.is_done(needed):
                raise StudyError(f"{job.name} needs {needed.name}: add level {needed.experiment.level} to --levels")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the study's folder; StudyError when it cannot be written or another process holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise StudyError(f"another study is running in {folder}; wait for it or choose another --study name") from error
    except OSError as error:
        raise StudyError(f"cannot write to {folder}: {error.strerror}; choose another place with --runs") from error
    try:
        yield
    finally:
        lock.release()


def _write_plan(study: Study) -> None:
    """Write study.json; StudyError when the folder holds a study of another preset or dataset."""
    path, seeds = study.folder / records.STUDY, set(study.seeds)
    if path.is_file():
        before = records.read_json(path)
        if (before["preset"], before["dataset"]["fingerprint"]) != (
            study.preset.name,
            study.dataset.fingerprint,
        ):
            raise StudyError(
                f"{study.folder} holds a study of preset {before['preset']} on {before['dataset']['title']}; "
                "choose another name with --study"
            )
        seeds |= set(before["seeds"])
    records.write_json(path, plan(replace(study, seeds=tuple(sorted(seeds)))))


def plan(study: Study) -> dict[str, Any]:
    """What study.json says: the experiments of all levels in order, and what the paper needs to describe them."""
    return {
        "format": records.FORMAT,
        "study": study.folder.name,
        "preset": study.preset.name,
        "purpose": study.preset.purpose,
        "seeds": list(study.seeds),
        "device": str(study.machine.device),
        "dataset": study.dataset.describe(),
        "pass_marks": {str(level): mark for level, mark in levels.PASS_MARKS.items()},
        "reference": {str(level): dict(values) for level, values in levels.REFERENCE.items()},
        "experiments": [_entry(experiment) for experiment in levels.experiments(study.preset)],
    }


def _entry(experiment: Experiment) -> dict[str, Any]:
    presented = {name: getattr(experiment, name) for name in ("key", "level", "name", "title", "control", "differs")}
    return presented | {"kind": type(experiment).__name__, "spec": identity(experiment)}
