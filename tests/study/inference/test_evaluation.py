from __future__ import annotations

import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss

from study.data.datasets import Dataset
from study.experiment import Architecture, Recipe, Stage
from study.inference import evaluation
from study.inference.evaluation import Setting
from study.machine import Machine
from study.models.classifier import build, prepare


def test_loss_and_accuracy_agree_with_sklearn() -> None:
    scores, labels = torch.randn(50, 4), torch.randint(0, 4, (50,))
    loss, accuracy = evaluation.loss_and_accuracy(scores, labels)
    assert loss == pytest.approx(log_loss(labels, scores.double().softmax(1), labels=range(4)), rel=1e-5)
    assert accuracy == pytest.approx(accuracy_score(labels, scores.argmax(1)))


def test_flip_averages_the_mirrored_logits(digits: Dataset, cpu: Machine) -> None:
    model, images = build(Architecture("compact_cnn_small"), 10, seed=0).eval(), digits.images[:6]
    with torch.no_grad():
        x = prepare(images, 32, model)
        expected = (model(x) + model(x.flip(-1))) / 2
    assert torch.allclose(evaluation.logits(model, images, Setting(32, views=2), cpu), expected, atol=1e-5)


def test_logits_follow_the_order_of_the_images(digits: Dataset, cpu: Machine) -> None:
    model = build(Architecture("compact_cnn_small"), 10, seed=0)
    scores = evaluation.logits(model, digits.images[digits.test], Setting(32), cpu)
    one = evaluation.logits(model, digits.images[digits.test[3:4]], Setting(32), cpu)
    assert torch.allclose(scores[3:4], one, atol=1e-5)


def test_networks_are_evaluated_in_float32_at_the_size_and_in_the_views_of_their_recipe() -> None:
    recipe = Recipe((Stage(1, 1e-3, 40), Stage(1, 1e-3, 48)), 20, precision="bfloat16", test_views=6)
    assert Setting.of(recipe) == Setting(48, "float32", views=6)
