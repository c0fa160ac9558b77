"""What a batch's loss is: augmentation, mixup, label smoothing, auxiliary task and soft labels in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from study.data.augmentation import augment, mix, rotate_quarters
from study.experiment import ROTATED_FRACTION, Augmentation, Distillation, Recipe, Stage
from study.machine import Machine
from study.models.classifier import Classifier, fit_input
from study.streams import numpy_generator, torch_generator


@dataclass(frozen=True)
class SoftLabels:
    """A teacher's ``probabilities`` (K, N, C) for K views of each training image, and how students learn from them."""

    probabilities: Tensor
    how: Distillation

    def of(self, view: int, chosen: Tensor) -> Tensor:
        """Log-probabilities (B, C) for one view of the chosen images."""
        return self.probabilities[view, chosen].clamp(min=torch.finfo(torch.float32).tiny).log()


@dataclass(frozen=True)
class Batch:
    """uint8 images (N, 3, H, W), labels (N,), which are mirrored now (N,), and the teacher's logits (N, C) if any.

    Images that are ``augmented`` already are taken as they are.
    """

    images: Tensor
    labels: Tensor
    mirrored: Tensor
    teacher: Tensor | None = None
    augmented: bool = False


@dataclass(frozen=True)
class Streams:
    """The random streams of one epoch."""

    augmentation: torch.Generator
    rotation: torch.Generator
    mixup: np.random.Generator

    @classmethod
    def of(cls, seed: int, epoch: int) -> Streams:
        """Streams of an epoch (from 0) of the run with this seed."""
        return cls(
            torch_generator(seed, "augmentation", epoch),
            torch_generator(seed, "rotation", epoch),
            numpy_generator(seed, "mixup", epoch),
        )


@dataclass
class Objective:
    """Loss of one batch under a recipe. ``network`` computes the model's logits."""

    model: Classifier
    network: Callable[[Tensor], Tensor]
    recipe: Recipe
    machine: Machine
    how: Distillation | None = None

    def loss(self, batch: Batch, stage: Stage, streams: Streams) -> tuple[Tensor, Tensor]:
        """Loss and number of correct answers for a batch; of a mixed image, each label counts with its share.

        So does mixup's own accuracy in training, Zhang et al. 2018, https://arxiv.org/abs/1710.09412.
        """
        how = Augmentation() if batch.augmented else stage.augmentation
        x = augment(batch.images, how, batch.mirrored, streams.augmentation)
        targets = functional.one_hot(batch.labels, self.model.classifier.out_features).float()
        if stage.mixup:
            x, targets = mix(x, targets, stage.mixup, streams.mixup)
        inputs = fit_input(x, stage.image_size, self.model)
        with self.machine.autocast(self.recipe.precision):
            logits, extra = self._forward(inputs, batch.labels, streams)
            loss = self._blend(logits.float(), targets, batch.teacher) + self.recipe.auxiliary_weight * extra
        return loss, targets.gather(1, logits.detach().argmax(1, keepdim=True)).sum()

    def cached_loss(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The same for pooled features (N, D) of a frozen backbone."""
        logits = self.model.classify(features)
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.recipe.label_smoothing)
        return loss, (logits.detach().argmax(1) == labels).sum()

    def _forward(self, inputs: Tensor, labels: Tensor, streams: Streams) -> tuple[Tensor, Tensor | float]:
        """Logits of the inputs, and the auxiliary task's loss (0 without one)."""
        task = self.model.architecture.auxiliary
        if task == "superclass":
            features = self.model.features(inputs)
            auxiliary = self.model.auxiliary_logits(features)
            coarse = torch.tensor(self.model.architecture.coarse, device=labels.device)
            return self.model.head(features), functional.cross_entropy(auxiliary.float(), coarse[labels])
        if task == "rotation":
            turned, turns = rotate_quarters(inputs[: max(1, round(len(inputs) * ROTATED_FRACTION))], streams.rotation)
            features = self.model.features(torch.cat([inputs, turned]))
            auxiliary = self.model.auxiliary_logits(features[len(inputs) :])
            return self.model.head(features[: len(inputs)]), functional.cross_entropy(auxiliary.float(), turns)
        return self.network(inputs), 0.0

    def _blend(self, logits: Tensor, targets: Tensor, teacher: Tensor | None) -> Tensor:
        own = functional.cross_entropy(logits, targets, label_smoothing=self.recipe.label_smoothing)
        if teacher is None or self.how is None:
            return own
        soft = distillation_loss(logits, teacher, self.how.temperature)
        return self.how.weight * soft + (1 - self.how.weight) * own


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)), mean over the batch; logits (N, C), up to a constant each.

    Hinton et al. 2015, https://arxiv.org/abs/1503.02531; T² keeps the gradient's size independent of T.
    """
    wanted = functional.log_softmax(teacher / temperature, dim=1)
    given = functional.log_softmax(student / temperature, dim=1)
    return functional.kl_div(given, wanted, reduction="batchmean", log_target=True) * temperature**2
