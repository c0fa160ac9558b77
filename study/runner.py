"""Run a study: plan it, lock its folder, execute what is missing, record what happened."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from study import data, execution, levels, machine, outliers, presets, records
from study.data import Dataset
from study.errors import StudyError
from study.estimate import Estimator
from study.experiment import Experiment, McDropout, OutOfDistribution, Precision, Search, Training, identity
from study.machine import Machine
from study.presets import Preset
from study.progress import Reporter, duration

LOCK = ".lock"


@dataclass(frozen=True)
class Options:
    """The flags of `invoke study`; None and "auto" are decided on this machine."""

    preset: str = "auto"
    levels: tuple[int, ...] = tuple(levels.LEVELS)
    only: tuple[str, ...] = ()
    seeds: tuple[int, ...] | None = None
    folder: str | None = None
    dataset: str = "auto"
    device: str = "auto"
    study: str | None = None
    runs: Path = Path("runs")
    compile: bool = False
    deterministic: bool = False


@dataclass(frozen=True)
class Job:
    """One experiment with one seed."""

    experiment: Experiment
    seed: int

    @property
    def name(self) -> str:
        """Like ``level1/finetuned/seed-0``."""
        return f"{self.experiment.key}/seed-{self.seed}"


@dataclass(frozen=True)
class Study:
    """A study about to run: what, on which data, on which machine, into which folder."""

    preset: Preset
    dataset: Dataset
    machine: Machine
    folder: Path
    seeds: tuple[int, ...]
    chosen: tuple[Experiment, ...]

    @property
    def jobs(self) -> list[Job]:
        """Every run of the chosen experiments, all of one seed before the next."""
        return [Job(experiment, seed) for seed in self.seeds for experiment in self.chosen]

    def run_folder(self, job: Job) -> Path:
        """Where a job's run is recorded."""
        return records.run_folder(self.folder, job.experiment.key, job.seed)

    @cached_property
    def outliers(self) -> str:
        """Fingerprint of the second dataset; empty when none is at hand."""
        others = outliers.at_hand(self.dataset)
        return others.fingerprint if others else ""

    def spec(self, job: Job) -> dict[str, Any]:
        """What decides the job's result: the experiment, the seed, the data and the results it builds on."""
        upstream = {
            key: records.results_digest(records.run_folder(self.folder, key, job.seed)) for key in job.experiment.needs
        }
        reads_outliers = isinstance(job.experiment, McDropout | OutOfDistribution)
        return ({"outliers": self.outliers} if reads_outliers else {}) | {
            "experiment": identity(job.experiment),
            "seed": job.seed,
            "preset": self.preset.name,
            "upstream": upstream,
            "dataset": {
                "name": self.dataset.name,
                "fingerprint": self.dataset.fingerprint,
                "splits": self.dataset.splits_digest,
            },
        }

    def is_done(self, job: Job) -> bool:
        """Whether the job has a complete, undamaged run of just this spec."""
        folder = self.run_folder(job)
        return records.is_complete(folder) and records.read_json(folder / "spec.json") == self.as_read(job)

    def as_read(self, job: Job) -> dict[str, Any]:
        """The spec as JSON gives it back (tuples are lists)."""
        return json.loads(json.dumps(self.spec(job)))


def prepare(options: Options) -> Study:
    """Resolve the flags into a study. StudyError for whatever is unknown, absent or corrupt."""
    device = machine.resolve(options.device, options.compile, options.deterministic)
    default = "paper" if device.device.type == "cuda" else "quick"
    preset = presets.by_name(default if options.preset == "auto" else options.preset)
    chosen = levels.selected(preset, options.levels, options.only)
    dataset = data.load(options.dataset, options.folder, preset.subset)
    name = options.study or f"{preset.name}-{dataset.name}"
    if Path(name).name != name or name.startswith("."):
        raise StudyError(f"study name {name!r} must be a plain folder name, e.g. --study my-study")
    return Study(preset, dataset, device, options.runs / name, options.seeds or preset.seeds, chosen)


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
            _run_all(study, missing)
        _export(study, afresh=bool(missing))
    return study.folder


