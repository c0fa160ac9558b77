"""The run record: how a run is written so that it survives anything, and how it is read back.

``runs/<study>/<level>/<experiment>/seed-<n>/`` holds spec.json, epochs.jsonl, environment.json,
model.safetensors, predictions.npz, branch.pt where other runs go on from this one, and, written last,
result.json with the digest of every other file. A run is complete when result.json is there, in the format
of this version, and its digests hold.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from study.errors import StudyError

# Raised whenever what is read from a record was not in those of earlier versions; these are then redone.
FORMAT = 3
RESULT = "result.json"
CHECKPOINT = "checkpoint.pt"
BRANCH = "branch.pt"  # a checkpoint that stays, for others to go on from
PREDICTIONS = "predictions.npz"
MODEL = "model.safetensors"
EPOCHS = "epochs.jsonl"
STUDY = "study.json"
SUPERSEDED = "superseded"  # folder of complete or damaged runs that newer ones replace
SPLITS = ("validation", "test")
OUTLIERS = "outlier"  # prefix of the arrays about images of none of the classes

JSON: TypeAlias = Any


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` atomically: a reader sees the old content or the new, never a part.

    Raises StudyError when the disk refuses; the old content is then still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")  # two processes may write equal files
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StudyError(f"cannot write {path}: {error.strerror}; free space or choose another folder") from error


def write_json(path: Path, data: JSON) -> None:
    """Write JSON-ready data, sorted and indented, atomically."""
    write_bytes(path, (json.dumps(data, indent=1, sort_keys=True) + "\n").encode())


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write named arrays as one compressed npz, atomically."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_json(path: Path) -> JSON:
    """Parse a JSON file; StudyError names the file that is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise StudyError(f"{path} is damaged ({error}); remove its folder and run the study again") from error


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a run except result.json and leftovers of interrupted writes."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    kept = (p for p in files if p.name not in (RESULT, CHECKPOINT) and not p.name.startswith("."))
    return {p.relative_to(folder).as_posix(): sha256(p) for p in kept}


def finish(folder: Path, metrics: dict[str, Any], durations: dict[str, float]) -> None:
    """Complete a run: write result.json last, then drop the checkpoint."""
    result = {"format": FORMAT, "metrics": metrics, "durations": durations, "files": digests(folder)}
    write_json(folder / RESULT, result)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def is_complete(folder: Path) -> bool:
    """Whether result.json is there, in this version's format, and every digest in it holds."""
    try:
        result = read_json(folder / RESULT)
        known, expected = result["format"] == FORMAT, result["files"]
    except (StudyError, KeyError, TypeError):
        return False
    return known and all(
        (folder / name).is_file() and sha256(folder / name) == value for name, value in expected.items()
    )


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
    spec: dict[str, Any]
    metrics: dict[str, Any]
    durations: dict[str, float]
    files: dict[str, str]

    @property
    def key(self) -> str:
        """Experiment key, e.g. ``level2/augmented``."""
        return f"level{self.spec['experiment']['level']}/{self.spec['experiment']['name']}"

    @property
    def seed(self) -> int:
        """Training seed."""
        return int(self.spec["seed"])

    @property
    def name(self) -> str:
        """Key and seed, the way provenance names a run."""
        return f"{self.key}/seed-{self.seed}"

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Every array of predictions.npz by name; empty when the run predicts nothing."""
        path = self.folder / PREDICTIONS
        if not path.is_file():
            return {}
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}

    @property
    def digest(self) -> str:
        """What other runs build on: the digests of its predictions and weights, equal whenever the result is."""
        return _digest(self.files)

    @property
    def predicts(self) -> bool:
        """Whether predictions on the validation and test images were recorded."""
        return f"{SPLITS[-1]}_logits" in self.arrays

    def predictions(self, split: str) -> Predictions:
        """Predictions on "validation" or "test". KeyError when the run predicts nothing."""
        return Predictions(*(self.arrays[f"{split}_{part}"] for part in ("indices", "labels", "logits")))

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, device, threads, commit, wall and CPU seconds, peak memory."""
        return read_json(self.folder / "environment.json")

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """One row per epoch: losses, accuracies, learning rate, seconds, images per second."""
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
    """Read a complete run. StudyError when it is incomplete or its files were changed."""
    if not is_complete(folder):
        raise StudyError(f"{folder} is incomplete or was altered; run the study again to redo it")
    result = read_json(folder / RESULT)
    return Run(folder, read_json(folder / "spec.json"), result["metrics"], result["durations"], result["files"])


