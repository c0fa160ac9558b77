"""What a batch's loss is: augmentation, mixup, label smoothing, auxiliary task and teacher in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from study.data.augmentation import augment, mix, rotate_quarters
from study.experiment import ROTATED_FRACTION, Recipe, Stage
from study.machine import Machine
from study.models.classifier import Classifier, fit_input
from study.training.distillation import Teaching, distillation_loss
from study.training.streams import numpy_generator, torch_generator


@dataclass(frozen=True)
class Batch:
    """uint8 images (N, 3, H, W), labels (N,) and which images it is the turn of to be mirrored (N,)."""

    images: Tensor
    labels: Tensor
    mirrored: Tensor


@dataclass(frozen=True)
class Draws:
    """The random streams of one epoch."""

    augmentation: torch.Generator
    rotation: torch.Generator
    mixup: np.random.Generator

    @classmethod
    def of(cls, seed: int, epoch: int) -> Draws:
        """Streams of an epoch (from 0) of the run with this seed."""
        return cls(
            torch_generator(seed, "augmentation", epoch),
            torch_generator(seed, "rotation", epoch),
            numpy_generator(seed, "mixup", epoch),
        )


@dataclass
class Objective:
    """Loss of one batch under a recipe. ``network`` computes the model's logits, ``superclass`` is (C,)."""

    model: Classifier
    network: Callable[[Tensor], Tensor]
    recipe: Recipe
    machine: Machine
    superclass: Tensor
    teaching: Teaching | None = None

    def loss(self, batch: Batch, stage: Stage, draws: Draws) -> tuple[Tensor, Tensor]:
        """Loss and number of correct answers for a batch."""
        x = augment(batch.images, stage.augmentation, batch.mirrored, draws.augmentation)
        targets = functional.one_hot(batch.labels, len(self.superclass)).float()
        if stage.mixup:
            x, targets = mix(x, targets, stage.mixup, draws.mixup)
        taught = self.teaching.logits(x) if self.teaching else None
        inputs = fit_input(x, stage.image_size, self.model)
        with self.machine.autocast(self.recipe.precision):
            logits, extra = self._forward(inputs, batch.labels, draws)
            loss = self._blend(logits.float(), targets, taught) + self.recipe.auxiliary_weight * extra
        return loss, (logits.detach().argmax(1) == batch.labels).sum()

    def cached_loss(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The same for pooled features (N, D) of a frozen backbone."""
        logits = self.model.classify(features)
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        return loss, (logits.detach().argmax(1) == labels).sum()

    def _forward(self, inputs: Tensor, labels: Tensor, draws: Draws) -> tuple[Tensor, Tensor | float]:
        """Logits of the inputs, and the auxiliary task's loss (0 without one)."""
        task = self.model.auxiliary_task
        if task == "superclass":
            features = self.model.features(inputs)
            auxiliary = self.model.auxiliary_logits(features)
            return self.model.head(features), functional.cross_entropy(auxiliary.float(), self.superclass[labels])
        if task == "rotation":
            turned, turns = rotate_quarters(inputs[: max(1, round(len(inputs) * ROTATED_FRACTION))], draws.rotation)
            features = self.model.features(torch.cat([inputs, turned]))
            auxiliary = self.model.auxiliary_logits(features[len(inputs) :])
            return self.model.head(features[: len(inputs)]), functional.cross_entropy(auxiliary.float(), turns)
        return self.network(inputs), 0.0

    def _blend(self, logits: Tensor, targets: Tensor, taught: Tensor | None) -> Tensor:
        own = functional.cross_entropy(logits, targets, label_smoothing=self.recipe.label_smoothing)
        if taught is None or self.teaching is None:
            return own
        plan = self.teaching.plan
        return plan.weight * distillation_loss(logits, taught, plan.temperature) + (1 - plan.weight) * own
