"""What there is to run: a study resolved from the flags, its jobs, and how one of them becomes a record."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from study import execution, machine, records
from study.data import datasets, ood
from study.data.datasets import Dataset
from study.design import levels, presets
from study.design.presets import Preset
from study.errors import StudyError
from study.experiment import Experiment, McDropout, OutOfDistribution, Precision, Search, Training, identity
from study.machine import Machine


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
    workers: int | None = None


@dataclass(frozen=True)
class Job:
    """One experiment with one seed."""

    experiment: Experiment
    seed: int

    @property
    def name(self) -> str:
        """Like ``level1/finetuned/seed-0``."""
        return f"{self.experiment.key}/seed-{self.seed}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the jobs whose runs it reads."""
        return tuple(f"{key}/seed-{self.seed}" for key in self.experiment.needs)


@dataclass(frozen=True)
class Study:
    """A study about to run: what, on which data, on which machine, into which folder, how many runs at a time."""

    preset: Preset
    dataset: Dataset
    machine: Machine
    folder: Path
    seeds: tuple[int, ...]
    chosen: tuple[Experiment, ...]
    workers: int = 1

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
        others = ood.at_hand(self.dataset)
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
    dataset = datasets.load(options.dataset, options.folder, preset.subset)
    name = options.study or f"{preset.name}-{dataset.name}"
    if Path(name).name != name or name.startswith("."):
        raise StudyError(f"study name {name!r} must be a plain folder name, e.g. --study my-study")
    seeds = options.seeds or preset.seeds
    workers = _workers(options.workers, device, len(seeds) * len(chosen))
    return Study(preset, dataset, device, options.runs / name, seeds, chosen, workers)


def _workers(wished: int | None, device: Machine, jobs: int) -> int:
    """How many runs to do at a time: on a CPU two where there are two cores and two runs, unless told otherwise.

    It depends on what is asked for and not on what is still missing, so that a resumed run has the threads it had.
    """
    if wished is not None and wished < 1:
        raise StudyError(f"--workers takes a number from 1 upwards, not {wished}")
    if wished is not None:
        return wished
    return min(2, machine.available_threads(), jobs) if device.device.type == "cpu" else 1


def run_job(study: Study, job: Job, advance: Callable[[int], None]) -> tuple[str, float]:
    """Execute one run and record it, unless it is done; returns a one-line summary and the seconds it took.

    ``advance`` is told how many more images were processed.
    """
    if study.is_done(job):  # what it builds on may have been redone to the same result
        return "unchanged", 0.0
    folder = study.run_folder(job)
    _make_room(study, job)
    records.write_json(folder / "spec.json", study.spec(job))
    wall, cpu = time.perf_counter(), time.process_time()
    machine.reset_peak_memory(study.machine)
    context = execution.Context(study.dataset, study.machine, study.folder, folder, job.seed, advance)
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
    aside = study.folder / records.SUPERSEDED / f"{job.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, aside)
