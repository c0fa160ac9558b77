"""Level 3, architecture: what do an attention head, a network of one's own and a second task add?

The squeeze-and-excitation head (Hu et al. 2018) with dropout is trained by level 2's full recipe, so
that run without it is its control. CompactCNN (``study.models.compact_cnn``) is trained from scratch. The
multi-task runs add a second head to it: the coarse class, where super-classes are described, or which of four
rotations a turned copy of a quarter of the batch has (Gidaris et al. 2018); where the preset gives them
a smaller network or a shorter schedule, they get a single-task control of just that.
"""

from __future__ import annotations

from dataclasses import replace

from study.description import Level
from study.design.levels.level2_regularisation import augmented, scratch_augmentation
from study.design.presets import Preset
from study.experiment import Architecture, Auxiliary, Recipe, Stage
from study.kinds import GradCam, Kind, Training

LEVEL = Level(3, "architecture", step=True)
DROPOUT = 0.3
STEM_EPOCHS = 3
ROAD_IMAGES = 100  # of ten, the interval of a mean score is as wide as the scores are large


def scratch_recipe(preset: Preset, epochs: int) -> Recipe:
    """How networks without pretraining are trained: Muon down a straight line, flip and shifts, cutout in long runs.

    Muon's steps have a fixed size, so a decay of half the rate keeps each filter's norm near one and the
    rate is the share of a filter that one step replaces. The networks are made of dense convolutions, which
    bfloat16 speeds up wherever the device has units for it.
    """
    budget = preset.scratch
    rate, augmentation = budget.learning_rate, scratch_augmentation(epochs)
    stage = Stage(
        epochs,
        rate,
        budget.image_size,
        augmentation,
        schedule="linear",
        stem_epochs=STEM_EPOCHS,
        first_size=budget.first_size,
    )
    return Recipe(
        (stage,),
        budget.batch_size,
        optimizer="muon",
        weight_decay=rate / 2,
        label_smoothing=0.1,
        precision="bfloat16",
        test_views=budget.test_views,
    )


def scratch(preset: Preset) -> Training:
    """CompactCNN, single-task."""
    return Training(
        level=3,
        name="scratch-cnn",
        title="CompactCNN",
        phrase="CompactCNN",
        architecture=Architecture(preset.scratch.network),
        recipe=scratch_recipe(preset, preset.scratch.epochs),
    )


def wider(preset: Preset) -> tuple[Training, ...]:
    """A wider CompactCNN by the same recipe, where the preset names one."""
    narrow = scratch(preset)
    if not preset.wider:
        return ()
    return (
        replace(
            narrow,
            name="scratch-wide",
            title="CompactCNN, wide",
            phrase="the wider CompactCNN",
            control=narrow.key,
            differs="half as many channels again",
            group="width",
            architecture=Architecture(preset.wider),
        ),
    )


def multi_task(preset: Preset) -> tuple[Training, ...]:
    """Runs with an auxiliary head, after their control where that is not ``scratch-cnn`` itself."""
    main = scratch(preset)
    single = replace(
        main,
        name="single-task",
        title="Small CompactCNN",
        phrase="the small CompactCNN with a single task",
        architecture=Architecture(preset.multi_task.network),
        recipe=scratch_recipe(preset, preset.multi_task.epochs),
    )
    same = (single.architecture, single.recipe) == (main.architecture, main.recipe)
    single = main if same else single
    coarse: dict[Auxiliary, tuple[int, ...]] = {"superclass": preset.coarse, "rotation": ()}
    tasks: dict[Auxiliary, tuple[str, str]] = {
        "superclass": ("the coarse class", "a second head for the coarse class"),
        "rotation": ("rotation", "a second head for the rotation of extra turned copies"),
    }
    runs = tuple(
        replace(
            single,
            name=f"multi-task-{task}",
            title=f"Second task: {what.removeprefix('the ')}",
            phrase=f"learning {what} as a second task",
            control=single.key,
            differs=differs,
            group="second task",
            architecture=replace(single.architecture, auxiliary=task, coarse=coarse[task]),
        )
        for task, (what, differs) in tasks.items()
        if task != "superclass" or preset.coarse
    )
    return runs if same else (single, *runs)


def experiments(preset: Preset) -> tuple[Kind, ...]:
    """SE head, custom CNN, multi-task learning, and where the SE head and its control look."""
    full = augmented(preset)
    attended = replace(
        full,
        level=3,
        name="se-head",
        title="SE head",
        phrase="the network with the SE head",
        control=full.key,
        differs="an SE head with dropout",
        group="attention",
        architecture=replace(full.architecture, attention="se", dropout=DROPOUT),
    )
    networks = (full.key, attended.key)
    looked_at = GradCam(level=3, name="grad-cam", title="Grad-CAM", sources=networks, road_images=ROAD_IMAGES)
    return (attended, scratch(preset), *wider(preset), *multi_task(preset), looked_at)
