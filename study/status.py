"""How far a study is: what `invoke status` shows."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from study.errors import StudyError
from study.experiment import run_name
from study.files import owner, read_sealed
from study.records import (
    CHECKPOINT,
    RESULT,
    SPEC,
    SPLITS,
    OtherVersion,
    Plan,
    Run,
    current_runs,
    load_run,
    read_failure,
    read_plan,
    read_spec,
)

DECISIVE = ("torch", "timm", "numpy", "onnxruntime")


def summary(folder: Path) -> list[dict[str, Any]]:
    """One row per planned run: name, state, validation and test accuracy in percent, seconds."""
    plan = read_plan(folder)
    runs = current_runs(folder, plan)
    names = [run_name(experiment.key, seed) for seed in plan.seeds for experiment in plan.experiments]
    return [_summary_row(folder / name, name, runs.get(name)) for name in names]


def _summary_row(folder: Path, name: str, run: Run | None) -> dict[str, Any]:
    row: dict[str, Any] = {"run": name, "state": "complete" if run else _missing(folder)}
    for split in SPLITS:
        accuracy = run.metrics.get(f"{split}_accuracy") if run else None
        row[f"{split} accuracy (%)"] = None if accuracy is None else 100 * accuracy
    return row | {"seconds": run.durations["total"] if run else None}


def _missing(folder: Path) -> str:
    """Why there is no current run in a folder."""
    if failure := read_failure(folder):
        return f"failed: {failure.error}"
    if damage(folder):
        return "damaged"
    return "out of date" if (folder / RESULT).exists() else "to do"


def problems(folder: Path, plan: Plan, current: Mapping[str, Run]) -> list[str]:
    """A line for every planned run whose record is damaged, naming the file, and for versions that differ."""
    names = [run_name(experiment.key, seed) for seed in plan.seeds for experiment in plan.experiments]
    damaged = [line for name in names if name not in current and (line := damage(folder / name))]
    return damaged + mixed_versions(current.values())


def mixed_versions(runs: Iterable[Run]) -> list[str]:
    """A line for each of the packages on which results hang that was not the same for all runs."""
    made: dict[str, Counter[str]] = {name: Counter() for name in DECISIVE}
    for run in runs:
        for name, count in made.items():
            count[str(run.environment["versions"].get(name))] += 1
    return [
        f"runs were made with different versions of {name}: "
        + ", ".join(f"{version} ({number})" for version, number in sorted(count.items()))
        for name, count in made.items()
        if len(count) > 1
    ]


def damage(folder: Path) -> str:
    """What is wrong with the record of a run, complete or interrupted: a line that names the file, else empty."""
    try:
        if (folder / RESULT).exists():
            load_run(folder)
        elif (folder / CHECKPOINT).is_file():
            read_sealed(folder / CHECKPOINT, owner(folder / SPEC))
    except OtherVersion:
        return ""
    except StudyError as error:
        return str(error)
    return ""


def readable_seeds(folder: Path) -> set[int]:
    """Seeds of the runs in a study's folder whose specs can be read: what is known of a study that lost its plan."""
    seeds = set()
    for path in folder.glob(f"level*/*/seed-*/{SPEC}"):
        with contextlib.suppress(StudyError):
            seeds.add(read_spec(path.parent).seed)
    return seeds
