from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from study.data.datasets import Dataset
from study.experiment import Architecture, Distillation, Recipe, Stage
from study.machine import Machine
from study.models.classifier import build, prepare
from study.training.distillation import Teaching, distillation_loss
from study.training.objective import Batch, Draws, Objective

STAGE = Stage(1, 1e-3, 32)


def eight(digits: Dataset) -> Batch:
    return Batch(digits.images[:8], digits.labels[:8], torch.zeros(8, dtype=torch.bool))


def objective(cpu: Machine, teaching: Teaching | None = None, smoothing: float = 0.0) -> Objective:
    model = build(Architecture("compact_cnn_small"), 10, seed=0).eval()
    recipe = Recipe((STAGE,), 8, label_smoothing=smoothing)
    return Objective(model, model, recipe, cpu, torch.arange(10) % 2, teaching)


def test_plain_loss_is_torchs_cross_entropy(digits: Dataset, cpu: Machine) -> None:
    images, labels = digits.images[:8], digits.labels[:8]
    o = objective(cpu, smoothing=0.1)
    loss, hits = o.loss(eight(digits), STAGE, Draws.of(0, 0))
    logits = o.model(prepare(images, 32, o.model))
    assert torch.allclose(loss, nn.CrossEntropyLoss(label_smoothing=0.1)(logits, labels), atol=1e-6)
    assert hits == (logits.argmax(1) == labels).sum()


def test_teacher_and_labels_are_weighed(digits: Dataset, cpu: Machine) -> None:
    images, labels, taught = digits.images[:8], digits.labels[:8], torch.randn(8, 10)
    o = objective(cpu, Teaching(lambda x: taught, Distillation((), temperature=4.0, weight=0.7)))
    loss, _ = o.loss(eight(digits), STAGE, Draws.of(0, 0))
    logits = o.model(prepare(images, 32, o.model))
    expected = 0.7 * distillation_loss(logits, taught, 4.0) + 0.3 * functional.cross_entropy(logits, labels)
    assert torch.allclose(loss, expected, atol=1e-5)


def test_teacher_sees_the_same_augmented_images_as_the_student(digits: Dataset, cpu: Machine) -> None:
    seen: list[torch.Tensor] = []

    def teacher(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return torch.zeros(len(x), 10)

    o = objective(cpu, Teaching(teacher, Distillation(())))
    o.loss(eight(digits), STAGE, Draws.of(0, 0))
    assert torch.equal(seen[0], digits.images[:8] / 255)
