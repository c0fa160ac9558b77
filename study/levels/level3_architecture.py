"""Level 3, architecture: what do an attention head, a network of one's own and a second task add?

The squeeze-and-excitation head (Hu et al. 2018) with dropout is trained by level 2's full recipe, so
that run without it is its control. CompactCNN (``study.networks``) is trained from scratch. The
multi-task runs add a second head to it: the coarse class (animal or vehicle), or which of four
rotations a turned copy of a quarter of the batch has (Gidaris et al. 2018); single-task is their control.
"""

from __future__ import annotations

from dataclasses import replace

from study.experiment import Architecture, Augmentation, Auxiliary, Experiment, Recipe, Stage, Training
from study.levels.level2_regularisation import augmented
from study.presets import Preset

SCRATCH = Augmentation(flip=True, crop=4)
DROPOUT = 0.3


def scratch_recipe(preset: Preset, epochs: int) -> Recipe:
    """How networks without pretraining are trained: higher rate, flip and crop.

    The networks are made of dense convolutions, which bfloat16 speeds up wherever the device has units for it.
    """
    stage = Stage(epochs, preset.scratch_learning_rate, 32, SCRATCH, warmup=0.2)
    return Recipe(
        (stage,),
        preset.scratch_batch_size,
        weight_decay=0.1,
        label_smoothing=0.1,
        precision="bfloat16",
        flip_at_test=preset.flip_at_test,
    )


def scratch(preset: Preset, epochs: int, name: str = "scratch-cnn", title: str = "CompactCNN") -> Training:
    """CompactCNN, single-task."""
    return Training(
        level=3,
        name=name,
        title=title,
        architecture=Architecture(preset.scratch_network),
        recipe=scratch_recipe(preset, epochs),
    )


def multi_task(preset: Preset) -> tuple[Training, ...]:
    """Runs with an auxiliary head, after their control where that is not ``scratch-cnn`` itself."""
    same = preset.multi_task_epochs == preset.scratch_epochs
    naming = () if same else ("single-task", "CompactCNN, short")
    single = scratch(preset, preset.multi_task_epochs, *naming)
    tasks: dict[Auxiliary, str] = {"superclass": "coarse class", "rotation": "rotation of extra turned copies"}
    runs = tuple(
        replace(
            single,
            name=f"multi-task-{task}",
            title=f"Multi-task: {task}",
            control=single.key,
            differs=f"a second head for the {what}",
            architecture=replace(single.architecture, auxiliary=task),
        )
        for task, what in tasks.items()
    )
    return runs if same else (single, *runs)


def experiments(preset: Preset) -> tuple[Experiment, ...]:
    """SE head, custom CNN and multi-task learning."""
    full = augmented(preset, preset.epochs)
    attended = replace(
        full,
        level=3,
        name="se-head",
        title="SE head",
        control=full.key,
        differs="an SE head with dropout",
        architecture=replace(full.architecture, attention="se", dropout=DROPOUT),
    )
    return (attended, scratch(preset, preset.scratch_epochs), *multi_task(preset))
