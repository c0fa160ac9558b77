"""CompactCNN by level 3's recipe against a bare loop of a public baseline, for as many multiply-accumulates.

The baseline is ResNet-9 as Page described it (2018, https://myrtle.ai/learn/how-to-train-your-resnet/), trained by SGD
with one cycle of its rate on images that are flipped, shifted and cut out. Both train on the same images one after the
other on one machine and are judged on the same validation images; test images are not looked at.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from study import machine
from study.data import datasets
from study.data.augmentation import augment
from study.data.datasets import Dataset
from study.design.levels import level3_architecture
from study.design.presets import CPU
from study.errors import StudyError
from study.experiment import Augmentation, Recipe, Subset
from study.inference import evaluation
from study.inference.evaluation import Setting
from study.machine import Machine
from study.models.classifier import Statistics, build, fit_input
from study.streams import torch_generator
from study.training.trainer import Trainer

BATCH, PEAK_RATE, MOMENTUM, DECAY, RISE = 512, 0.4, 0.9, 5e-4, 0.2
AUGMENTATION = Augmentation(flip=True, crop=4, cutout=8)
LOGIT_SCALE = 1 / 8


@dataclass(frozen=True)
class Lap:
    """What one side did: epochs, seconds of training alone, work in multiply-accumulates and validation accuracy."""

    name: str
    epochs: float
    seconds: float
    macs: float
    validation_accuracy: float


class ResNet9(nn.Module):
    """Normalised images (N, 3, 32, 32) -> logits (N, C)."""

    def __init__(self, classes: int, statistics: Statistics) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _unit(3, 64), _pooled(64, 128), _Shortcut(128), _pooled(128, 256), _pooled(256, 512), _Shortcut(512)
        )
        self.classifier = nn.Linear(512, classes, bias=False)
        for name, values in zip(("mean", "std"), statistics, strict=True):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return LOGIT_SCALE * self.classifier(self.features(x).amax(dim=(2, 3)))


def _unit(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())


def _pooled(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(_unit(inputs, width), nn.MaxPool2d(2))


class _Shortcut(nn.Module):
    """x + f(x), f being two units."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.units = nn.Sequential(_unit(width, width), _unit(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.units(x)


@torch.no_grad()
def macs(network: nn.Module, size: int) -> float:
    """Multiply-accumulates of a forward pass of one image of ``size`` px."""
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() / 2


def ours(recipe: Recipe, dataset: Dataset, where: Machine, seed: int) -> Lap:
    """Level 3's CompactCNN, trained by the trainer."""
    architecture = level3_architecture.scratch(CPU).architecture
    model, (stage,) = build(architecture, len(dataset.classes), seed, dataset.statistics), recipe.stages
    seen = len(dataset.train) // recipe.batch_size * recipe.batch_size
    work = seen * sum(macs(model, stage.at(epoch).image_size) for epoch in range(recipe.epochs))
    trainer = Trainer(model, recipe, dataset, where, seed)
    rows = trainer.fit()
    accuracy = _judged(trainer.result, Setting.of(recipe), dataset, where)
    return Lap("CompactCNN", recipe.epochs, sum(row["seconds"] for row in rows), work, accuracy)


def steps_for(work: float, each: float) -> int:
    """How many steps of so much work come nearest to it; a cycle of the rate has two at least."""
    return max(2, round(work / each))


def baseline(work: float, recipe: Recipe, dataset: Dataset, where: Machine, seed: int) -> Lap:
    """ResNet-9 by a bare loop, for so many multiply-accumulates in the recipe's precision and test views."""
    torch.manual_seed(seed)
    model = ResNet9(len(dataset.classes), dataset.statistics)
    each = macs(model, 32)
    batch = min(BATCH, len(dataset.train))
    steps = steps_for(work, each * batch)
    model = model.to(where.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    started = time.perf_counter()
    _train(model, steps, batch, recipe, dataset, where, seed)
    where.wait()
    seconds = time.perf_counter() - started
    accuracy = _judged(model, Setting.of(recipe), dataset, where)
    return Lap("ResNet-9", steps * batch / len(dataset.train), seconds, steps * batch * each, accuracy)


def _train(model: ResNet9, steps: int, batch: int, recipe: Recipe, dataset: Dataset, where: Machine, seed: int) -> None:
    generator = torch_generator(seed, "race")
    images, labels = (each[dataset.train].to(where.device) for each in (dataset.images, dataset.labels))
    optimizer = torch.optim.SGD(model.parameters(), lr=PEAK_RATE, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, steps, pct_start=RISE, anneal_strategy="linear")
    passes = range(1 + steps * batch // len(labels))
    order = torch.cat([torch.randperm(len(labels), generator=generator) for _ in passes])
    model.train()
    for chosen in order[: steps * batch].to(where.device).split(batch):
        mirrored = (torch.rand(batch, generator=generator) < 0.5).to(where.device)
        x = fit_input(augment(images[chosen], AUGMENTATION, mirrored, generator), 32, model)
        with where.autocast(recipe.precision):
            loss = functional.cross_entropy(model(x).float(), labels[chosen], label_smoothing=recipe.label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        cycle.step()


def _judged(model: nn.Module, setting: Setting, dataset: Dataset, where: Machine) -> float:
    scores = evaluation.logits(model, dataset.images[dataset.validation], setting, where)
    return evaluation.loss_and_accuracy(scores, dataset.labels[dataset.validation])[1]


def race(epochs: int, dataset: Dataset, where: Machine, seed: int = 0) -> tuple[Lap, Lap]:
    """Ours for so many epochs, then the baseline for as much work. StudyError for less than one epoch."""
    if epochs < 1:
        raise StudyError(f"a race takes at least one epoch, not {epochs}")
    recipe = level3_architecture.scratch_recipe(CPU, epochs)
    first = ours(recipe, dataset, where, seed)
    return first, baseline(first.macs, recipe, dataset, where, seed)


def main() -> None:
    """Print the table for people, then one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=CPU.scratch.epochs)
    parser.add_argument("--images", type=int, default=None)
    told = parser.parse_args()
    laps = race(told.epochs, datasets.load(subset=Subset(told.images, told.images)), machine.resolve())
    table = Table("network", "epochs", "training, s", "10¹² MACs", "validation, %")
    for lap in laps:
        table.add_row(
            lap.name,
            f"{lap.epochs:.3g}",
            f"{lap.seconds:.3g}",
            f"{lap.macs / 1e12:.3g}",
            f"{100 * lap.validation_accuracy:.2f}",
        )
    Console().print(table)
    for lap in laps:
        print(json.dumps(asdict(lap)))


if __name__ == "__main__":
    main()
