from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from study.data.descriptions import shipped
from study.design import levels, presets
from study.design.levels import level4_ensemble
from study.design.presets import Preset
from study.errors import StudyError
from study.experiment import Augmentation, Distillation, Recipe
from study.kinds import Export, Kind, Quantization, Search, TeacherAnswers, Training, Vote

PRESETS = [presets.QUICK, presets.CPU, presets.OVERNIGHT, presets.PAPER]


def by_key(preset: Preset) -> dict[str, Kind]:
    return {experiment.key: experiment for experiment in levels.experiments(preset)}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_run_finds_what_it_needs_before_it(preset: Preset) -> None:
    seen: set[str] = set()
    for experiment in levels.experiments(preset):
        assert set(experiment.needs) <= seen
        seen.add(experiment.key)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_the_export_is_given_the_runs_that_it_is_built_on(preset: Preset) -> None:
    runs = by_key(preset)
    (export,) = [each for each in runs.values() if isinstance(each, Export)]
    networks = {key for candidate in export.candidates for key in runs[candidate].needs}
    assert {*export.needs} == {*export.candidates, *networks, *(key for each in networks for key in runs[each].needs)}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_controls_exist_and_say_what_differs(preset: Preset) -> None:
    runs = by_key(preset)
    assert len(runs) == len(levels.experiments(preset))
    controlled = [experiment for experiment in runs.values() if experiment.control]
    assert len(controlled) >= 12
    assert all(experiment.control in runs and experiment.differs for experiment in controlled)


def _budget(experiment: Training) -> int:
    """Full-network epochs: a head-only epoch is a forward pass, a third of the cost of forward and backward."""
    return sum(stage.epochs if stage.trains == "all" else round(stage.epochs / 3) for stage in experiment.recipe.stages)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_compared_runs_have_equal_budgets(preset: Preset) -> None:
    runs = by_key(preset)
    for experiment in runs.values():
        trained = experiment.base if isinstance(experiment, Search) else experiment
        if isinstance(trained, Training) and experiment.control and experiment.key != "level1/finetuned":
            control = runs[experiment.control]
            assert isinstance(control, Training)
            assert _budget(trained) == _budget(control), experiment.key
            assert trained.recipe.batch_size == control.recipe.batch_size, experiment.key


def changed(run: Training, control: Training) -> set[str]:
    """Names of the fields of recipe and first stage in which two trainings differ."""
    parts = [(run.recipe, control.recipe), (run.recipe.stages[0], control.recipe.stages[0])]
    names = {f.name for a, b in parts for f in fields(a) if getattr(a, f.name) != getattr(b, f.name)}
    return names - {"stages"}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
@pytest.mark.parametrize(
    ("name", "ingredients"),
    [
        ("plain", {"augmentation"}),
        ("without-augmentation", {"augmentation"}),
        ("without-smoothing", {"label_smoothing"}),
        ("without-cosine", {"schedule"}),
        ("without-decoupled-decay", {"optimizer", "weight_decay"}),
    ],
)
def test_leave_one_out_runs_change_one_ingredient(preset: Preset, name: str, ingredients: set[str]) -> None:
    runs = by_key(preset)
    run = runs[f"level2/{name}"]
    control = runs[run.control]
    assert isinstance(run, Training) and isinstance(control, Training)
    assert changed(run, control) == ingredients and run.architecture == control.architecture


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_what_is_left_out_is_in_the_control(preset: Preset) -> None:
    runs = by_key(preset)
    control, tuned = runs["level2/control"], runs["level2/augmented"]
    assert isinstance(control, Training) and isinstance(tuned, Training)
    for recipe in (control.recipe, tuned.recipe):
        assert recipe.optimizer == "adamw" and recipe.weight_decay > 0 and recipe.label_smoothing > 0
        assert recipe.stages[0].schedule == "cosine" and recipe.stages[0].augmentation != Augmentation()
    assert not control.architecture.pretrained and control.recipe.epochs >= 10
    assert runs["level2/plain"].control == tuned.key


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_what_comparisons_expect_and_where_they_belong_is_declared(preset: Preset) -> None:
    controlled = [experiment for experiment in levels.experiments(preset) if experiment.control]
    groups = {(experiment.level, experiment.group) for experiment in controlled}
    assert groups == {
        (1, "transfer"), (2, "ingredients"), (2, "mixup"), (2, "search"), (3, "attention"), (3, "second task"),
        (5, "distillation"), (5, "int8"), *([(3, "width")] if preset.wider else []),
    }  # fmt: skip
    losses = {experiment.key for experiment in controlled if experiment.expects == "loss"}
    ingredients = ("augmentation", "smoothing", "cosine", "decoupled-decay")
    left_out = {f"level2/{name}" for name in ("plain", *(f"without-{each}" for each in ingredients))}
    int8 = {experiment.key for experiment in controlled if isinstance(experiment, Quantization)}
    assert losses == {*left_out, *int8} and len(int8) == 3
    assert not [e.key for e in levels.experiments(preset) if isinstance(e, Vote) and e.control]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_students_differ_from_their_controls_in_the_teacher_alone(preset: Preset) -> None:
    runs = by_key(preset)
    students = [e for e in runs.values() if isinstance(e, Training) and e.distillation]
    assert {e.key: e.control for e in students} == {
        "level5/student": "level5/student-alone",
        "level5/student-ensemble": "level5/student-alone",
        "level5/compact-student": "level5/compact-alone",
    }
    for student in students:
        control = runs[student.control]
        assert isinstance(control, Training) and not control.distillation
        assert (student.architecture, student.recipe) == (control.architecture, control.recipe)
        assert student.recipe.fixed_views == preset.teachers.views > 1


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_mobile_student_that_begins_from_nothing_is_trained_by_muon(preset: Preset) -> None:
    student = by_key(preset)["level5/student-alone"]
    assert isinstance(student, Training) and student.architecture.pretrained == (preset.name == "paper")
    (stage,) = student.recipe.stages
    expected = ("adamw", 0.05) if student.architecture.pretrained else ("muon", stage.learning_rate / 2)
    assert (student.recipe.optimizer, student.recipe.weight_decay) == expected


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_students_train_on_the_views_that_their_teachers_answered_for(preset: Preset) -> None:
    runs = by_key(preset)
    teachers = [e for e in runs.values() if isinstance(e, TeacherAnswers)]
    assert [teacher.rank for teacher in teachers] == list(range(1, preset.teachers.ensemble + 1))
    assert {teacher.candidates for teacher in teachers} == {level4_ensemble.members(preset)}
    answers = tuple(teacher.key for teacher in teachers)
    for name, answering in (("student", answers[:1]), ("compact-student", answers[:1]), ("student-ensemble", answers)):
        student = runs[f"level5/{name}"]
        assert isinstance(student, Training) and isinstance(student.distillation, Distillation)
        assert student.distillation.answers == student.needs == answering
        assert {stage.augmentation for stage in student.recipe.stages} == {teachers[0].augmentation}
        assert {teacher.augmentation for teacher in teachers} == {teachers[0].augmentation}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_has_all_five_levels(preset: Preset) -> None:
    assert {experiment.level for experiment in levels.experiments(preset)} == {1, 2, 3, 4, 5}


