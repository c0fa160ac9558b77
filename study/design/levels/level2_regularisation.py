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

from study.design.presets import Preset
from study.experiment import Architecture, Augmentation, Recipe
from study.kinds import Kind, Search, Training
from study.records import Level, Reference

LEVEL = Level(2, "regularisation", pass_mark=0.90, reference=Reference("ResNet-18, augmented", 0.9584))
FULL = Augmentation(flip=True, crop=4, rotation=10.0, jitter=0.2)
MILD = Augmentation(flip=True, crop=3, rotation=5.0, jitter=0.1)
SHORT = 3  # epochs up to which fine-tuning gets the mild augmentation; tried for one, where it beat the full one
STRONG = Augmentation(flip=True, crop=4, rotation=15.0, jitter=0.4, cutout=8)
LIGHT = Augmentation(flip=True, crop=2)
MIXUP_ALPHA = 0.2


def augmented(preset: Preset) -> Training:
    """The full recipe, which every later fine-tuning run starts from, on the plain backbone."""
    budget = preset.transfer
    augmentation = MILD if budget.stage.epochs <= SHORT else FULL
    recipe = Recipe(
        (replace(budget.stage, augmentation=augmentation),),
        budget.batch_size,
        weight_decay=0.05,
        label_smoothing=0.1,
        precision=preset.precision,
        flip_tta=preset.flip_tta,
    )
    architecture = Architecture(budget.backbone, pretrained=True)
    return Training(
        level=2,
        name="augmented",
        title="Full recipe",
        phrase="the full recipe",
        architecture=architecture,
        recipe=recipe,
    )


def ablation_control(preset: Preset) -> Training:
    """The full recipe at the ablations' budget: ``augmented`` itself where the preset makes no difference."""
    full = augmented(preset)
    if preset.ablations is None:
        return full
    stage = replace(preset.ablations, augmentation=full.recipe.stages[0].augmentation)
    title, phrase = "Full recipe, short", "the short full recipe"
    return replace(full, name="short", title=title, phrase=phrase, recipe=replace(full.recipe, stages=(stage,)))


def ablations(preset: Preset) -> tuple[Training, ...]:
    """Leave-one-out runs, after their full-recipe control where that is not ``augmented`` itself."""
    full = ablation_control(preset)
    recipe, (stage,) = full.recipe, full.recipe.stages
    left_out: dict[str, tuple[str, str, Recipe]] = {
        "plain": (
            "augmentation",
            "augmentation",
            replace(recipe, stages=(replace(stage, augmentation=Augmentation()),)),
        ),
        "without-smoothing": ("label smoothing", "label smoothing", replace(recipe, label_smoothing=0.0)),
        "without-cosine": (
            "cosine schedule",
            "the cosine schedule",
            replace(recipe, stages=(replace(stage, schedule="constant"),)),
        ),
        "without-decoupled-decay": (
            "decoupled decay",
            "decoupled weight decay",
            replace(recipe, optimizer="adam", weight_decay=5e-4),
        ),
    }
    runs = tuple(
        replace(
            full,
            name=name,
            title=f"Without {short}",
            phrase=f"training without {what}",
            control=full.key,
            differs=f"leaving out {what}",
            expects="loss",
            group="ingredients",
            recipe=changed,
        )
        for name, (short, what, changed) in left_out.items()
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
        full,
        name="single-stage",
        title="MixUp in one stage",
        phrase="MixUp in one stage",
        recipe=replace(full.recipe, stages=(single,)),
    )
    staged = replace(
        full,
        name="two-stage-mixup",
        title="MixUp in two stages",
        phrase="MixUp in two stages",
        control=control.key,
        differs="training in two stages",
        group="mixup",
        recipe=replace(full.recipe, stages=(first, second)),
    )
    return control, staged


def search(preset: Preset) -> Search:
    """Hyper-parameter search around the full recipe; the winner is trained with the ablations' budget."""
    base, rate = ablation_control(preset), preset.transfer.stage.learning_rate
    return Search(
        level=2,
        name="search",
        title="Searched recipe",
        phrase="the searched recipe",
        control=base.key,
        differs="searching rate, decay and smoothing",
        group="search",
        base=base,
        trials=preset.search.trials,
        trial_epochs=preset.search.epochs,
        trial_images=preset.search.images,
        learning_rate=(rate / 4, rate * 4),
        weight_decay=(1e-3, 0.3),
        label_smoothing=(0.0, 0.2),
    )


def experiments(preset: Preset) -> tuple[Kind, ...]:
    """Full recipe, leave-one-out ablation, two-stage MixUp and the search."""
    first = replace(
        augmented(preset),
        control="level1/finetuned",
        differs="AdamW, label smoothing and augmentation together",
        group="ingredients",
    )
    return (first, *ablations(preset), *two_stage_mixup(preset), search(preset))
