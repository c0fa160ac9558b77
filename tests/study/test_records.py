from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study import files, records, status
from study.description import DataDescription, Level, Reference
from study.design import levels
from study.design.presets import CPU, PAPER, QUICK, Preset
from study.errors import StudyError
from study.kinds import OutOfDistribution, Quantization, Training, Vote
from study.records import Failure, Outcome, Plan, Spec

RECIPE = levels.experiments(QUICK)[1].trained
assert RECIPE is not None
FIRST, SECOND = (
    Training(level=1, name=name, title=name, architecture=RECIPE.architecture, recipe=RECIPE.recipe)
    for name in ("first", "second")
)
VOTE = Vote(level=4, name="hard", rule="hard", members=(FIRST.key, SECOND.key))
AFTER = Quantization(level=5, name="after", source=VOTE.key, method="static")
DATA = DataDescription("digits", "Digits", "f" * 64, "s" * 64, ("0", "1"), {"train": 4, "validation": 2, "test": 2})
PLAN = Plan(
    study="tiny",
    preset="quick",
    purpose="tests",
    seeds=(0,),
    device="cpu",
    dataset=DATA,
    levels=(Level(1, "transfer", 0.85, Reference("ResNet-18", 0.9391)), Level(5, "deployment")),
    experiments=(FIRST, SECOND, VOTE, AFTER),
)


def arrays(logits: float = 2.0) -> dict[str, np.ndarray]:
    """Two test images of class 0, the first answered correctly."""
    scores = np.array([[logits, 1.0], [0.0, 3.0]], dtype=np.float32)
    return {"test_indices": np.array([7, 9]), "test_labels": np.array([0, 0]), "test_logits": scores}


def record(study: Path, spec: Spec, logits: float = 2.0) -> Path:
    folder = study / spec.name
    records.write_spec(folder, spec)
    records.finish(folder, Outcome({"test_accuracy": 0.5}, arrays(logits), {"total": 1.0}))
    return folder


def record_all(study: Path, plan: Plan = PLAN, logits: float = 2.0) -> None:
    """Record what is missing of the plan's runs."""
    for experiment in plan.experiments:
        current = records.current_runs(study, plan)
        spec = plan.spec(experiment, 0, current)
        assert spec is not None
        if spec.name not in current:
            record(study, spec, logits)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return record(tmp_path, Spec(FIRST, 3, "quick", "f" * 64, "s" * 64, {}))


def test_a_finished_run_reads_back(run: Path) -> None:
    loaded = records.load_run(run)
    assert (loaded.name, loaded.metrics, loaded.durations) == (
        "level1/first/seed-3",
        {"test_accuracy": 0.5},
        {"total": 1.0},
    )
    assert loaded.spec == Spec(FIRST, 3, "quick", "f" * 64, "s" * 64, {})
    assert loaded.predictions("test").correct.tolist() == [True, False]
    assert loaded.predictions("test").accuracy == 0.5


def test_a_run_of_a_kind_that_trains_nothing_has_nothing_trained(tmp_path: Path) -> None:
    folder = record(tmp_path, Spec(VOTE, 0, "quick", "f", "s", {FIRST.key: "1", SECOND.key: "2"}))
    with pytest.raises(StudyError, match="level4/hard/seed-0 trains no network"):
        records.load_run(folder).trained  # noqa: B018


def test_finishing_drops_the_checkpoint(run: Path) -> None:
    (run / records.RESULT).unlink()
    (run / records.CHECKPOINT).write_bytes(b"x")
    records.finish(run, Outcome(durations={"total": 1.0}))
    assert records.load_run(run).metrics == {} and not (run / records.CHECKPOINT).exists()


@pytest.mark.parametrize("damage", [records.SPEC, records.PREDICTIONS])
def test_a_changed_file_makes_a_run_incomplete(run: Path, damage: str) -> None:
    content = (run / damage).read_bytes()
    (run / damage).write_bytes(content.replace(b"quick", b"quack") if damage == records.SPEC else content[:-1] + b"?")
    with pytest.raises(StudyError, match="is missing or was altered"):
        records.load_run(run)


def test_a_missing_file_makes_a_run_incomplete(run: Path) -> None:
    (run / records.PREDICTIONS).unlink()
    with pytest.raises(StudyError, match="is missing or was altered"):
        records.load_run(run)


@pytest.mark.parametrize("content", [[], {"metrics": {}}, {"metrics": {}, "durations": {}, "files": 3}])
def test_a_damaged_result_is_one_clear_line(run: Path, content: object) -> None:
    files.write_json(run / records.RESULT, content)
    with pytest.raises(StudyError, match="result.json is damaged; run the study again"):
        records.load_run(run)