def _parts(value: Any) -> Iterator[Any]:  # noqa: ANN401
    yield value
    parts = value if isinstance(value, tuple) else ()
    parts = [getattr(value, each.name) for each in fields(value)] if is_dataclass(value) else parts
    for part in parts:
        yield from _parts(part)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_no_network_sees_mirror_images_where_they_may_be_of_another_class(preset: Preset) -> None:
    usual, without = (levels.experiments(replace(preset, flip=flip)) for flip in (True, False))
    seen = [part for each in without for part in _parts(each)]
    assert not any(part.flip for part in seen if isinstance(part, Augmentation))
    assert {part.test_views for part in seen if isinstance(part, Recipe)} == {1}
    assert [each.key for each in usual] == [each.key for each in without] and usual != without


def test_selected_experiments_bring_what_they_need() -> None:
    keys = [e.key for e in levels.selected(presets.CPU, None, ("level4/hard", "level1/*"))]
    assert keys[:2] == ["level1/head-only", "level1/finetuned"] and keys[-1] == "level4/hard"
    assert set(keys) == {"level1/head-only", "level4/hard", *level4_ensemble.members(presets.CPU)}


def test_without_a_pattern_everything_is_selected() -> None:
    assert levels.selected(presets.QUICK, (1, 2), ()) == levels.experiments(presets.QUICK, (1, 2))


def test_pattern_that_matches_nothing_is_refused() -> None:
    with pytest.raises(StudyError, match="no experiment is called 'level3/vit'"):
        levels.selected(presets.QUICK, (1, 2, 3), ("level1/*", "level3/vit"))


def test_ensemble_has_three_members_of_two_architectures() -> None:
    for preset in PRESETS:
        runs = by_key(preset)
        vote = runs["level4/hard"]
        backbones = {runs[key].architecture.backbone for key in vote.needs}  # type: ignore[attr-defined]
        assert len(vote.needs) >= 3 and len(backbones) >= 2


def test_unknown_level_is_refused() -> None:
    with pytest.raises(StudyError, match="unknown level 7; levels are 1 to 5"):
        levels.experiments(presets.QUICK, (1, 7))


def test_levels_are_described_in_order_with_the_challenges_pass_marks() -> None:
    described = levels.described(shipped("cifar10"))
    assert [level.number for level in described] == [1, 2, 3, 4, 5]
    assert [level.pass_mark for level in described] == [0.85, 0.90, 0.91, 0.93, None]
    assert all(level.reference and 0.8 < level.reference.accuracy < 1 for level in described)


def test_the_design_is_data_and_imports_nothing_heavy() -> None:
    program = (
        "import sys; from study.design import levels, presets; levels.experiments(presets.CPU)\n"
        "assert not {'torch', 'timm', 'torchvision', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
