from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from study.data.datasets import Dataset
from study.experiment import Architecture, Augmentation, Distillation, Recipe, Stage
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
    answers = o.model(fit_input(mixed, 32, o.model)).argmax(1)
    expected = share * (answers == labels).sum() + (1 - share) * (answers == labels[partner]).sum()
    _, hits = o.loss(eight(digits), replace(STAGE, mixup=0.5), Streams.of(0, 0))
    assert 0 < share < 1 and hits == pytest.approx(float(expected), abs=1e-4)


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
