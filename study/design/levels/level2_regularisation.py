"""Level 2, regularisation: which ingredients of a modern fine-tuning recipe earn their place?

The full recipe (``augmented``) is AdamW with a warmed-up cosine schedule, label smoothing and augmentation;
``plain`` is the same fine-tuning without augmentation.

What regularisation is for shows in a network that overfits, which fine-tuning for a few epochs hardly does. So
the other ablations, MixUp and the search train one of this study's own networks from scratch, by the same recipe at
a rate and for a time of its own; the ``without-*`` runs leave one ingredient out of that ``control`` each.

Two-stage MixUp trains under strong augmentation and MixUp, then under light augmentation alone at a lower rate, as
clean images at the end close the gap to those of the test (He et al. 2019, https://arxiv.org/abs/1909.09148); its
control keeps MixUp for all epochs, and is itself compared with the recipe without. The search varies the recipe's
rate, decay and smoothing and selects on validation accuracy.
"""

from __future__ import annotations

from dataclasses import replace

from study.description import Level
from study.design.presets import Preset
from study.experiment import Architecture, Augmentation, Recipe, Stage
from study.kinds import Kind, Search, Training

LEVEL = Level(2, "regularisation", step=True)
FULL = Augmentation(flip=True, crop=4, rotation=10.0, jitter=0.2)
SHORT = 3  # epochs up to which fine-tuning gets the light augmentation, as it has no time for more
STRONG = Augmentation(flip=True, crop=4, rotation=15.0, jitter=0.4, cutout=8)
LIGHT = Augmentation(flip=True, crop=2)
LONG_SCRATCH = Augmentation(flip=True, crop=4, cutout=8)
LONG = 20  # epochs from which networks from scratch get the stronger augmentation; in 16 it gained nothing
MIXUP_ALPHA = 0.2
WARMUP = 0.1


def scratch_augmentation(epochs: int) -> Augmentation:
    """What a network that is trained from scratch for so long sees."""
    return LONG_SCRATCH if epochs >= LONG else LIGHT


def augmented(preset: Preset) -> Training:
    """The full recipe, which every later fine-tuning run starts from, on the plain backbone."""
    budget = preset.transfer
    augmentation = LIGHT if budget.stage.epochs <= SHORT else FULL
    recipe = Recipe(
        (replace(budget.stage, augmentation=augmentation),),
        budget.batch_size,
        weight_decay=0.05,
        label_smoothing=0.1,
        precision=budget.precision,
        test_views=budget.test_views,
        layer_decay=budget.layer_decay,
        averaging=budget.averaging,
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


def plain(preset: Preset) -> Training:
    """The full recipe without augmentation."""
    full = augmented(preset)
    return _without(full, "plain", "augmentation", _seeing(full.recipe, Augmentation()))


def ablation_control(preset: Preset) -> Training:
    """The full recipe for a network from scratch that overfits."""
    full, budget = augmented(preset), preset.ablations
    augmentation = scratch_augmentation(budget.epochs)
    stage = Stage(
        budget.epochs,
        budget.learning_rate,
        budget.image_size,
        augmentation,
        warmup=WARMUP,
        first_size=budget.first_size,
    )
    recipe = replace(
        full.recipe,
        stages=(stage,),
        batch_size=budget.batch_size,
        precision="bfloat16",
        test_views=budget.test_views,
        layer_decay=0.0,
        averaging=0.0,
    )
    architecture = Architecture(budget.network)
    title, phrase = "Scratch recipe", "the recipe from scratch"
    return replace(full, name="control", title=title, phrase=phrase, architecture=architecture, recipe=recipe)


def ablations(preset: Preset) -> tuple[Training, ...]:
    """The control and its leave-one-out runs."""
    full = ablation_control(preset)
    recipe, (stage,) = full.recipe, full.recipe.stages
    left_out = {
        "without-augmentation": ("augmentation", _seeing(recipe, Augmentation())),
        "without-smoothing": ("label smoothing", replace(recipe, label_smoothing=0.0)),
        "without-cosine": ("cosine schedule", replace(recipe, stages=(replace(stage, schedule="constant"),))),
        "without-decoupled-decay": ("decoupled weight decay", replace(recipe, optimizer="adam", weight_decay=5e-4)),
    }
    return full, *(_without(full, name, what, changed) for name, (what, changed) in left_out.items())


def _seeing(recipe: Recipe, augmentation: Augmentation) -> Recipe:
    return replace(recipe, stages=tuple(replace(stage, augmentation=augmentation) for stage in recipe.stages))


def _without(full: Training, name: str, what: str, recipe: Recipe) -> Training:
    return replace(
        full,
        name=name,
        title=f"{full.title.removesuffix(' recipe')}, no {what.replace('weight decay', 'decay')}",
        phrase=f"{full.phrase} without {what}",
        control=full.key,
        differs=f"leaving out {what}",
        expects="loss",
        group="ingredients",
        recipe=recipe,
    )


def two_stage_mixup(preset: Preset) -> tuple[Training, Training]:
    """MixUp in one stage against the recipe without it, and in two stages against one of as many epochs."""
    full = ablation_control(preset)
    (stage,) = full.recipe.stages
    last = max(1, stage.epochs // 3)
    mixed = replace(stage, augmentation=STRONG, mixup=MIXUP_ALPHA)
    first = replace(mixed, epochs=stage.epochs - last)
    second = replace(stage, epochs=last, augmentation=LIGHT, learning_rate=stage.learning_rate / 2, first_size=0)
    control = replace(
        full,
        name="single-stage",
        title="MixUp in one stage",
        phrase="MixUp in one stage",
        control=full.key,
        differs="MixUp, and stronger augmentation",
        group="mixup",
        recipe=replace(full.recipe, stages=(mixed,)),
    )
    staged = replace(
        full,
        name="two-stage-mixup",
        title="MixUp in two stages",
        phrase="MixUp with a last stage without it",
        control=control.key,
        differs="training in two stages",
        group="mixup",
        recipe=replace(full.recipe, stages=(first, second)),
    )
    return control, staged


def search(preset: Preset) -> Search:
    """Hyper-parameter search around the control's recipe; the winner is trained for as long."""
    base, rate = ablation_control(preset), preset.ablations.learning_rate
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
    """Fine-tuning by the full recipe with and without augmentation; from scratch ablations, MixUp and the search."""
    first = replace(
        augmented(preset),
        control="level1/finetuned",
        differs="AdamW, label smoothing and augmentation together",
        group="ingredients",
    )
    return (first, plain(preset), *ablations(preset), *two_stage_mixup(preset), search(preset))
