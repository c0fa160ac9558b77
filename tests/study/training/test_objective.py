from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from study.data.augmentation import rotate_quarters
from study.data.datasets import Dataset
from study.experiment import ROTATED_FRACTION, Architecture, Augmentation, Auxiliary, Distillation, Recipe, Stage
from study.machine import Machine
from study.models.classifier import build, fit_input, prepare
from study.training.objective import Batch, Objective, SoftLabels, Streams, distillation_loss

STAGE = Stage(1, 1e-3, 32)


def eight(digits: Dataset, teacher: torch.Tensor | None = None, augmented: bool = False) -> Batch:
    return Batch(digits.images[:8], digits.labels[:8], torch.zeros(8, dtype=torch.bool), teacher, augmented)


def objective(cpu: Machine, how: Distillation | None = None, smoothing: float = 0.0) -> Objective:
    model = build(Architecture("compact_cnn_small"), 10, seed=0).eval()
    recipe = Recipe((STAGE,), 8, label_smoothing=smoothing)
    return Objective(model, model, recipe, cpu, how)


def test_plain_loss_is_torchs_cross_entropy(digits: Dataset, cpu: Machine) -> None:
    images, labels = digits.images[:8], digits.labels[:8]
    o = objective(cpu, smoothing=0.1)
    loss, hits = o.loss(eight(digits), STAGE, Streams.of(0, 0))
    logits = o.model(prepare(images, 32, o.model))
    assert torch.allclose(loss, nn.CrossEntropyLoss(label_smoothing=0.1)(logits, labels), atol=1e-6)
    assert hits == (logits.argmax(1) == labels).sum()


def test_teacher_and_labels_are_weighed(digits: Dataset, cpu: Machine) -> None:
    images, labels, teacher = digits.images[:8], digits.labels[:8], torch.randn(8, 10)
    o = objective(cpu, Distillation((), temperature=4.0, weight=0.7))
    loss, _ = o.loss(eight(digits, teacher), STAGE, Streams.of(0, 0))
    logits = o.model(prepare(images, 32, o.model))
    expected = 0.7 * distillation_loss(logits, teacher, 4.0) + 0.3 * functional.cross_entropy(logits, labels)
    assert torch.allclose(loss, expected, atol=1e-5)


def test_of_a_mixed_image_each_label_counts_with_its_share(digits: Dataset, cpu: Machine) -> None:
    o, rng = objective(cpu), Streams.of(0, 0).mixup
    share, partner = rng.beta(0.5, 0.5), torch.from_numpy(rng.permutation(8))
    images, labels = digits.images[:8].float() / 255, digits.labels[:8]
    mixed = share * images + (1 - share) * images[partner]
    logits = o.model(fit_input(mixed, 32, o.model))
    answers = logits.argmax(1)
    expected = share * (answers == labels).sum() + (1 - share) * (answers == labels[partner]).sum()
    loss, hits = o.loss(eight(digits), replace(STAGE, mixup=0.5), Streams.of(0, 0))
    assert 0 < share < 1 and hits == pytest.approx(float(expected), abs=1e-4)
    own, others = (functional.cross_entropy(logits, of) for of in (labels, labels[partner]))
    assert torch.allclose(loss, share * own + (1 - share) * others, atol=1e-5)


def two_tasks(auxiliary: Auxiliary) -> Objective:
    architecture = Architecture("compact_cnn_small", auxiliary=auxiliary, coarse=(0, 1, 2) * 3 + (0,))
    model = build(architecture, 10, seed=0).eval()
    recipe = Recipe((STAGE,), 8, auxiliary_weight=0.3)
    return Objective(model, model, recipe, Machine(torch.device("cpu")))


def test_second_task_of_coarse_classes_adds_its_weighed_loss(digits: Dataset) -> None:
    o, images, labels = two_tasks("superclass"), digits.images[:8], digits.labels[:8]
    loss, _ = o.loss(eight(digits), STAGE, Streams.of(0, 0))
    inputs = prepare(images, 32, o.model)
    coarse = torch.tensor(o.model.architecture.coarse)[labels]
    second = functional.cross_entropy(o.model.auxiliary_logits(o.model.features(inputs)), coarse)
    assert torch.allclose(loss, functional.cross_entropy(o.model(inputs), labels) + 0.3 * second, atol=1e-5)


def test_second_task_of_rotations_adds_its_weighed_loss(digits: Dataset) -> None:
    o, images, labels = two_tasks("rotation"), digits.images[:8], digits.labels[:8]
    loss, _ = o.loss(eight(digits), STAGE, Streams.of(0, 0))
    inputs = prepare(images, 32, o.model)
    turned, turns = rotate_quarters(inputs[: round(8 * ROTATED_FRACTION)], Streams.of(0, 0).rotation)
    upright = [torch.rot90(image, -int(turn), (1, 2)) for image, turn in zip(turned, turns, strict=True)]
    assert torch.equal(torch.stack(upright), inputs[: len(turned)]) and len(turned) > 1
    second = functional.cross_entropy(o.model.auxiliary_logits(o.model.features(turned)), turns)
    assert torch.allclose(loss, functional.cross_entropy(o.model(inputs), labels) + 0.3 * second, atol=1e-5)


def test_views_that_are_augmented_already_are_taken_as_they_are(digits: Dataset, cpu: Machine) -> None:
    varied = Stage(1, 1e-3, 32, Augmentation(jitter=0.5, cutout=16))
    o = objective(cpu)
    plain, shown, afresh = (
        o.loss(eight(digits, augmented=augmented), stage, Streams.of(0, 0))[0].item()
        for stage, augmented in ((STAGE, False), (varied, True), (varied, False))
    )
    assert plain == shown != afresh


def test_distillation_loss_is_the_scaled_divergence() -> None:
    student, teacher, temperature = torch.randn(5, 10), torch.randn(5, 10), 3.0
    p, q = (teacher / temperature).softmax(1), (student / temperature).softmax(1)
    by_hand = (p * (p / q).log()).sum(1).mean() * temperature**2
    assert torch.allclose(distillation_loss(student, teacher, temperature), by_hand, atol=1e-5)
    assert distillation_loss(teacher, teacher, temperature) == pytest.approx(0.0, abs=1e-6)


def test_log_probabilities_teach_like_logits() -> None:
    student, teacher = torch.randn(5, 10), torch.randn(5, 10)
    by_logits = distillation_loss(student, teacher, 2.0)
    assert torch.allclose(distillation_loss(student, teacher.log_softmax(1), 2.0), by_logits, atol=1e-5)


def test_soft_labels_are_those_of_the_view_and_images_asked_for_and_finite() -> None:
    probabilities = torch.from_numpy(np.random.default_rng(0).dirichlet(np.ones(4), size=(3, 6))).float()
    probabilities[2, 5] = torch.tensor([1.0, 0.0, 0.0, 0.0])
    soft = SoftLabels(probabilities, Distillation(()))
    chosen = torch.tensor([5, 0, 3])
    for view in range(3):
        assert torch.allclose(soft.of(view, chosen).exp(), probabilities[view, chosen], atol=1e-6)
    assert soft.of(2, chosen).isfinite().all()
