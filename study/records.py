"""The run record: how a run is written so that it survives anything, and how it is read back.

``runs/<study>/<level>/<experiment>/seed-<n>/`` holds spec.json, epochs.jsonl, environment.json,
model.safetensors, predictions.npz, and, written last, result.json with the digest of every other file. A run is
complete when result.json is there and its digests hold; it is current when its spec is still what the study's plan
(study.json) asks for, its inputs being current too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from study.description import DataDescription, Level
from study.errors import StudyError
from study.experiment import Experiment, Trained, from_data, run_name, structured, to_data
from study.files import JSON, inside, read_json, sha256, write_arrays, write_bytes, write_json

if TYPE_CHECKING:
    import pandas as pd

# Raised whenever what is read from a record was not in those of earlier versions, or a network of this study's own is
# another under the same name; these are then redone.
FORMAT = 9
RESULT = "result.json"
SPEC = "spec.json"
CHECKPOINT = "checkpoint.pt"
PREDICTIONS = "predictions.npz"
MODEL = "model.safetensors"
EPOCHS = "epochs.jsonl"
TRIALS = "trials.json"
LATENCY = "latency.json"
ENVIRONMENT = "environment.json"
FAILED = "failed.json"  # why a run failed; gone as soon as it is tried again
STUDY = "study.json"
SUPERSEDED = "superseded"  # folder of complete or damaged runs that newer ones replace
SPLITS = ("validation", "test")
OOD = "ood"  # prefix of the arrays about out-of-distribution images

Stored = TypeVar("Stored", "Spec", "Plan")


@dataclass
class Outcome:
    """What a run found: metrics for result.json, arrays for predictions.npz, seconds per phase."""

    metrics: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """Why a run failed: in one line, and as the traceback of whoever wants to know where."""

    error: str
    traceback: str = ""

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """What an exception says: of the expected ones the message, of others their type, too."""
        first_line = str(error).strip().partition("\n")[0]
        said = first_line if isinstance(error, StudyError) else f"{type(error).__name__}: {first_line}"
        return cls(said, "".join(traceback.format_exception(error)))


@dataclass(frozen=True)
class Spec:
    """What decides a run's result: the experiment, the seed, the data, and the results it builds on, by key.

    ``ood`` is the fingerprint of the out-of-distribution images where the experiment reads them, ``classes`` are their
    names where its result holds them.
    """

    experiment: Experiment
    seed: int
    preset: str
    fingerprint: str
    splits: str
    upstream: dict[str, str]
    ood: str = ""
    classes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Key and seed, the way provenance names a run."""
        return run_name(self.experiment.key, self.seed)


@dataclass(frozen=True)
class Plan:
    """What a study set out to do (study.json): the experiments of all levels in order, and what describes them."""

    study: str
    preset: str
    purpose: str
    seeds: tuple[int, ...]
    device: str
    dataset: DataDescription
    levels: tuple[Level, ...]
    experiments: tuple[Experiment, ...]

    @cached_property
    def runs(self) -> tuple[tuple[int, Experiment], ...]:
        """Seed and experiment of every run there is to be, all of one seed before the next.

        What is made from an experiment that has no run with a seed has none either.
        """
        planned: list[tuple[int, Experiment]] = []
        for seed in self.seeds:
            absent = set[str]()
            for experiment in self.experiments:
                if experiment.made_with(seed) and absent.isdisjoint(experiment.needs):
                    planned.append((seed, experiment))
                else:
                    absent.add(experiment.key)
        return tuple(planned)

    def spec(self, experiment: Experiment, seed: int, current: Mapping[str, Run]) -> Spec | None:
        """What a run must have been made of to be current, given the current ones; None when an input is missing."""
        inputs = {key: current.get(run_name(key, seed)) for key in experiment.needs}
        if None in inputs.values():
            return None
        upstream = {key: run.digest for key, run in inputs.items() if run}
        data = self.dataset
        ood = data.ood if experiment.reads_ood else ""
        classes = data.classes if experiment.names_classes else ()
        return Spec(experiment, seed, self.preset, data.fingerprint, data.splits, upstream, ood, classes)


