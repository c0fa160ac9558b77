"""CompactCNN by level 3's recipe against airbench94 by its own: validation accuracy and seconds of training.

Both train on the same images one after the other on one machine, in the precision of level 3's recipe, and are judged
with their own test views on the same validation images; test images are not looked at. Each keeps its own schedule.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev

from rich.console import Console
from rich.table import Table

from study import machine
from study.data import datasets
from study.data.datasets import Dataset
from study.design.levels import level3_architecture
from study.design.presets import CPU
from study.errors import StudyError
from study.experiment import Recipe, Subset
from study.inference import evaluation
from study.inference.evaluation import Setting
from study.machine import Machine
from study.models.blocks import macs
from study.models.classifier import build
from study.running import airbench
from study.training.trainer import Trainer


@dataclass(frozen=True)
class Lap:
    """What one side did: epochs, seconds of training alone, its forward passes' multiply-accumulates, and accuracy.

    The accuracy is of validation images in the side's own test views.
    """

    name: str
    seed: int
    epochs: int
    seconds: float
    macs: float
    validation_accuracy: float


def ours(recipe: Recipe, dataset: Dataset, where: Machine, seed: int) -> Lap:
    """Level 3's CompactCNN, trained by the trainer."""
    architecture = level3_architecture.scratch(CPU).architecture
    model, (stage,) = build(architecture, len(dataset.classes), seed, dataset.statistics), recipe.stages
    seen = len(dataset.train) // recipe.batch_size * recipe.batch_size
    work = seen * sum(macs(model, stage.at(epoch).image_size) for epoch in range(recipe.epochs))
    trainer = Trainer(model, recipe, dataset, where, seed)
    rows = trainer.fit()
    scores = evaluation.logits(trainer.result, dataset.images[dataset.validation], Setting.of(recipe), where)
    accuracy = evaluation.loss_and_accuracy(scores, dataset.labels[dataset.validation])[1]
    return Lap("CompactCNN", seed, recipe.epochs, sum(row["seconds"] for row in rows), work, accuracy)


def theirs(recipe: Recipe, dataset: Dataset, where: Machine, seed: int) -> Lap:
    """airbench94, trained as published in the precision of our recipe."""
    model = airbench.network(dataset, seed)
    each = macs(model, airbench.SIZE)
    seen, seconds = airbench.train(model, dataset, where, recipe.precision, seed)
    accuracy = airbench.validation_accuracy(model, dataset, where, recipe.precision)
    return Lap("airbench94", seed, airbench.EPOCHS, seconds, seen * each, accuracy)


def race(epochs: int, dataset: Dataset, where: Machine, seeds: Sequence[int] = (0,)) -> Iterator[Lap]:
    """Laps as they are finished, each seed's: ours for so many epochs, then the baseline's."""
    recipe = level3_architecture.scratch_recipe(CPU, epochs)
    return (side(recipe, dataset, where, seed) for seed in seeds for side in (ours, theirs))


def standing(laps: Sequence[Lap]) -> Table:
    """Both sides, mean ± sd over their seeds, and our seconds as a share of the baseline's."""
    table = Table("network", "seeds", "epochs", "training, s", "10¹² MACs", "validation, %")
    sides = {name: [lap for lap in laps if lap.name == name] for name in dict.fromkeys(lap.name for lap in laps)}
    for name, of in sides.items():
        table.add_row(
            name,
            str(len(of)),
            f"{of[0].epochs}",
            _spread([lap.seconds for lap in of], 1),
            f"{of[0].macs / 1e12:.3g}",
            _spread([100 * lap.validation_accuracy for lap in of], 2),
        )
    ours, theirs = (fmean(lap.seconds for lap in of) for of in sides.values())
    table.caption = f"training seconds, ours / airbench94: {ours / theirs:.2f}"
    return table


def _spread(values: Sequence[float], digits: int) -> str:
    spread = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{digits}f}{spread}"


def main(epochs: int = CPU.scratch.epochs, images: int | None = None, seeds: Sequence[int] = (0,)) -> None:
    """Print a JSON object a line as soon as a lap is finished, then the table for people.

    CompactCNN has so many ``epochs``, and both so many training ``images``, all if None. StudyError for less than one
    epoch, or images that are too few.
    """
    laps = []
    if epochs < 1:
        raise StudyError(f"a race takes at least one epoch, not {epochs}")
    dataset = datasets.load(subset=Subset(images, images))
    if images and len(dataset.train) != images:
        raise StudyError(f"a race of this dataset cannot be on {images} training images, but on {len(dataset.train)}")
    running = race(epochs, dataset, machine.resolve(), seeds)
    if dataset.notice:
        print(dataset.notice, file=sys.stderr)
    for lap in running:
        print(json.dumps(asdict(lap)), flush=True)
        laps.append(lap)
    Console().print(standing(laps))
