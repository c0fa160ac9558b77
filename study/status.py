"""How far a study is: what a running one leaves for others to read, and what `invoke status` shows."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from study import files
from study.errors import StudyError
from study.experiment import run_name, structured
from study.files import owner, read_sealed
from study.records import (
    CHECKPOINT,
    RESULT,
    SPEC,
    SPLITS,
    OtherVersion,
    Plan,
    Run,
    Spec,
    load_run,
    read_failure,
    read_spec,
)

DECISIVE = ("torch", "timm", "numpy", "onnxruntime")

LOCK = ".lock"  # held by the process that runs the study
UNDER_WAY = ".under-way.json"


@dataclass(frozen=True)
class UnderWay:
    """A run under way: the machine and device that carry it out, the share that is done if it tells, what is left."""

    node: str
    device: str
    done: float | None
    seconds_left: float

    def __str__(self) -> str:
        share = "" if self.done is None else f", {100 * self.done:.0f} %"
        return f"under way on {self.node} ({self.device}){share}, about {duration(self.seconds_left)} left"


def duration(seconds: float) -> str:
    """A duration the way people say it: "42 s", "3 min 05 s", "1 h 02 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def note_under_way(folder: Path, runs: Mapping[str, UnderWay]) -> None:
    """Leave for others to read which runs are under way, where the folder can be written."""
    with contextlib.suppress(StudyError, OSError):
        if runs:
            files.write_json(folder / UNDER_WAY, msgspec.to_builtins(dict(runs)), durable=False)
        else:
            (folder / UNDER_WAY).unlink(missing_ok=True)


def under_way(folder: Path) -> dict[str, UnderWay]:
    """The runs under way by name; none when the process that left the note is gone."""
    if _running(folder):
        with contextlib.suppress(StudyError):
            return structured(files.read_json(folder / UNDER_WAY), dict[str, UnderWay])
    return {}


def _running(folder: Path) -> bool:
    """Whether some process holds the study's folder."""
    from filelock import FileLock, Timeout

    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a folder that only its owner may write
        return False


def summary(
    folder: Path, plan: Plan, current: Mapping[str, Run], active: Mapping[str, UnderWay]
) -> list[dict[str, Any]]:
    """One row per planned run: name, state, validation and test accuracy in percent, seconds.

    Look which are ``active`` before which are ``current``, or one that completes in between is neither.
    """
    names = [run_name(experiment.key, seed) for seed, experiment in plan.runs]
    return [_summary_row(name, current.get(name), active.get(name) or _missing(folder / name)) for name in names]


def _summary_row(name: str, run: Run | None, missing: object) -> dict[str, Any]:
    row: dict[str, Any] = {"run": name, "state": "complete" if run else str(missing)}
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
    names = [run_name(experiment.key, seed) for seed, experiment in plan.runs]
    damaged = [line for name in names if name not in current and (line := damage(folder / name))]
    return damaged + mixed_versions(current.values())


def mixed_versions(runs: Iterable[Run]) -> list[str]:
    """A line for each of the packages on which results hang that was not the same for all runs."""
    made: dict[str, Counter[str]] = {name: Counter() for name in DECISIVE}
    for run in runs:
        if run.experiment.elsewhere:
            continue
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
    except FileNotFoundError:  # it has just been completed
        return ""
    return ""


def readable_specs(folder: Path, part: str) -> list[Spec]:
    """Specs that can be read in a part of a study's folder ("level*"): what is known of a study that lost its plan."""
    specs = []
    for path in sorted(folder.glob(f"{part}/*/seed-*/{SPEC}")):
        with contextlib.suppress(StudyError):
            specs.append(read_spec(path.parent))
    return specs