def run_folder(study: Path, key: str, seed: int) -> Path:
    """Folder of one run below the study's folder."""
    return study / key / f"seed-{seed}"


def _finished_folders(study: Path) -> Iterator[Path]:
    return (path.parent for path in sorted(study.glob(f"level[1-5]/*/seed-*/{RESULT}")))


def load_runs(study: Path) -> list[Run]:
    """All complete runs of a study, by level, experiment and seed; altered ones count as missing."""
    complete = (load_run(folder) for folder in _finished_folders(study) if is_complete(folder))
    return sorted(complete, key=lambda run: (run.key, run.seed))


def results_digest(folder: Path) -> str:
    """The digest of the run in a folder; "" when it is not complete."""
    return _digest(read_json(folder / RESULT)["files"]) if (folder / RESULT).is_file() else ""


def _digest(files: dict[str, str]) -> str:
    return " ".join(files[name] for name in (PREDICTIONS, MODEL) if name in files)


def load_plan(study: Path) -> dict[str, Any]:
    """What the study set out to do (study.json): preset, dataset, seeds, experiments in order.

    StudyError when there is none, or one that another version of this package recorded.
    """
    if not (study / STUDY).is_file():
        raise StudyError(f"no study in {study}; run `invoke study` first, or name one with --study")
    plan = read_json(study / STUDY)
    if plan.get("format") != FORMAT:
        raise StudyError(f"{study} was recorded by another version; run the study again: it redoes what is out of date")
    return plan


def current_runs(study: Path, plan: dict[str, Any]) -> list[Run]:
    """Complete runs of the plan's experiments and seeds, in its order.

    Left out are those of another spec, and those built on the results of a run that is not there any more.
    """
    found = {run.name: run for run in load_runs(study)}
    current: dict[str, Run] = {}
    for entry, seed in itertools.product(plan["experiments"], plan["seeds"]):
        run = found.get(f"{entry['key']}/seed-{seed}")
        if run and run.spec["experiment"] == entry["spec"] and _stands(run, current):
            current[run.name] = run
    return list(current.values())


def _stands(run: Run, current: dict[str, Run]) -> bool:
    """Whether what the run was built on is among the current runs."""
    needed = {f"{key}/seed-{run.seed}": digest for key, digest in run.spec["upstream"].items()}
    return all(name in current and current[name].digest == digest for name, digest in needed.items())


def summary(study: Path) -> pd.DataFrame:
    """One row per planned run: name, state, validation and test accuracy in percent, seconds."""
    plan = load_plan(study)
    runs = {run.name: run for run in current_runs(study, plan)}
    names = [f"{entry['key']}/seed-{seed}" for seed in plan["seeds"] for entry in plan["experiments"]]
    return pd.DataFrame([_summary_row(study, name, runs.get(name)) for name in names])


def _summary_row(study: Path, name: str, run: Run | None) -> dict[str, Any]:
    missing = "out of date or altered" if (study / name / RESULT).exists() else "to do"
    row: dict[str, Any] = {"run": name, "state": "complete" if run else missing}
    for split in SPLITS:
        accuracy = run.metrics.get(f"{split}_accuracy") if run else None
        row[f"{split} accuracy (%)"] = None if accuracy is None else 100 * accuracy
    return row | {"seconds": run.durations["total"] if run else None}
