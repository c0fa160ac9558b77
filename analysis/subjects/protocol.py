"""How everything was done: constants of statistics and trainer, every network's recipe, and the experiments planned."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np

from analysis import formats
from analysis.captions import join
from analysis.evidence import Fact, Origin, Table, facts, table
from analysis.results import Judged, Results, control_of
from analysis.statistics.comparison import MARGIN, compare
from analysis.statistics.crossed import ALPHA, LEVEL, MIN_SEEDS, POWER, SEED_SD, Estimate, assumed, pooled
from study.experiment import (
    MUON_ITERATIONS,
    MUON_MOMENTUM,
    MUON_REST,
    ROTATED_FRACTION,
    Augmentation,
    Expectation,
    Experiment,
    Recipe,
    Stage,
    Trained,
    network_name,
)
from study.kinds import Search, Training
from study.kinds.search import best_recipe, with_values
from study.metrics.calibration import BINS, expected_calibration_error

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "muon": "Muon"}
VIEWS = {
    1: "the image alone",
    2: "the image, averaged with those for its mirror image",
    6: "the image, averaged with those for its mirror image and for both shifted by one pixel to either side",
}
TRANSFORMS = {
    "flip": "horizontal flip in every other epoch",
    "crop": "crop after {} px padding",
    "rotation": "rotation within ±{}°",
    "jitter": "colour jitter of ±{}",
    "cutout": "cutout of {} px",
}

ALSO = {
    "frozen-groups": "first {} groups frozen",
    "frozen-filters": "{} filters frozen",
    "stem-epochs": "stem for {} epochs",
    "dropout": "dropout {}",
    "auxiliary-weight": "second loss × {}",
    "layer-decay": "layer decay {}",
    "averaging": "weights averaged ({})",
}


@facts
def protocol_facts(results: Results) -> Iterator[Fact]:
    """The constants of statistics, read from the functions that use them, and the trainer's that no recipe holds.

    The trainer's modules are named, not imported, for they need torch.
    """
    yield Origin(Estimate.interval).text("protocol/level", f"{100 * LEVEL:.0f} %")
    yield Origin(Estimate.detectable).text("protocol/power", f"{100 * POWER:.0f} %")
    yield Origin(Judged.verdict).text("protocol/alpha", formats.setting(ALPHA))
    yield Origin(Judged.decidable).count("protocol/min-seeds", MIN_SEEDS)
    yield Origin(Judged.equivalent).text("protocol/margin", f"{formats.percent(MARGIN)} points")
    images = results.view.plan.dataset.sizes["test"]
    same = np.ones((1, images), dtype=bool)
    if compare(same, same).p_equivalence >= ALPHA:
        yield Origin(compare).count("protocol/images-without-equivalence", images)
    if told := expectations(results):
        yield Origin(expectations).text("protocol/expectations", told)
    if results.chance is None:
        yield Origin(assumed).text("protocol/seed-sd", f"{formats.percent(SEED_SD)} points")
    else:
        spread = results.chance.overdispersion
        pairs = ((judged.key, judged.control) for judged in results.judged.values() if judged.retrained)
        made = Origin(pooled, results.view.names(*(key for pair in pairs for key in pair)))
        yield made.number("protocol/overdispersion", spread, 2)
        yield made.number("protocol/degrees-of-freedom", results.chance.degrees, 1)
        if math.isfinite(results.chance.prior):
            yield made.number("protocol/prior-degrees", results.chance.prior, 1)
    yield Origin(expected_calibration_error).text("protocol/bins", formats.count(BINS))
    trainer = Origin("study.training.trainer.Trainer.optimizer")
    yield trainer.text("protocol/muon-momentum", formats.setting(MUON_MOMENTUM))
    yield trainer.count("protocol/muon-iterations", MUON_ITERATIONS)
    yield trainer.text("protocol/muon-rest", f"{formats.setting(100 * MUON_REST)} %")
    rotated = f"{formats.setting(100 * ROTATED_FRACTION)} %"
    yield Origin("study.training.objective.Objective.loss").text("protocol/rotated", rotated)


def expectations(results: Results) -> str:
    """How many of the comparisons planned are to show what; empty where none is planned."""
    view = results.view
    titles: dict[Expectation, str] = {"gain": "a gain", "loss": "a loss", "no difference": "no difference that matters"}
    planned = Counter(view.experiments[key].expects for key in view.own if control_of(view, key, results.ensemble))
    return formats.listing([f"{title} in {planned[name]}" for name, title in titles.items() if planned[name]])


@facts
def recipe_facts(results: Results) -> Iterator[Fact]:
    """How each network is trained, printed from the plan."""
    for key, experiment in results.view.experiments.items():
        if (trained := experiment.trained) is None:
            continue
        made = Origin(describe_recipe, results.view.names(key))
        described = describe_recipe(trained, results.view.plan.dataset.image_size) | _where_used(trained)
        if isinstance(experiment, Training) and (teaching := experiment.distillation):
            described["distillation-weight"] = formats.setting(teaching.weight)
            described["temperature"] = formats.setting(teaching.temperature)
            described["teachers"] = formats.setting(len(teaching.answers))
        yield from (made.text(f"recipe/{key}/{name}", text) for name, text in described.items())
        if trained.recipe.fixed_views:
            yield made.count(f"recipe/{key}/fixed-views", trained.recipe.fixed_views)


def describe_recipe(trained: Trained, stored: int) -> dict[str, str]:
    """A training in words, on images stored at ``stored`` px; what changes between stages is joined by "then"."""
    architecture, recipe = trained.architecture, trained.recipe
    return {
        "architecture": network_name(architecture.backbone),
        "initialisation": "ImageNet weights" if architecture.pretrained else "random weights",
        "optimizer": OPTIMIZERS.get(recipe.optimizer, recipe.optimizer),
        "epochs": formats.setting(recipe.epochs),
        "batch-size": formats.count(recipe.batch_size),
        "weight-decay": formats.setting(recipe.weight_decay),
        "label-smoothing": formats.setting(recipe.label_smoothing),
        "learning-rate": _by_stage(recipe, lambda stage: formats.setting(stage.learning_rate)),
        "image-size": _by_stage(
            recipe, lambda s: f"{f'sizes growing from {s.first_size} to ' if s.first_size else ''}{s.image_size} px"
        ),
        "schedule": _by_stage(recipe, lambda stage: stage.schedule),
        "mixup": _by_stage(recipe, lambda stage: formats.setting(stage.mixup)),
        "augmentation": _by_stage(recipe, lambda stage: describe_augmentation(stage.augmentation.at(stored))),
        "views": VIEWS[recipe.test_views],
    }


def _by_stage(recipe: Recipe, words: Callable[[Stage], str]) -> str:
    texts = [words(stage) for stage in recipe.stages]
    return texts[0] if len(set(texts)) == 1 else ", then ".join(texts)


def describe_augmentation(augmentation: Augmentation) -> str:
    """The transforms that are switched on, with their parameters.

    >>> describe_augmentation(Augmentation(flip=True, crop=4))
    'horizontal flip in every other epoch and crop after 4 px padding'
    """
    used = [TRANSFORMS[name].format(formats.setting(value)) for name, value in _used(augmentation).items()]
    return formats.listing(used) or "none"


def _used(augmentation: Augmentation) -> dict[str, float]:
    return {name: value for name, value in asdict(augmentation).items() if value}


def _where_used(trained: Trained) -> dict[str, str]:
    """What only some recipes have, such as frozen layer groups, or images that start smaller than they end."""
    architecture, recipe = trained.architecture, trained.recipe
    first = min(stage.first_size for stage in recipe.stages)
    settings = {
        "frozen-groups": max(stage.frozen_groups for stage in recipe.stages),
        "dropout": architecture.dropout,
        "warmup": max(stage.warmup for stage in recipe.stages),
        "layer-decay": recipe.layer_decay,
        "averaging": recipe.averaging,
        "stem-epochs": max(stage.stem_epochs for stage in recipe.stages),
        "auxiliary-weight": recipe.auxiliary_weight if architecture.auxiliary else 0,
    }
    words = {"frozen-filters": "depthwise"} if any(stage.frozen_depthwise for stage in recipe.stages) else {}
    words |= {"first-size": f"{first} px"} if first else {}
    return words | {name: formats.setting(value) for name, value in settings.items() if value}


@table
def experiments(results: Results) -> Table | None:
    """Every planned experiment that trains a network, with its control and its budget."""
    view, rows = results.view, []
    for each in view.experiments.values():
        if each.trained is None:
            continue
        seconds = [float(run.durations["total"]) for run in view.runs_of(each.key)]
        failed = any(name.startswith(f"{each.key}/") for name in view.failed)
        time = formats.duration(float(np.mean(seconds)))[2] if seconds else "failed" if failed else "pending"
        control = f"{view.title(each.control)}: {each.differs}" if each.control else formats.MISSING
        size = max(stage.image_size for stage in each.trained.recipe.stages)
        rows.append((str(each.level), each.title, control, str(each.trained.recipe.epochs), str(size), time))
    controlled = sum(1 for key in view.own if control_of(view, key, results.ensemble))
    caption = join(
        f"{controlled} of {len(view.own)} experiments have a control, from which they differ in a named respect.",
        f"Shown are the {len(rows)} that train a network; the others vote, convert or measure.",
        "Epochs and image size (px, largest stage) as planned; time is the mean total per run on this device.",
    )
    head = ("Level", "Experiment", "Control: what differs", "Epochs", "Size, px", "Time")
    return Table("experiments", caption, head, tuple(rows), "lllrrr", leading=2)


@table
def recipes(results: Results) -> Table | None:
    """How every planned network is trained, in full."""
    rows, names = [], ("schedule", "weight-decay", "label-smoothing", "batch-size")
    stored = results.view.plan.dataset.image_size
    for each in results.view.experiments.values():
        if each.trained is None:
            continue
        trained = _found(results, each) or each.trained
        words, warmup = describe_recipe(trained, stored), _where_used(trained).get("warmup")
        rate = words["learning-rate"] + (f" ({warmup})" if warmup else "")
        shown = dict.fromkeys(_transforms(stage.augmentation.at(stored)) for stage in trained.recipe.stages)
        settings = (words[name] for name in names)
        varied = "; ".join(filter(None, (", then ".join(shown), also(trained))))
        rows.append((each.title, words["optimizer"], rate, *settings, varied))
    caption = join(
        "How each network is trained, stage by stage where stages differ.",
        "Rate: the peak, and the fraction of steps that lead up to it; decay and smoothing: of weights and labels; "
        "batch: images; crops and cutout in px, rotation in degrees; views: of an image at test, whose logits are "
        "averaged: mirrored, and of six shifted by a pixel, too; fixed views: those that a teacher answered for.",
        _of_searches(results),
    )
    head = ("Experiment", "Optimizer", "Rate", "Schedule", "Decay", "Smoothing", "Batch", "Augmentation; more")
    return Table("recipes", caption, head, tuple(rows), "llllrrrl") if rows else None


def also(trained: Trained) -> str:
    """What only some recipes have, for a table's cell; empty for a recipe without.

    >>> from study.experiment import Architecture
    >>> also(Trained(Architecture("resnet18", dropout=0.3), Recipe((Stage(1, 0.1, 32, mixup=0.2),), 8, test_views=2)))
    'MixUp 0.2, dropout 0.3, 2 views'
    """
    recipe, used = trained.recipe, _where_used(trained)
    mixed = _by_stage(recipe, lambda stage: f"MixUp {stage.mixup:g}" if stage.mixup else "no MixUp")
    told = [mixed] if any(stage.mixup for stage in recipe.stages) else []
    told += [words.format(used[name]) for name, words in ALSO.items() if name in used]
    told += [f"{recipe.fixed_views} fixed views"] * bool(recipe.fixed_views)
    told += [f"{recipe.test_views} views"] * (recipe.test_views > 1)
    return ", ".join(told)


def _found(results: Results, experiment: Experiment) -> Trained | None:
    """What the first seed of a search settled on; None for what is no search, or has not run."""
    if not isinstance(experiment, Search) or not results.view.runs_of(experiment.key):
        return None
    best, _ = best_recipe(experiment, results.view.trials(experiment.key))
    values = {name: float(f"{value:.2g}") for name, value in best["params"].items()}  # as the text has them
    return Trained(experiment.trained.architecture, with_values(experiment.base.recipe, values))


def _of_searches(results: Results) -> str:
    """Which recipe is shown of a search, as a sentence; empty where nothing is searched."""
    searches = results.view.planned(Search)
    if not searches:
        return ""
    if not results.view.of_kind(Search):
        return "Of a search the recipe is shown that it starts from."
    seeds = max(len(results.view.runs_of(search.key)) for search in searches)
    return f"Of a search the recipe is shown that it found{' with the first seed' if seeds > 1 else ''}."


def _transforms(augmentation: Augmentation) -> str:
    """The transforms that are switched on, each with its parameter."""
    used = (name if value is True else f"{name} {value:g}" for name, value in sorted(_used(augmentation).items()))
    return ", ".join(used) or formats.MISSING
