from __future__ import annotations

from pathlib import Path

import pytest

import tasks
from study import records
from study.files import read_json, write_json
from study.records import ENVIRONMENT, Outcome
from study.status import mixed_versions
from tests.fabricate import experiments, fabricate

FEW = experiments(1)


def _other_versions(folder: Path, **versions: str) -> None:
    """Say that a run was made with others."""
    environment = read_json(folder / ENVIRONMENT)
    write_json(folder / ENVIRONMENT, environment | {"versions": environment["versions"] | versions})
    run = read_json(folder / records.RESULT)
    records.finish(folder, Outcome(run["metrics"], durations=run["durations"]))


def test_runs_of_one_environment_are_no_cause_for_words(tmp_path: Path) -> None:
    study = fabricate(tmp_path, images=10, planned=FEW)
    _other_versions(study / "level1/finetuned/seed-0", torchvision="0.1")  # which decides nothing
    runs = records.current_runs(study, records.read_plan(study))
    assert len(runs) == len(FEW) and mixed_versions(runs.values()) == []


def test_versions_that_differ_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = fabricate(tmp_path / "study", images=10, planned=FEW)
    _other_versions(study / "level1/finetuned/seed-0", torch="2.99.0")
    line = "runs were made with different versions of torch: 2.14.1 (1), 2.99.0 (1)"
    assert mixed_versions(records.current_runs(study, records.read_plan(study)).values()) == [line]
    tasks.namespace.tasks["status"].body(None, runs=str(tmp_path))
    assert line in capsys.readouterr().out.splitlines()
