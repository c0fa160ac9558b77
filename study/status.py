"""How far a study is: what `invoke status` shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from study.experiment import run_name
from study.records import RESULT, SPLITS, Run, current_runs, read_failure, read_plan


def summary(folder: Path) -> list[dict[str, Any]]:
    """One row per planned run: name, state, validation and test accuracy in percent, seconds."""
    plan = read_plan(folder)
    runs = current_runs(folder, plan)
    names = [run_name(experiment.key, seed) for seed, experiment in plan.runs]
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
    return "out of date or altered" if (folder / RESULT).exists() else "to do"