@pytest.mark.parametrize("preset", [QUICK, CPU, PAPER], ids=lambda preset: preset.name)
def test_plans_read_back_as_what_was_written(tmp_path: Path, preset: Preset) -> None:
    data = replace(DATA, notice="Stand-in", folder="/data", subset=True, ood="o" * 64, stamp="t" * 64)
    plan = Plan(
        "a",
        preset.name,
        preset.purpose,
        (0, 2),
        "cpu",
        data,
        levels.described(data.description),
        levels.experiments(preset),
    )
    records.write_plan(tmp_path, plan)
    again = records.read_plan(tmp_path)
    assert again == plan and again.dataset.stand_in
    shown = [(e.title, e.phrase, e.control, e.differs, e.expects, e.margin, e.group) for e in plan.experiments]
    assert [(e.title, e.phrase, e.control, e.differs, e.expects, e.margin, e.group) for e in again.experiments] == shown


@pytest.mark.parametrize("preset", [QUICK, CPU, PAPER], ids=lambda preset: preset.name)
def test_specs_read_back_as_what_was_written(tmp_path: Path, preset: Preset) -> None:
    for experiment in levels.experiments(preset):
        spec = Spec(experiment, 1, preset.name, "f", "s", {key: f"{key}'s" for key in experiment.needs}, "o")
        records.write_spec(tmp_path, spec)
        assert records.read_spec(tmp_path) == spec


def _edit(path: Path, **changes: object) -> None:
    files.write_json(path, files.read_json(path) | changes)


def _first(folder: Path, **changes: object) -> list[dict[str, Any]]:
    first, *others = files.read_json(folder / records.STUDY)["experiments"]
    return [first | changes, *others]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda _: {"format": records.FORMAT - 1}, "was recorded by another version; run the study again"),
        (lambda _: {"colour": "blue"}, "not a Plan: unknown field 'colour'"),
        (lambda _: {"seeds": "0"}, r"not a Plan: Expected `array`, got `str` - at `\$.seeds`"),
        (lambda _: {"dataset": {"name": "digits"}}, "not a Plan: Object missing required field `title`"),
        (lambda _: {"experiments": None}, "study.json is damaged"),
        (lambda _: {"experiments": ["level1/first"]}, "study.json is damaged"),
        (lambda folder: {"experiments": _first(folder, kind="Guess")}, "unknown kind of experiment 'Guess'"),
        (lambda folder: {"experiments": _first(folder, mood="good")}, "unknown field 'mood'"),
        (lambda folder: {"experiments": _first(folder, level="one")}, r"Expected `int`, got `str` - at `\$.level`"),
    ],
)
def test_a_plan_that_cannot_be_understood_is_one_clear_line(
    tmp_path: Path, damage: Callable[[Path], dict[str, object]], says: str
) -> None:
    records.write_plan(tmp_path, PLAN)
    _edit(tmp_path / records.STUDY, **damage(tmp_path))
    with pytest.raises(StudyError, match=says) as raised:
        records.read_plan(tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [{"study": "old"}, ["old"], None])
def test_a_plan_of_another_version_is_one_clear_line(tmp_path: Path, content: object) -> None:
    files.write_json(tmp_path / records.STUDY, content)
    with pytest.raises(StudyError, match="was recorded by another version; run the study again"):
        records.read_plan(tmp_path)


def test_a_run_of_another_version_does_not_count(tmp_path: Path) -> None:
    record_all(tmp_path)
    _edit(tmp_path / "level1/first/seed-0" / records.SPEC, format=records.FORMAT - 1)
    with pytest.raises(StudyError, match="was recorded by another version"):
        records.load_run(tmp_path / "level1/first/seed-0")
    assert list(records.current_runs(tmp_path, PLAN)) == ["level1/second/seed-0"]


@pytest.mark.parametrize(
    ("changes", "says"), [({"luck": 1}, "unknown field 'luck'"), ({"seed": "0"}, "Expected `int`")]
)
def test_a_spec_that_cannot_be_understood_is_one_clear_line(run: Path, changes: dict[str, object], says: str) -> None:
    _edit(run / records.SPEC, **changes)
    with pytest.raises(StudyError, match=says):
        records.read_spec(run)


def test_a_folder_without_a_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="run `invoke study` first"):
        records.read_plan(tmp_path)


ALL = [f"{experiment.key}/seed-0" for experiment in PLAN.experiments]


def test_runs_of_the_plan_are_current(tmp_path: Path) -> None:
    record_all(tmp_path)
    assert list(records.current_runs(tmp_path, PLAN)) == ALL
    retitled = replace(PLAN, experiments=tuple(replace(e, title="Other", margin=0.1) for e in PLAN.experiments))
    assert list(records.current_runs(tmp_path, retitled)) == ALL
    assert list(records.current_runs(tmp_path, replace(PLAN, seeds=(1,)))) == []


