from __future__ import annotations

from dataclasses import replace

import pytest

from study.design import levels, presets
from study.errors import StudyError
from study.experiment import Subset
from study.kinds import Search, Training

PRESETS = [presets.QUICK, presets.CPU, presets.OVERNIGHT, presets.PAPER]


def test_presets_go_by_name() -> None:
    assert [presets.by_name(name).name for name in presets.PRESETS] == list(presets.PRESETS)


def test_unknown_preset_is_refused() -> None:
    with pytest.raises(StudyError, match="unknown preset 'huge'; choose one of quick, cpu, overnight, paper"):
        presets.by_name("huge")


def test_only_quick_uses_a_subset() -> None:
    kept = {name: preset.subset.train for name, preset in presets.PRESETS.items() if name != "tiny"}
    assert kept["quick"] is not None and {kept[name] for name in ("cpu", "overnight", "paper")} == {None}


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_the_images_that_a_preset_is_made_for_leave_it_as_it_is(preset: presets.Preset) -> None:
    assert presets.adapted(preset, preset.made_for, 32, ()) == preset
    assert presets.adapted(preset, preset.made_for, 32, (0, 1)) == replace(preset, coarse=(0, 1))


def test_a_quarter_of_the_images_gets_twice_the_epochs() -> None:
    preset = presets.adapted(presets.CPU, 10_000, 32, ())
    assert (preset.transfer.stage.epochs, preset.scratch.epochs, preset.scratch.batch_size) == (4, 26, 250)
    assert preset.search.images == 2_500


def test_few_images_come_in_small_batches_and_no_more_than_four_times_the_epochs() -> None:
    preset = presets.adapted(presets.CPU, 640, 32, ())
    assert (preset.transfer.batch_size, preset.scratch.batch_size, preset.transfer.head_epochs) == (40, 40, 40)
    assert preset.search.images == 160, "its share of 10,000, more than two batches of 40"
    assert presets.adapted(presets.CPU, 30, 32, ()).scratch.batch_size == 8


def test_many_images_get_fewer_epochs_but_no_run_loses_its_stages() -> None:
    preset = presets.adapted(presets.PAPER, 1_280_000, 32, ())
    assert (preset.scratch.epochs, preset.transfer.stage.epochs, preset.scratch.batch_size) == (15, 2, 250)
    for preset in (presets.adapted(preset, 1_280_000, 32, ()) for preset in PRESETS):
        recipes = [each.recipe for each in levels.experiments(preset) if isinstance(each, Training)]
        assert all(stage.epochs > 0 for recipe in recipes for stage in recipe.stages)


@pytest.mark.parametrize("images", [1_000, 10_000, 40_000, 1_280_000])
def test_averaged_weights_keep_the_same_share_of_the_first_steps_however_few_steps_there_are(images: int) -> None:
    tuned = presets.adapted(presets.OVERNIGHT, images, 32, ()).transfer
    steps = tuned.stage.epochs * (images // tuned.batch_size)
    made_for = presets.OVERNIGHT.transfer
    assert tuned.averaging**steps == pytest.approx(made_for.averaging ** (3 * (40_000 // 64)))


@pytest.mark.parametrize(
    ("stored", "side", "first", "network"),
    [(32, 32, 24, "compact_cnn"), (40, 40, 32, "compact_cnn"), (160, 64, 48, "compact_cnn_deep")],
)
def test_networks_from_scratch_follow_the_size_of_the_images(stored: int, side: int, first: int, network: str) -> None:
    runs = {each.key: each for each in levels.experiments(presets.adapted(presets.CPU, 40_000, stored, ()))}
    scratch = runs["level3/scratch-cnn"]
    assert isinstance(scratch, Training) and scratch.architecture.backbone == network
    assert (scratch.recipe.stages[0].image_size, scratch.recipe.stages[0].first_size) == (side, first)


def test_super_classes_are_learnt_only_where_they_are_known() -> None:
    def keys(coarse: tuple[int, ...]) -> set[str]:
        return {each.key for each in levels.experiments(presets.adapted(presets.QUICK, 1_000, 32, coarse))}

    assert keys((0, 1, 2)) - keys(()) == {"level3/multi-task-superclass"}


@pytest.mark.parametrize("images", [100, 500, 3_000, 200_000])
def test_a_search_has_the_images_for_its_batches(images: int) -> None:
    for preset in (presets.adapted(preset, images, 32, ()) for preset in PRESETS):
        (search,) = (each for each in levels.experiments(preset) if isinstance(each, Search))
        assert search.base.recipe.batch_size <= min(search.trial_images, images)


def test_a_subset_has_room_for_every_class() -> None:
    assert presets.QUICK.subset.of(10) == presets.QUICK.subset
    assert presets.QUICK.subset.of(1_000) == Subset(8_000, 3_000, 5_000)
    assert Subset().of(1_000) == Subset()
