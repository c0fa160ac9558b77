"""Level 2, regularisation: which ingredients of a modern fine-tuning recipe earn their place?

The full recipe (``augmented``) is AdamW with a warmed-up cosine schedule, label smoothing, flip, crop,
rotation and colour jitter. ``plain`` and the ``without-*`` runs leave one ingredient out each. Where the
preset gives ablations a shorter budget, they, MixUp and the searched recipe are trained within it, and
so is a full-recipe control.

Two-stage MixUp trains the head alone under strong augmentation and MixUp, then everything under
lighter augmentation at a lower rate; its control trains everything under MixUp for as much computing:
a head-only epoch needs the forward pass alone, about a third of a full epoch. The search varies the
recipe's rate, decay and smoothing and selects on validation accuracy.
"""

from __future__ import annotations

from dataclasses import replace

from study.design.levels.level1_transfer import fine_tuning
from study.design.presets import Preset
from study.experiment import Architecture, Augmentation, Experiment, Recipe, Search, Training

FULL = Augmentation(flip=True, crop=4, rotation=10.0, jitter=0.2)
MILD = Augmentation(flip=True, crop=3, rotation=5.0, jitter=0.1)
SHORT = 3  # epochs up to which fine-tuning gets the mild augmentation; tried for one, where it beat the full one
STRONG = Augmentation(flip=True, crop=4, rotation=15.0, jitter=0.4, cutout=8)
LIGHT = Augmentation(flip=True, crop=2)
MIXUP_ALPHA = 0.2


def full_recipe(preset: Preset) -> Recipe:
    """The recipe every later fine-tuning run starts from."""
    augmentation = MILD if preset.transfer.epochs <= SHORT else FULL
    return Recipe(
        (replace(fine_tuning(preset), augmentation=augmentation),),
        preset.transfer.batch_size,
        weight_decay=0.05,
        label_smoothing=0.1,
        precision=preset.precision,
        flip_at_test=preset.views_at_test,
    )


def with_stage(recipe: Recipe, **changes: object) -> Recipe:
    """The recipe with its (single) stage changed."""
    return replace(recipe, stages=tuple(replace(stage, **changes) for stage in recipe.stages))  # type: ignore[arg-type]


def augmented(preset: Preset) -> Training:
    """The full recipe on the plain backbone."""
    return Training(
        level=2,
        name="augmented",
        title="Full recipe",
        architecture=Architecture(preset.transfer.backbone, pretrained=True),
        recipe=full_recipe(preset),
    )


def ablation_control(preset: Preset) -> Training:
    """The full recipe at the ablations' budget: ``augmented`` itself where the preset makes no difference."""
    full, budget = augmented(preset), preset.ablations
    if (budget.epochs, budget.image_size) == (preset.transfer.epochs, preset.transfer.image_size):
        return full
    short = with_stage(full.recipe, epochs=budget.epochs, image_size=budget.image_size, first_size=0)
    return replace(full, name="short", title="Full recipe, short", recipe=short)


def ablations(preset: Preset) -> tuple[Training, ...]:
    """Leave-one-out runs, after their full-recipe control where that is not ``augmented`` itself."""
    full = ablation_control(preset)
    recipe = full.recipe
    left_out = {
        "plain": ("augmentation", with_stage(recipe, augmentation=Augmentation())),
        "without-smoothing": ("label smoothing", replace(recipe, label_smoothing=0.0)),
        "without-cosine": ("cosine schedule", with_stage(recipe, schedule="constant")),
        "without-decoupled-decay": (
            "decoupled weight decay",
            replace(recipe, optimizer="adam", weight_decay=5e-4),
        ),
    }
    runs = tuple(
        replace(
            full,
            name=name,
            title=f"Without {what}",
            control=full.key,
            differs=f"leaving out {what}",
            recipe=changed,
        )
        for name, (what, changed) in left_out.items()
    )
    return runs if full == augmented(preset) else (full, *runs)


def two_stage_mixup(preset: Preset) -> tuple[Training, Training]:
    """Two-stage MixUp training and its single-stage control of equal cost."""
    full = ablation_control(preset)
    (stage,) = full.recipe.stages
    first = replace(stage, epochs=3, augmentation=STRONG, trains="head", mixup=MIXUP_ALPHA)
    second = replace(stage, epochs=stage.epochs - 1, augmentation=LIGHT, learning_rate=stage.learning_rate / 2)
    single = replace(stage, augmentation=STRONG, mixup=MIXUP_ALPHA)
    control = replace(
        full, name="single-stage", title="Single-stage MixUp", recipe=replace(full.recipe, stages=(single,))
    )
    staged = replace(
        full,
        name="two-stage-mixup",
        title="Two-stage MixUp",
        control=control.key,
        differs="training in two stages",
        recipe=replace(full.recipe, stages=(first, second)),
    )
    return control, staged


def search(preset: Preset) -> Search:
    """Hyper-parameter search around the full recipe; the winner is trained with the ablations' budget."""
    base, rate = ablation_control(preset), preset.transfer.learning_rate
    return Search(
        level=2,
        name="search",
        title="Searched recipe",
        control=base.key,
        differs="searching rate, decay and smoothing",
        base=base,
        trials=preset.search.trials,
        trial_epochs=preset.search.epochs,
        trial_images=preset.search.images,
        learning_rate=(rate / 4, rate * 4),
        weight_decay=(1e-3, 0.3),
        label_smoothing=(0.0, 0.2),
    )


def experiments(preset: Preset) -> tuple[Experiment, ...]:
    """Full recipe, leave-one-out ablation, two-stage MixUp and the search."""
    first = replace(
        augmented(preset),
        control="level1/finetuned",
        differs="AdamW, label smoothing and augmentation together",
    )
    return (first, *ablations(preset), *two_stage_mixup(preset), search(preset))
