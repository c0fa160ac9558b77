"""A study about to run, as the flags of `invoke study` ask for it."""

from __future__ import annotations

import contextlib
import shutil
from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from study import files, records
from study.data import sources
from study.data.pixels import files_below
from study.description import DataDescription, Description, read_description
from study.design import levels, presets
from study.design.presets import Preset
from study.errors import StoppingError, StudyError
from study.experiment import ADDED, Experiment, run_name
from study.files import inside
from study.kinds import Added, JoinedVote, Kind, Scale
from study.records import Plan
from study.running.options import Options
from study.status import readable_specs

if TYPE_CHECKING:
    from study.data.datasets import Dataset
    from study.machine import Machine

EXECUTORS = ("processes", "ray")


@dataclass(frozen=True)
class Job:
    """One experiment with one seed."""

    experiment: Kind
    seed: int

    @property
    def name(self) -> str:
        """Like ``level1/finetuned/seed-0``."""
        return run_name(self.experiment.key, self.seed)

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the jobs whose runs it reads."""
        return tuple(run_name(key, self.seed) for key in self.experiment.needs)


@dataclass(frozen=True)
class Study:
    """A study about to run: what, on which data, into which folder. The machine and the images wait until needed."""

    options: Options
    preset: Preset
    data: DataDescription
    folder: Path
    chosen: tuple[Kind, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Training seeds to run now."""
        return self.options.seeds or self.preset.seeds

    @property
    def jobs(self) -> list[Job]:
        """Every run of the chosen experiments, all of one seed before the next."""
        return [Job(experiment, seed) for seed in self.seeds for experiment in self.chosen]

    def joined(self, current: Container[str]) -> list[Job]:
        """Votes that predictions made elsewhere join, all members of which are ``current`` or about to run.

        A part of a study, by ``levels`` or ``only``, has none.
        """
        if self.options.levels or self.options.only:
            return []
        asked = {job.name for job in self.jobs}
        votes = [Job(each, seed) for seed in self.plan.seeds for each in self.added if isinstance(each, JoinedVote)]
        return [job for job in votes if all(name in current or name in asked for name in job.needs)]

    @cached_property
    def added(self) -> tuple[Experiment, ...]:
        """What `invoke add` brought in earlier, and the votes that it joins."""
        if self.recorded is None:
            return _additions(self.folder)
        return tuple(each for each in self.recorded.experiments if not each.level)

    @cached_property
    def recorded(self) -> Plan | None:
        """The plan that an earlier call left, if this version can read it."""
        return _recorded(self.folder)

    @cached_property
    def unreadable(self) -> tuple[str, ...]:
        """A line that says why the plan of an earlier call cannot be read; none where it can, or there is none."""
        try:
            if (self.folder / records.STUDY).exists():
                records.read_plan(self.folder)
        except StudyError as error:
            lost = (self.folder / ADDED).exists() and not self.added
            again = ", and what was added has to be added again" if lost else ""
            return (f"{error}; study.json is written anew{again}",)
        return ()

    @cached_property
    def machine(self) -> Machine:
        """The machine it runs on. StudyError when the device asked for is not there."""
        from study import machine

        return machine.resolve(self.options.device, self.options.compile, self.options.deterministic)

    @cached_property
    def dataset(self) -> Dataset:
        """The images. StoppingError when they are not those of the description."""
        found = _read(replace(self.options, dataset=self.data.source), self.preset, self.data.description)
        if (found.fingerprint, found.splits_digest) != (self.data.fingerprint, self.data.splits):
            raise StoppingError(f"the images in {self.data.folder} changed under the study; run it again")
        return found

    @property
    def decided(self) -> Options:
        """What was asked for with nothing left to find, or another process might find another dataset."""
        device = str(self.machine.device)
        return replace(self.options, preset=self.preset.name, dataset=self.data.source, device=device)

    @property
    def workers(self) -> int:
        """How many runs to do at a time: on a CPU two where there are two cores and two runs, unless told otherwise.

        It depends on what is asked for and not on what is still missing, so that a resumed run has the threads it had.
        """
        from study.machine import available_threads

        if self.options.workers is not None:
            return self.options.workers
        return min(2, available_threads(), len(self.jobs)) if self.machine.device.type == "cpu" else 1

    @property
    def threads(self) -> int:
        """Threads of a run: an even share where there are several at a time, else as many as PyTorch thinks best."""
        import torch

        from study.machine import available_threads

        return max(1, available_threads() // self.workers) if self.workers > 1 else torch.get_num_threads()

    @cached_property
    def plan(self) -> Plan:
        """What study.json says: the experiments of all levels in order, with the seeds of earlier calls, too."""
        return Plan(
            study=self.folder.name,
            preset=self.preset.name,
            purpose=self.preset.purpose,
            seeds=tuple(sorted({*self.seeds, *self.earlier_seeds})),
            device=self.options.device,
            dataset=self.data,
            levels=levels.described(self.data.description),
            experiments=(*levels.experiments(self.preset), *self.added),
        )

    @cached_property
    def earlier_seeds(self) -> set[int]:
        """Seeds of earlier calls with which a run is complete: one that was mistyped and interrupted is forgotten."""
        if self.recorded:
            return {seed for seed in self.recorded.seeds if any(self.folder.glob(f"*/*/seed-{seed}/{records.RESULT}"))}
        return {spec.seed for spec in readable_specs(self.folder, "level*")}

    @property
    def scale(self) -> Scale:
        """What the costs of its runs depend on."""
        images = self.data.sizes | {records.OOD: self.data.sizes["test"] if self.data.ood else 0}
        native = self.machine.precision("bfloat16") == "bfloat16"
        return Scale(images, {experiment.key: experiment for experiment in self.plan.experiments}, native)


def prepare(options: Options) -> Study:
    """Resolve the flags into a study. StudyError for whatever is unknown, absent or corrupt."""
    if options.workers is not None and options.workers < 1:
        raise StudyError(f"--workers takes a number from 1 upwards, not {options.workers}")
    if options.executor not in EXECUTORS:
        raise StudyError(f"unknown executor {options.executor!r}; choose one of {', '.join(EXECUTORS)}")
    if options.address and options.executor != "ray":
        raise StudyError("--address is that of a Ray cluster; add --executor ray")
    if options.executor == "ray" and ":" in options.device:
        raise StudyError(f"Ray hands out GPUs itself: use CUDA_VISIBLE_DEVICES instead of --device {options.device}")
    preset = presets.by_name(_default_preset(options.device) if options.preset == "auto" else options.preset)
    if options.study:
        inside(options.runs, options.study)
    # Described super-classes can only add experiments, so what is unknown with them is so whatever the data are.
    levels.selected(replace(preset, coarse=(0, 1)), options.levels, options.only)
    data = _unchanged(options, preset) or _loaded(options, preset)
    told = data.description
    preset = presets.adapted(preset, data.sizes["train"], data.image_size, told.coarse(data.classes), told.flip)
    chosen = levels.selected(preset, options.levels, options.only)
    study = Study(options, preset, data, _folder(options, preset, data.name), chosen)
    if options.device not in ("auto", "cpu"):
        study.machine  # noqa: B018 - refuses a device that is not there before anything is written
    return study


def _folder(options: Options, preset: Preset, dataset: str) -> Path:
    return options.runs / (options.study or f"{preset.name}-{dataset}")


def _default_preset(device: str) -> str:
    if device == "cpu" or not shutil.which("nvidia-smi"):  # asking torch takes seconds
        return "quick"
    import torch

    return "paper" if torch.cuda.is_available() else "quick"


def _recorded(folder: Path) -> Plan | None:
    """The plan of an earlier call; None where there is none, or none that this version can read."""
    with contextlib.suppress(StudyError):
        return records.read_plan(folder)
    return None


def _additions(folder: Path) -> tuple[Experiment, ...]:
    """What specs tell of additions to a study that lost its plan, before the votes that they join."""
    specs = readable_specs(folder, ADDED)
    seeds = defaultdict[str, set[int]](set)
    for spec in specs:
        seeds[spec.experiment.key].add(spec.seed)
    joined = {spec.experiment.key: spec.experiment for spec in specs if isinstance(spec.experiment, JoinedVote)}
    added = {
        spec.experiment.key: replace(spec.experiment, seeds=tuple(sorted(seeds[spec.experiment.key])))
        for spec in specs
        if isinstance(spec.experiment, Added)
    }
    return (*added.values(), *joined.values())


def _unchanged(options: Options, preset: Preset) -> DataDescription | None:
    """What an earlier call recorded of the data, where their files are those of then and need not be read again."""
    name = "cifar10" if options.dataset == "auto" else options.dataset
    stamp = _stamp(options, preset, name)
    recorded = _recorded(_folder(options, preset, sources.short_name(name)))
    return recorded.dataset if recorded and stamp and recorded.dataset.stamp == stamp else None


def _stamp(options: Options, preset: Preset, dataset: str) -> str:
    told = options.description
    told += files.sha256(Path(told)) if Path(told).is_file() else ""
    stamp = sources.stamp(dataset, sources.folder_of(options.data), preset.subset, preset.largest, told)
    if not (stamp and options.ood):
        return stamp
    if options.ood in sources.names():
        pattern = sources.named(options.ood).FILES
        others = sorted(sources.folder_of(options.data).glob(pattern)) if pattern else []
    else:
        others = files_below(Path(options.ood))
    return f"{stamp} {options.ood} {sources.digest_of(others)}"


def _loaded(options: Options, preset: Preset) -> DataDescription:
    from study.data import ood

    told = read_description(Path(options.description)) if options.description else None
    dataset = _read(options, preset, told)
    others = ood.available(dataset, sources.folder_of(options.data), options.ood)
    fell_back = options.dataset == "auto" and bool(dataset.notice)
    stamp = "" if fell_back else _stamp(options, preset, dataset.source or dataset.name)
    found = dataset.describe(others.fingerprint if others else "", stamp)
    return replace(found, ood_from=options.ood, described_by=options.description)


def _read(options: Options, preset: Preset, description: Description | None) -> Dataset:
    from study.data import datasets

    return datasets.load(options.dataset, options.data, preset.subset, preset.largest, description)