class OtherVersion(StudyError):
    """A record is of another version of this package."""


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a run except result.json and leftovers of interrupted writes."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    kept = (p for p in files if p.name not in (RESULT, CHECKPOINT, FAILED) and not p.name.startswith("."))
    return {p.relative_to(folder).as_posix(): sha256(p) for p in kept}


def write_spec(folder: Path, spec: Spec) -> None:
    """Write spec.json, from which ``read_spec`` makes the same spec again."""
    write_json(folder / SPEC, msgspec.to_builtins(spec) | {"format": FORMAT, "experiment": to_data(spec.experiment)})


def read_spec(folder: Path) -> Spec:
    """The spec of a run. StudyError when spec.json is missing, damaged, or of another version."""
    return _read(folder / SPEC, Spec, "experiment", _experiment, {"level": 0, "name": ""})


def write_plan(folder: Path, plan: Plan) -> None:
    """Write study.json."""
    experiments = [to_data(experiment) for experiment in plan.experiments]
    write_json(folder / STUDY, msgspec.to_builtins(plan) | {"format": FORMAT, "experiments": experiments})


def read_plan(folder: Path) -> Plan:
    """What a study set out to do. StudyError when there is none, or one that another version recorded."""
    if not (folder / STUDY).is_file():
        raise StudyError(f"no study in {folder}; run `invoke study` first, or name one with --study")
    return _read(folder / STUDY, Plan, "experiments", lambda stored: tuple(map(_experiment, stored)), [])


def _experiment(data: Mapping[str, JSON]) -> Experiment:
    """What a record says of an experiment. StudyError when it is not understood, or its run would lie elsewhere."""
    experiment = from_data(data)
    inside(Path(), experiment.name)
    return experiment