def _missing(study: Study) -> list[Job]:
    """Jobs without a complete run of their spec, and those that build on the results of such jobs."""
    missing: dict[str, Job] = {}
    for job in study.jobs:
        needed = (f"{key}/seed-{job.seed}" for key in job.experiment.needs)
        if not study.is_done(job) or any(name in missing for name in needed):
            missing[job.name] = job
    return list(missing.values())


def _export(study: Study, afresh: bool) -> None:
    """Write the deployable model, the best static int8 one by validation accuracy, unless it is there already."""
    from study.model_card import write_export
    from study.prediction import load_export

    if not afresh:
        with contextlib.suppress(StudyError):
            load_export(study.folder)
            return
    chosen = levels.experiments(study.preset)
    done = {job.name: records.load_run(study.run_folder(job)) for job in _done(study, chosen)}
    static = [run for run in done.values() if run.spec["experiment"].get("method") == "static"]
    if static:
        best = max(static, key=lambda run: run.metrics["validation_accuracy"])
        source = done[f"{best.spec['experiment']['source']}/seed-{best.seed}"]
        write_export(study.folder, source, best, records.load_plan(study.folder))


def _done(study: Study, chosen: tuple[Experiment, ...]) -> list[Job]:
    """The chosen experiments' complete and current runs, of all seeds."""
    jobs = [Job(experiment, seed) for seed in study.seeds for experiment in chosen]
    return [job for job in jobs if study.is_done(job)]


def _run_all(study: Study, jobs: list[Job]) -> None:
    estimator = Estimator(study.dataset, study.machine, levels.experiments(study.preset))
    estimates = {job.name: estimator.seconds(job.experiment) for job in jobs}
    started = time.perf_counter()
    with Reporter(estimates) as reporter:
        reporter.say(f"about {duration(sum(estimates.values()))} on {study.machine.device}, {_precision_note(study)}")
        for job in jobs:
            reporter.begin(job.name, estimator.images(job.experiment))
            # What it builds on may have been redone to the same result.
            summary, seconds = ("unchanged", 0.0) if study.is_done(job) else run_job(study, job, reporter)
            reporter.end(summary, seconds)
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


def run_job(study: Study, job: Job, reporter: Reporter) -> tuple[str, float]:
    """Execute one run and record it; returns a one-line summary and the seconds it took."""
    folder = study.run_folder(job)
    _make_room(study, job)
    records.write_json(folder / "spec.json", study.spec(job))
    wall, cpu = time.perf_counter(), time.process_time()
    machine.reset_peak_memory(study.machine)
    context = execution.Context(study.dataset, study.machine, study.folder, folder, job.seed, reporter.advance)
    outcome = execution.execute(job.experiment, context)
    seconds = time.perf_counter() - wall + outcome.durations.get("earlier", 0.0)
    if outcome.arrays:
        records.write_arrays(folder / records.PREDICTIONS, outcome.arrays)
    times = {"wall_seconds": seconds, "cpu_seconds": time.process_time() - cpu}
    described = machine.environment(study.machine, study.machine.precision(_wished(job.experiment)))
    memory = {"peak_memory_bytes": machine.peak_memory_bytes(study.machine)}
    records.write_json(folder / "environment.json", described | times | memory)
    records.finish(folder, outcome.metrics, outcome.durations | {"total": seconds})
    return _summary(outcome.metrics), seconds


def _wished(experiment: Experiment) -> Precision:
    if isinstance(experiment, Search):
        return experiment.base.recipe.precision
    return experiment.recipe.precision if isinstance(experiment, Training) else "float32"


def _summary(metrics: dict[str, Any]) -> str:
    if "skipped" in metrics:
        return f"skipped: {metrics['skipped']}"
    accuracy = metrics.get("test_accuracy")
    return "done" if accuracy is None else f"test accuracy {100 * accuracy:.2f} %"


def _make_room(study: Study, job: Job) -> None:
    """Set aside whatever stands in the run's folder and is not an interrupted run of the same spec."""
    folder = study.run_folder(job)
    if not folder.exists():
        return
    spec = folder / "spec.json"
    if spec.is_file() and records.read_json(spec) == study.as_read(job) and not (folder / records.RESULT).exists():
        return
    aside = study.folder / "superseded" / f"{job.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, aside)


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