def test_a_changed_spec_is_another_run_and_so_is_what_builds_on_it(tmp_path: Path) -> None:
    record_all(tmp_path)
    other = replace(FIRST, recipe=replace(FIRST.recipe, batch_size=7))
    changed = replace(PLAN, experiments=(other, SECOND, VOTE, AFTER))
    assert list(records.current_runs(tmp_path, changed)) == ["level1/second/seed-0"]


@pytest.mark.parametrize("changes", [{"preset": "cpu"}, {"dataset": replace(DATA, splits="other")}])
def test_another_preset_or_split_makes_every_run_another(tmp_path: Path, changes: dict[str, Any]) -> None:
    record_all(tmp_path)
    assert records.current_runs(tmp_path, replace(PLAN, **changes)) == {}


def test_other_ood_images_matter_to_those_runs_that_read_them(tmp_path: Path) -> None:
    reads = OutOfDistribution(level=5, name="ood", sources=(FIRST.key,))
    plan = replace(PLAN, experiments=(FIRST, reads), dataset=replace(DATA, ood="before"))
    record_all(tmp_path, plan)
    later = replace(plan, dataset=replace(DATA, ood="after"))
    assert list(records.current_runs(tmp_path, later)) == ["level1/first/seed-0"]


def test_an_altered_file_takes_what_builds_on_it_along(tmp_path: Path) -> None:
    record_all(tmp_path)
    (tmp_path / "level1/second/seed-0" / records.PREDICTIONS).write_bytes(b"tampered")
    assert list(records.current_runs(tmp_path, PLAN)) == ["level1/first/seed-0"]
    states = {row["run"]: row["state"] for row in _summary(tmp_path)}
    assert states == {"level1/first/seed-0": "complete", "level1/second/seed-0": "damaged"} | dict.fromkeys(
        ALL[2:], "out of date"
    )


def _summary(study: Path) -> list[dict[str, Any]]:
    records.write_plan(study, PLAN)
    active = status.under_way(study)
    return status.summary(study, PLAN, records.current_runs(study, PLAN), active)


def test_redone_to_the_same_result_leaves_what_builds_on_it_current(tmp_path: Path) -> None:
    record_all(tmp_path)
    folder = tmp_path / "level1/first/seed-0"
    (folder / records.PREDICTIONS).unlink()
    assert list(records.current_runs(tmp_path, PLAN)) == ["level1/second/seed-0"]
    record(tmp_path, Spec(FIRST, 0, "quick", DATA.fingerprint, DATA.splits, {}))
    files.write_json(folder / "environment.json", {"threads": 9})  # what is no result does not count
    assert list(records.current_runs(tmp_path, PLAN)) == ALL


def test_redone_to_another_result_makes_what_builds_on_it_out_of_date(tmp_path: Path) -> None:
    record_all(tmp_path)
    record(tmp_path, Spec(FIRST, 0, "quick", DATA.fingerprint, DATA.splits, {}), logits=5.0)
    assert list(records.current_runs(tmp_path, PLAN)) == ALL[:2]
    record_all(tmp_path, logits=5.0)
    assert list(records.current_runs(tmp_path, PLAN)) == ALL


def test_summary_has_a_row_per_planned_run(tmp_path: Path) -> None:
    record(tmp_path, Spec(FIRST, 0, "quick", DATA.fingerprint, DATA.splits, {}))
    done, *missing = _summary(tmp_path)
    assert done == {
        "run": "level1/first/seed-0",
        "state": "complete",
        "validation accuracy (%)": None,
        "test accuracy (%)": 50.0,
        "seconds": 1.0,
    }
    assert [(row["run"], row["state"], row["seconds"]) for row in missing] == [
        (name, "to do", None) for name in ALL[1:]
    ]


def test_a_failed_run_says_why_until_it_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / ALL[0]
    try:
        raise ValueError("first line\nsecond line")
    except ValueError as error:
        records.write_failure(folder, Failure.of(error))
    failure = records.read_failure(folder)
    assert failure and failure.error == "ValueError: first line" and "test_records.py" in failure.traceback
    assert _summary(tmp_path)[0]["state"] == "failed: ValueError: first line"
    record_all(tmp_path)
    assert records.FAILED not in records.load_run(folder).files
    assert _summary(tmp_path)[0]["state"] == "complete"


def test_a_failure_that_is_expected_says_only_what_to_do() -> None:
    assert Failure.of(StudyError("put the file there")).error == "put the file there"


def test_epochs_read_back_line_by_line(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25}]
    assert records.read_epochs(tmp_path) == []
    records.write_epochs(tmp_path, rows)
    assert records.read_epochs(tmp_path) == rows
    assert [json.loads(line) for line in (tmp_path / records.EPOCHS).read_text().splitlines()] == rows
