"""Learning rates and image sizes over the steps and epochs of a stage."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from study.data.datasets import Dataset
from study.experiment import Architecture, Recipe, Stage
from study.machine import Machine
from study.models.classifier import build
from study.training.trainer import Trainer, scheduled_rate


def test_cosine_schedule_agrees_with_torch() -> None:
    stage, steps = Stage(1, 0.3, 32, schedule="cosine"), 10
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    reference = CosineAnnealingLR(optimizer, T_max=steps)
    for step in range(steps):
        assert math.isclose(scheduled_rate(stage, step, steps), optimizer.param_groups[0]["lr"], rel_tol=1e-9)
        optimizer.step()
        reference.step()


def test_linear_schedule_runs_down_to_one_step_above_zero() -> None:
    stage = Stage(1, 0.4, 32, schedule="linear", warmup=0.5)
    assert [scheduled_rate(stage, step, 8) for step in range(3, 8)] == pytest.approx([0.4, 0.4, 0.3, 0.2, 0.1])


def test_warm_up_is_linear_to_the_peak() -> None:
    stage = Stage(1, 0.4, 32, schedule="constant", warmup=0.5)
    assert [scheduled_rate(stage, step, 8) for step in range(8)] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4, 0.4]
    )


def test_images_grow_to_their_final_size() -> None:
    growing = Stage(5, 1e-3, 64, first_size=48)
    assert [growing.at(epoch).image_size for epoch in range(5)] == [48, 52, 56, 60, 64]
    assert growing.at(0) == replace(growing, image_size=48)
    assert Stage(1, 1e-3, 64, first_size=48).at(0).image_size == 64
    assert Stage(5, 1e-3, 64).at(0).image_size == 64


def test_rates_run_down_over_all_epochs_of_a_stage(digits: Dataset, cpu: Machine) -> None:
    recipe = Recipe((Stage(2, 0.1, 32, schedule="linear"),), 20, "sgd")
    model = build(Architecture("compact_cnn_small"), 10, seed=0)
    rows = Trainer(model, recipe, digits, cpu, seed=0).fit()
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.1 * 5 / 8, 0.1 * 1 / 8]), "of four steps each"
