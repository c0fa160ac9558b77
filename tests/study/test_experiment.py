from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from study.design import levels
from study.design.presets import CPU, PAPER, QUICK, Preset
from study.errors import StudyError
from study.experiment import Augmentation, Experiment, Recipe, Stage, from_data, run_name, structured, to_data
from study.kinds import Search, Training, Vote

PRESETS = (QUICK, CPU, PAPER)
SHOWN = {"title": "Other", "phrase": "another", "control": "other", "differs": "other"}
SHOWN |= {"expects": "loss", "margin": 0.5, "group": "other"}


def everything(preset: Preset) -> dict[str, Experiment]:
    return {experiment.key: experiment for experiment in levels.experiments(preset)}


@pytest.mark.parametrize(
    ("preset", "key"),
    [(preset, key) for preset in PRESETS for key in everything(preset)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_experiments_read_back_as_what_was_written(preset: Preset, key: str) -> None:
    experiment = everything(preset)[key]
    again = from_data(json.loads(json.dumps(to_data(experiment))))
    assert again == experiment and type(again) is type(experiment)
    assert to_data(again) == to_data(experiment)  # what equality leaves out, too


def changed(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    return to_data(everything(QUICK)["level2/augmented"]) | changes


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (changed(kind="Guess"), "unknown kind of experiment 'Guess'"),
        (changed(kind=None), "unknown kind of experiment None"),
        (changed(mood="good"), "not a Training: unknown field 'mood'"),
        (changed(level="two"), r"not a Training: Expected `int`, got `str` - at `\$.level`"),
        (changed(expects="luck"), r"Invalid enum value 'luck' - at `\$.expects`"),
        (changed(recipe={}), "missing required field `stages`"),
        (changed(architecture={"backbone": "resnet18", "depth": 18}), "unknown field 'architecture.depth'"),
        ({"kind": "Vote", "level": 4, "name": "hard"}, "not a Vote: Object missing required field"),
    ],
)
def test_what_is_no_experiment_is_refused_by_name(data: dict[str, Any], says: str) -> None:
    with pytest.raises(StudyError, match=says) as raised:
        from_data(data)
    assert "\n" not in str(raised.value)


def test_an_unknown_field_deep_in_a_list_is_found() -> None:
    stage = {"epochs": 1, "learning_rate": 0.1, "image_size": 32}
    data = {"batch_size": 2, "stages": [stage, stage | {"augmentation": {"flop": True}}]}
    with pytest.raises(StudyError, match="not a Recipe: unknown field 'stages.augmentation.flop'"):
        structured(data, Recipe)
    assert structured({"batch_size": 2, "stages": [stage]}, Recipe) == Recipe((Stage(1, 0.1, 32),), 2)


@pytest.mark.parametrize("key", ["level2/search", "level2/augmented", "level4/hard", "level5/int8-static"])
def test_what_the_paper_says_of_an_experiment_is_no_part_of_its_identity(key: str) -> None:
    experiment = everything(QUICK)[key]
    assert replace(experiment, **SHOWN) == experiment
    assert to_data(replace(experiment, **SHOWN)) != to_data(experiment)
    assert replace(experiment, name="other") != experiment
    if isinstance(experiment, Search):
        assert replace(experiment, base=replace(experiment.base, title="Other")) == experiment


def test_what_is_computed_is_the_identity() -> None:
    full = everything(QUICK)["level2/augmented"]
    assert isinstance(full, Training)
    (stage,) = full.recipe.stages
    for other in (replace(stage, augmentation=Augmentation()), replace(stage, warmup=0.5)):
        assert replace(full, recipe=replace(full.recipe, stages=(other,))) != full


def test_run_is_named_by_level_experiment_and_seed() -> None:
    vote = Vote(level=4, name="hard", rule="hard", members=("level1/finetuned",))
    assert (vote.key, vote.kind, vote.needs) == ("level4/hard", "Vote", ("level1/finetuned",))
    assert run_name(vote.key, 3) == "level4/hard/seed-3"
