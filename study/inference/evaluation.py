"""Logits of a trained network on given images, and the numbers read off them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from study.data.datasets import Dataset
from study.experiment import Precision, Recipe
from study.inference.frozen import Frozen, in_runtime
from study.machine import Machine
from study.models.classifier import prepare, views

BATCH = 250


@dataclass(frozen=True)
class Setting:
    """How a network is evaluated: input side in px, precision, and the views whose logits are averaged."""

    size: int
    precision: Precision = "float32"
    flip: bool = False

    @classmethod
    def of(cls, recipe: Recipe) -> Setting:
        """How networks trained by the recipe are evaluated."""
        return cls(recipe.stages[-1].image_size, recipe.precision, recipe.flip_at_test)

    @property
    def views(self) -> int:
        """How many views of an image are averaged."""
        return 2 if self.flip else 1


@torch.inference_mode()
def logits(
    model: nn.Module,
    images: Tensor,
    setting: Setting,
    machine: Machine,
) -> Tensor:
    """Logits (N, C) float32 on the CPU for uint8 images (N, 3, H, W); the model is put into eval mode."""
    model.eval()
    in_bulk = in_runtime(machine, setting.precision, len(images) * setting.views)
    network = Frozen(model) if in_bulk else model
    parts = []
    for batch in images.split(BATCH):
        x = prepare(batch, setting.size, model)
        with machine.autocast(setting.precision):
            shown = [network(view).float() for view in views(x, setting.flip)]
        parts.append(torch.stack(shown).mean(0).cpu())
    return torch.cat(parts)


def loss_and_accuracy(scores: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross-entropy (nats) and the fraction correct of logits (N, C)."""
    return float(functional.cross_entropy(scores, labels)), float((scores.argmax(1) == labels).float().mean())


def split_logits(model: nn.Module, dataset: Dataset, split: str, setting: Setting, machine: Machine) -> Tensor:
    """Logits of one split, in the split's order."""
    return logits(model, dataset.images[getattr(dataset, split)], setting, machine)
