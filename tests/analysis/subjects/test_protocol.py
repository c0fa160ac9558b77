"""How everything was done."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from analysis.results import Results
from analysis.subjects.protocol import (
    describe_augmentation,
    describe_recipe,
    experiments,
    protocol_facts,
    recipe_facts,
    recipes,
)
from study.experiment import LENGTHS_FOR, Architecture, Augmentation, Recipe, Stage, Trained, Views


def test_constants_print_as_a_reader_expects(results: Results) -> None:
    printed = {fact.name: fact.text for fact in protocol_facts(results)}
    assert printed["protocol/level"] == "95 %" and printed["protocol/power"] == "80 %"
    assert printed["protocol/alpha"] == "0.05" and printed["protocol/bins"] == "15"
    assert printed["protocol/min-seeds"] == "3" and printed["protocol/margin"] == "0.30 points"
    assert printed["protocol/seed-sd"] == "0.15 points" and "protocol/overdispersion" not in printed


@pytest.mark.parametrize(("images", "enough"), [(500, False), (10_000, True)])
def test_too_few_images_for_any_equivalence_are_told(results: Results, images: int, enough: bool) -> None:
    # Two discordant images among n + 2, one of each kind: 1.645 standard errors are 100·1.645·√2/(n + 2) points.
    assert (164.5 * math.sqrt(2) / (images + 2) < 0.3) == enough
    dataset = replace(results.view.plan.dataset, sizes={"test": images})
    view = replace(results.view, plan=replace(results.view.plan, dataset=dataset))
    told = {fact.name for fact in protocol_facts(replace(results, view=view))}
    assert ("protocol/images-without-equivalence" not in told) == enough


def test_chance_in_training_is_told_where_it_was_measured(three_seeds: Results) -> None:
    printed = {fact.name: fact.value for fact in protocol_facts(three_seeds)}
    assert three_seeds.chance is not None
    assert printed["protocol/overdispersion"] == pytest.approx(three_seeds.chance.overdispersion)
    assert printed["protocol/degrees-of-freedom"] == pytest.approx(three_seeds.chance.degrees)


@pytest.mark.parametrize(("prior", "told"), [(math.inf, {}), (3.5, {"protocol/prior-degrees": "3.5"})])
def test_that_recipes_differ_in_chance_is_told(three_seeds: Results, prior: float, told: dict[str, str]) -> None:
    assert three_seeds.chance is not None
    results = replace(three_seeds, chance=replace(three_seeds.chance, prior=prior))
    texts = {fact.name: fact.text for fact in protocol_facts(results)}
    assert {name: text for name, text in texts.items() if name == "protocol/prior-degrees"} == told


def test_recipe_prints_stage_by_stage() -> None:
    stages = (Stage(3, 1e-3, 32, Augmentation(flip=True), mixup=0.2), Stage(4, 5e-4, 64, schedule="constant"))
    trained = Trained(Architecture("resnet18", pretrained=True), Recipe(stages, 128, "adamw", 0.05, 0.1))
    assert describe_recipe(trained, LENGTHS_FOR) == {
        "architecture": "ResNet-18",
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


def test_growing_and_frozen_are_named_only_where_used(results: Results) -> None:
    printed = {fact.name: fact.text for fact in recipe_facts(results)}
    tuned, head = "recipe/level1/finetuned", "recipe/level1/head-only"
    assert printed[f"{tuned}/image-size"] == "sizes growing from 128 to 160 px"
    assert (printed[f"{tuned}/first-size"], printed[f"{tuned}/frozen-groups"]) == ("128 px", "6")
    assert printed[f"{tuned}/frozen-filters"] == "depthwise"
    assert not {f"{head}/{name}" for name in ("first-size", "frozen-groups", "frozen-filters", "dropout")} & set(
        printed
    )
    assert printed["recipe/level3/se-head/dropout"] == "0.3"


@pytest.mark.parametrize(
    ("views", "shown"),
    [
        (1, "the image alone"),
        (2, "the image, averaged with those for its mirror image"),
        (6, "the image, averaged with those for its mirror image and for both shifted by one pixel to either side"),
    ],
)
def test_test_time_augmentation_is_described(views: Views, shown: str) -> None:
    recipe = Recipe((Stage(1, 1e-3, 32),), 128, test_views=views)
    assert describe_recipe(Trained(Architecture("x"), recipe), LENGTHS_FOR)["views"] == shown


def test_augmentation_lists_what_is_switched_on() -> None:
    strong = Augmentation(flip=True, crop=4, rotation=15.0, jitter=0.2, cutout=8)
    assert describe_augmentation(strong) == (
        "horizontal flip in every other epoch, crop after 4 px padding, rotation within ±15°, "
        "colour jitter of ±0.2 and cutout of 8 px"
    )


def test_search_is_described_by_its_base_recipe(results: Results) -> None:
    printed = {fact.name: fact.text for fact in recipe_facts(results)}
    assert printed["recipe/level2/search/epochs"] == printed["recipe/level2/control/epochs"]


def test_students_say_how_they_are_taught_and_controls_only_their_views(results: Results) -> None:
    facts = {fact.name: fact for fact in recipe_facts(results)}
    printed = {name: fact.text for name, fact in facts.items()}
    student, alone = "recipe/level5/student", "recipe/level5/student-alone"
    assert (printed[f"{student}/temperature"], printed[f"{student}/distillation-weight"]) == ("2", "0.9")
    assert (printed[f"{student}/teachers"], printed[f"{student}-ensemble/teachers"]) == ("1", "2")
    assert facts[f"{student}/fixed-views"].value == facts[f"{alone}/fixed-views"].value == 6
    assert f"{alone}/temperature" not in printed and "recipe/level3/scratch-cnn/fixed-views" not in printed


def test_recipes_print_every_setting_of_a_training(results: Results) -> None:
    table = recipes(results)
    assert table is not None
    rows = {row[0]: row[1:] for row in table.rows}
    assert len(rows) == sum(bool(experiment.trained) for experiment in results.view.experiments.values())
    trained = results.view.experiments["level2/augmented"].trained
    assert trained is not None
    row = rows[results.view.title("level2/augmented")]
    assert float(row[3]) == trained.recipe.weight_decay and int(row[5]) == trained.recipe.batch_size
    assert float(row[1].split(" (")[0]) == trained.recipe.stages[0].learning_rate


def test_experiments_that_train_are_listed_before_they_have_run(empty: Results) -> None:
    table = experiments(empty)
    assert table is not None
    planned = list(empty.view.experiments.values())
    assert [row[1] for row in table.rows] == [each.title for each in planned if each.trained]
    assert 0 < len(table.rows) < len(planned)
    assert {row[-1] for row in table.rows} == {"pending"}


def test_recipe_of_a_search_is_the_one_it_found(results: Results, empty: Results) -> None:
    found, planned = recipes(results), recipes(empty)
    assert found is not None and planned is not None
    (row,), (start,) = ([row for row in table.rows if row[0] == "Searched recipe"] for table in (found, planned))
    run = results.view.runs_of("level2/search")[0]
    values = results.view.trials("level2/search")[run.metrics["best_trial"]]["params"]
    assert [float(str(row[2]).split(" (")[0]), float(str(row[4]))] == pytest.approx(
        [values["learning_rate"], values["weight_decay"]], rel=0.05
    )
    assert row != start and "the recipe is shown that it found." in found.caption
    assert "the recipe is shown that it starts from." in planned.caption