def _read(path: Path, kind: type[Stored], held: str, read: Callable[[JSON], Any], blank: JSON) -> Stored:
    """A dataclass whose field ``held`` holds experiments, which ``read`` reads; ``blank`` stands there meanwhile."""
    data = _stored(path)
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise OtherVersion(
            f"{path.parent} was recorded by another version; run the study again: it redoes what is out of date"
        )
    try:
        return replace(structured(data | {held: blank}, kind), **{held: read(data[held])})
    except (StudyError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{path} is damaged ({error}); run the study again to redo it") from error


def _stored(path: Path) -> JSON:
    """What a record's JSON file holds. StudyError says how it is made anew."""
    try:
        return read_json(path)
    except StudyError as error:
        raise StudyError(f"{error}; run the study again to redo it") from error


def finish(folder: Path, outcome: Outcome) -> None:
    """Complete a run: write its arrays, then result.json last, then drop the checkpoint."""
    if outcome.arrays:
        write_arrays(folder / PREDICTIONS, outcome.arrays)
    result = {"metrics": outcome.metrics, "durations": outcome.durations, "files": digests(folder)}
    write_json(folder / RESULT, result | {"digest": _digest(result)})
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _digest(result: JSON) -> str:
    """SHA-256 (hex) of what result.json says, by which it vouches for itself."""
    read_back = json.loads(json.dumps(result))
    return hashlib.sha256(json.dumps(read_back, sort_keys=True).encode()).hexdigest()


def write_failure(folder: Path, failure: Failure) -> None:
    """Write failed.json into the run's folder, beside what the next attempt goes on from."""
    write_json(folder / FAILED, msgspec.to_builtins(failure))


def read_failure(folder: Path) -> Failure | None:
    """Why a run failed; None when it did not, or has been tried again since."""
    with contextlib.suppress(StudyError):
        return structured(read_json(folder / FAILED), Failure)
    return None


@dataclass(frozen=True)
class Predictions:
    """What a model said about one split: indices (N,), labels (N,), logits (N, C) float32."""

    indices: np.ndarray
    labels: np.ndarray
    logits: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        """Predicted class per image, (N,)."""
        return self.logits.argmax(axis=1)

    @property
    def correct(self) -> np.ndarray:
        """Whether each image was classified correctly, (N,) bool."""
        return self.predicted == self.labels

    @property
    def accuracy(self) -> float:
        """Fraction classified correctly."""
        return float(self.correct.mean())


@dataclass(frozen=True)
class Run:
    """A complete run, read lazily from its folder."""

    folder: Path
    spec: Spec
    metrics: dict[str, Any]
    durations: dict[str, float]
    files: dict[str, str]

    @property
    def experiment(self) -> Experiment:
        """What was run."""
        return self.spec.experiment

    @property
    def key(self) -> str:
        """Experiment key, e.g. ``level2/augmented``."""
        return self.experiment.key

    @property
    def seed(self) -> int:
        """Training seed."""
        return self.spec.seed

    @property
    def name(self) -> str:
        """Key and seed, the way provenance names a run."""
        return self.spec.name

    @property
    def trained(self) -> Trained:
        """What it trained. StudyError for a run that trains nothing."""
        if (trained := self.experiment.trained) is None:
            raise StudyError(f"{self.name} trains no network, and one is needed of it")
        return trained

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Every array of predictions.npz by name; empty when the run predicts nothing."""
        if PREDICTIONS not in self.files:
            return {}
        try:
            with np.load(self.folder / PREDICTIONS, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except Exception as error:  # numpy and zipfile have one for everything
            raise StudyError(f"{self.folder / PREDICTIONS} holds no arrays ({error}); run the study again") from error

    @property
    def digest(self) -> str:
        """What other runs build on: the digests of its predictions and weights, equal whenever the result is."""
        return " ".join(self.files[name] for name in (PREDICTIONS, MODEL) if name in self.files)

    def predicts(self, split: str = "test") -> bool:
        """Whether predictions on the test images, or those of another split, were recorded."""
        return f"{split}_accuracy" in self.metrics

    def predictions(self, split: str) -> Predictions:
        """Predictions on "validation" or "test". KeyError when the run predicts nothing."""
        return Predictions(*(self.arrays[f"{split}_{part}"] for part in ("indices", "labels", "logits")))

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, device, threads, commit, peak memory."""
        return _stored(self.folder / ENVIRONMENT)

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch: losses, accuracies, learning rate, seconds, images per second."""
        import pandas as pd

        return pd.DataFrame(read_epochs(self.folder))


def read_epochs(folder: Path) -> list[dict[str, Any]]:
    """The lines of epochs.jsonl; an empty list when there is none."""
    path = folder / EPOCHS
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_epochs(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write epochs.jsonl, one line per epoch."""
    write_bytes(folder / EPOCHS, "".join(json.dumps(row) + "\n" for row in rows).encode())


def load_run(folder: Path) -> Run:
    """Read a complete run. StudyError names the file that is missing, damaged, altered or of another version."""
    spec = read_spec(folder)
    result = _stored(folder / RESULT)
    try:
        digest = result.pop("digest")
        run = Run(folder, spec, result["metrics"], result["durations"], result["files"])
        altered = [name for name, value in run.files.items() if not _holds(folder / name, value)]
        if digest != _digest(result) or len(altered) == len(run.files):
            altered = [RESULT]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise StudyError(f"{folder / RESULT} is damaged; run the study again to redo the run") from error
    if altered:
        raise StudyError(f"{folder / altered[0]} is missing or was altered; run the study again to redo the run")
    return run


def _holds(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest


def current_runs(folder: Path, plan: Plan) -> dict[str, Run]:
    """Complete runs of the plan's experiments and seeds by name, all of one seed before the next.

    Left out are those of another spec, and those built on the results of a run that is not there any more.
    """
    current: dict[str, Run] = {}
    for seed, experiment in plan.runs:
        spec = plan.spec(experiment, seed, current)
        if spec and (run := current_run(folder, spec)):
            current[spec.name] = run
    return current


def current_run(folder: Path, spec: Spec) -> Run | None:
    """The complete, undamaged run of just this spec; None when there is none."""
    with contextlib.suppress(StudyError):
        if read_spec(folder / spec.name) == spec:
            return load_run(folder / spec.name)
    return None
