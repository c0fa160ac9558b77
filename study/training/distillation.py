"""Distillation: who teaches, what the teacher says of a batch, and the loss by which a student listens."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from study.experiment import Distillation, Precision
from study.inference import evaluation
from study.inference.frozen import Frozen, in_runtime
from study.machine import Machine
from study.models.classifier import Classifier, fit_input, image_size, load_trained, training_spec
from study.records import Run


@dataclass(frozen=True)
class Teaching:
    """Distillation at work: ``logits`` maps float images (N, 3, H, W) in [0, 1] to the teacher's (N, C)."""

    logits: Callable[[Tensor], Tensor]
    plan: Distillation


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(softmax(teacher / T) ‖ softmax(student / T)), mean over the batch; logits (N, C).

    Hinton et al. 2015, https://arxiv.org/abs/1503.02531; T² keeps the gradient's size independent of T.
    """
    wanted = functional.log_softmax(teacher / temperature, dim=1)
    given = functional.log_softmax(student / temperature, dim=1)
    return functional.kl_div(given, wanted, reduction="batchmean", log_target=True) * temperature**2


def teachers(distillation: Distillation, candidates: list[Run]) -> list[Run]:
    """The candidates that teach, the best on validation first."""
    ranked = sorted(candidates, key=lambda run: run.metrics["validation_accuracy"], reverse=True)
    return ranked[: distillation.best]


def teaching(
    distillation: Distillation,
    chosen: list[Run],
    classes: int,
    images: int,
    machine: Machine,
    calibration: np.ndarray | None = None,
) -> Teaching:
    """The chosen runs' networks as one teacher of that many images: the log of their mean probability.

    With ``calibration``, uint8 training images (n, 3, H, W), the networks answer in int8.
    """
    answers = [_answers(run, classes, images, machine, calibration) for run in chosen]

    @torch.no_grad()
    def logits(x: Tensor) -> Tensor:
        return torch.logsumexp(torch.stack([answer(x) for answer in answers]), dim=0) - math.log(len(answers))

    return Teaching(logits, distillation)


def accuracy(teaching: Teaching, images: Tensor, labels: Tensor) -> float:
    """Fraction of uint8 images (N, 3, H, W) on which the teacher is right in the way it answers its student."""
    answers = torch.cat([teaching.logits(part.float().div(255)) for part in images.split(evaluation.BATCH)])
    return evaluation.loss_and_accuracy(answers, labels)[1]


class _Teacher(nn.Module):
    """Float images (N, 3, H, W) in [0, 1] -> log-probabilities (N, C)."""

    def __init__(self, model: Classifier, size: int, precision: Precision, machine: Machine) -> None:
        super().__init__()
        self.model, self.size, self.precision, self.machine = model, size, precision, machine

    def forward(self, x: Tensor) -> Tensor:
        inputs = fit_input(x, self.size, self.model)
        with self.machine.autocast(self.precision):
            return self.model(inputs).float().log_softmax(1)


def _answers(
    run: Run, classes: int, images: int, machine: Machine, calibration: np.ndarray | None
) -> Callable[[Tensor], Tensor]:
    model, precision = load_trained(run, classes), training_spec(run)["recipe"]["precision"]
    if calibration is not None:
        shown = torch.from_numpy(calibration).float().div(255)
        return Frozen(_Teacher(model, image_size(run), "float32", machine), calibration=shown)
    teacher = _Teacher(model.to(machine.device), image_size(run), precision, machine)
    return Frozen(teacher) if in_runtime(machine, precision, images) else teacher
