"""Facts: raw value, printed text, origin."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from analysis.evidence import Fact
from analysis.facts import (
    accuracy_facts,
    comparison_facts,
    describe_augmentation,
    describe_recipe,
    level_facts,
    recipe_facts,
    revision_of,
    study_facts,
    threads_of,
)
from analysis.results import Results, results_of
from analysis.view import view_study
from study.experiment import Augmentation, Recipe, Stage
from tests.fabricate import fabricate


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results_of(view_study(fabricate(tmp_path_factory.mktemp("study"), seeds=(0, 1), images=100)))


def by_name(facts: object) -> dict[str, Fact]:
    return {fact.name: fact for fact in facts}  # type: ignore[attr-defined]


def test_accuracy_is_kept_as_a_fraction_and_printed_in_percent(results: Results) -> None:
    facts, key = by_name(accuracy_facts(results)), "level2/plain"
    mean = sum(run.metrics["test_accuracy"] for run in results.view.runs_of(key)) / 2
    fact = facts[f"accuracy/{key}"]
    assert fact.value == pytest.approx(mean)
    assert fact.text == f"{100 * mean:.2f} %"
    assert fact.runs == (f"{key}/seed-0", f"{key}/seed-1")


def test_difference_rests_on_the_runs_of_both_sides(results: Results) -> None:
    fact = by_name(comparison_facts(results))["difference/level2/augmented"]
    assert set(fact.runs) == {f"level2/{name}/seed-{seed}" for name in ("augmented", "plain") for seed in (0, 1)}
    assert fact.text.endswith(" points")


def test_level_facts_hold_selected_models_and_published_figures(results: Results) -> None:
    facts = by_name(level_facts(results))
    assert facts["best/level3"].text == results.view.title(results.best[3])
    assert facts["pass-mark/level1"].text == "85.00 %"
    assert facts["reference-accuracy/level4"].text == "97.27 %"
    assert "pass-mark/level5" not in facts


def test_teachers_are_as_right_as_recorded(results: Results) -> None:
    facts = by_name(accuracy_facts(results))
    told = facts["teacher-accuracy/level5/student"]
    assert told.text == "90.00 %" and {name.split("/seed")[0] for name in told.runs} == {"level5/student"}
    assert facts["teacher-images/level5/student"].value == 40
    assert "teacher-accuracy/level5/student-alone" not in facts


def test_compute_adds_up_every_run(results: Results) -> None:
    fact = by_name(study_facts(results))["study/compute"]
    assert fact.value == pytest.approx(60 * 30 / 60)  # 60 runs of 30 s, in minutes
    assert (fact.unit, fact.text) == ("minutes", "30.0 min")
    assert len(fact.runs) == 60


def test_threads_and_revisions_are_those_of_all_runs(results: Results) -> None:
    first = results.view.runs_of("level1/finetuned")[0].environment
    assert threads_of([first, first]) == "2 threads"
    assert revision_of([first, first]) == "0" * 12
    other = first | {"threads": 1, "commit": "1" * 40}
    assert threads_of([first, other]) == "1 to 2 threads"
    assert revision_of([first, other]) == "2 different ones"


def test_study_without_runs_still_names_itself(tmp_path: Path) -> None:
    facts = by_name(study_facts(results_of(view_study(fabricate(tmp_path, seeds=())))))
    assert facts["study/preset"].text == "quick"
    assert facts["study/runs"].value == 0
    assert "study/device" not in facts


def test_recipe_prints_from_the_spec_stage_by_stage() -> None:
    stages = (Stage(3, 1e-3, 32, Augmentation(flip=True), mixup=0.2), Stage(4, 5e-4, 64, schedule="constant"))
    recipe = dataclasses.asdict(Recipe(stages, 128, "adamw", 0.05, 0.1))
    described = describe_recipe({"recipe": recipe, "architecture": {"backbone": "resnet18", "pretrained": True}})
    assert described == {
        "architecture": "resnet18",
        "initialisation": "ImageNet weights",
        "optimizer": "AdamW",
        "epochs": "7",
        "batch-size": "128",
        "weight-decay": "0.05",
        "label-smoothing": "0.1",
        "learning-rate": "0.001, then 0.0005",
        "image-size": "32 px, then 64 px",
        "schedule": "cosine, then constant",
        "mixup": "0.2, then 0",
        "augmentation": "horizontal flip in every other epoch, then none",
        "views": "the image alone",
    }


def test_growing_and_frozen_are_named_only_where_used() -> None:
    stages = (Stage(3, 1e-3, 64, first_size=48, frozen_groups=2, frozen_depthwise=True),)
    described = describe_recipe(
        {"recipe": dataclasses.asdict(Recipe(stages, 128)), "architecture": {"backbone": "x", "pretrained": False}}
    )
    assert described["image-size"] == "sizes growing from 48 to 64 px"
    assert (described["first-size"], described["frozen-groups"]) == ("48 px", "2")
    assert described["frozen-filters"] == "depthwise"


@pytest.mark.parametrize(
    ("flip", "shown"), [(True, "the image, averaged with those for its mirror image"), (False, "the image alone")]
)
def test_views_at_test_are_described(flip: bool, shown: str) -> None:
    recipe = Recipe((Stage(1, 1e-3, 32),), 128, flip_at_test=flip)
    plan = {"recipe": dataclasses.asdict(recipe), "architecture": {"backbone": "x", "pretrained": False}}
    assert describe_recipe(plan)["views"] == shown


def test_augmentation_lists_what_is_switched_on() -> None:
    strong = dataclasses.asdict(Augmentation(flip=True, crop=4, rotation=15.0, jitter=0.2, cutout=8))
    assert describe_augmentation(strong) == (
        "horizontal flip in every other epoch, crop after 4 px padding, rotation within ±15°, "
        "colour jitter of ±0.2 and cutout of 8 px"
    )


def test_search_is_described_by_its_base_recipe(results: Results) -> None:
    facts = by_name(recipe_facts(results))
    assert facts["recipe/level2/search/epochs"].text == facts["recipe/level2/augmented/epochs"].text
