from __future__ import annotations

import pytest

from study.design import levels, presets
from study.design.levels import level4_ensemble
from study.design.presets import Preset
from study.errors import StudyError
from study.experiment import Search, Training, identity

PRESETS = [presets.QUICK, presets.CPU, presets.PAPER]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_run_finds_what_it_needs_before_it(preset: Preset) -> None:
    seen: set[str] = set()
    for experiment in levels.experiments(preset):
        assert set(experiment.needs) <= seen
        seen.add(experiment.key)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_controls_exist_and_say_what_differs(preset: Preset) -> None:
    by_key = {experiment.key: experiment for experiment in levels.experiments(preset)}
    assert len(by_key) == len(levels.experiments(preset))
    controlled = [experiment for experiment in by_key.values() if experiment.control]
    assert len(controlled) >= 12
    assert all(experiment.control in by_key and experiment.differs for experiment in controlled)


def _budget(experiment: Training) -> int:
    """Full-network epochs: a head-only epoch is a forward pass, a third of the cost of forward and backward."""
    return sum(stage.epochs if stage.trains == "all" else round(stage.epochs / 3) for stage in experiment.recipe.stages)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_compared_runs_have_equal_budgets(preset: Preset) -> None:
    by_key = {experiment.key: experiment for experiment in levels.experiments(preset)}
    for experiment in by_key.values():
        trained = experiment.base if isinstance(experiment, Search) else experiment
        if isinstance(trained, Training) and experiment.control and experiment.key != "level1/finetuned":
            control = by_key[experiment.control]
            assert isinstance(control, Training)
            assert _budget(trained) == _budget(control), experiment.key
            assert trained.recipe.batch_size == control.recipe.batch_size, experiment.key


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_leave_one_out_runs_change_one_ingredient(preset: Preset) -> None:
    by_key = {experiment.key: experiment for experiment in levels.experiments(preset)}
    for name in ("plain", "without-smoothing", "without-cosine"):
        run = by_key[f"level2/{name}"]
        mine, theirs = (identity(e)["recipe"] for e in (run, by_key[run.control]))  # type: ignore[misc]
        flat = [{**recipe, **recipe["stages"][0]} for recipe in (mine, theirs)]
        changed = {key for key in flat[0] if flat[0][key] != flat[1][key]} - {"stages"}
        assert len(changed) == 1, name


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_students_differ_from_their_controls_in_the_teacher_alone(preset: Preset) -> None:
    by_key = {e.key: e for e in levels.experiments(preset) if isinstance(e, Training)}
    students = [e for e in by_key.values() if e.distillation]
    assert {e.control for e in students} == {"level5/student-alone", "level3/scratch-cnn"}
    for student in students:
        control = by_key[student.control]
        assert not control.distillation
        assert (student.architecture, student.recipe) == (control.architecture, control.recipe)
        assert student.distillation and student.distillation.last_epochs < student.recipe.epochs
        assert {*student.distillation.candidates} == {*level4_ensemble.members(preset)} - {student.control}
        assert student.branches_off == (student.control if student.shared_epochs else "")
        assert student.shared_epochs == control.kept_epochs and not student.kept_epochs


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_has_all_five_levels(preset: Preset) -> None:
    assert {experiment.level for experiment in levels.experiments(preset)} == {1, 2, 3, 4, 5}


def test_selected_experiments_bring_what_they_need() -> None:
    keys = [e.key for e in levels.selected(presets.CPU, tuple(levels.LEVELS), ("level4/hard", "level1/*"))]
    assert keys[:2] == ["level1/head-only", "level1/finetuned"] and keys[-1] == "level4/hard"
    assert set(keys) == {"level1/head-only", "level4/hard", *level4_ensemble.members(presets.CPU)}


def test_without_a_pattern_everything_is_selected() -> None:
    assert levels.selected(presets.QUICK, (1, 2), ()) == levels.experiments(presets.QUICK, (1, 2))


def test_pattern_that_matches_nothing_is_refused() -> None:
    with pytest.raises(StudyError, match="no experiment is called 'level3/vit'"):
        levels.selected(presets.QUICK, (1, 2, 3), ("level1/*", "level3/vit"))


def test_ensemble_has_three_members_of_two_architectures() -> None:
    for preset in PRESETS:
        by_key = {e.key: e for e in levels.experiments(preset)}
        vote = by_key["level4/hard"]
        backbones = {by_key[key].architecture.backbone for key in vote.needs}  # type: ignore[attr-defined]
        assert len(vote.needs) >= 3 and len(backbones) >= 2
