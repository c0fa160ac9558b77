from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from study.data.datasets import Dataset
from study.machine import Machine
from study.models.classifier import views
from study.running import airbench
from study.running.airbench import AirbenchNet, Training

STATISTICS = (0.5,) * 3, (0.5,) * 3
FEW = 12
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def network() -> AirbenchNet:
    torch.manual_seed(0)
    return AirbenchNet(10, STATISTICS)


@pytest.fixture
def training(digits: Dataset, cpu: Machine) -> Training:
    few = replace(digits, train=digits.train[:FEW])
    return Training(airbench.network(few, 0), few, cpu, "float32", 0)


def test_the_network_has_the_published_number_of_parameters(network: AirbenchNet) -> None:
    filters = 24 * 12 + 9 * (24 * 64 + 64 * 64 + 64 * 256 + 256 * 256 + 256 * 256 + 256 * 256)
    norms = 2 * (64 + 64 + 4 * 256)
    assert sum(each.numel() for each in network.parameters()) == filters + 24 + norms + 256 * 10
    assert round((filters + 24 + norms + 256 * 10) / 1e6, 2) == 1.97
    frozen = {name for name, each in network.named_parameters() if not each.requires_grad}
    assert len(frozen) == 7 and "whiten.weight" in frozen, "the whitening filters and six norms' scales"


def test_filters_begin_by_passing_channels_on(network: AirbenchNet) -> None:
    x = torch.rand(2, 24, 7, 7)
    torch.testing.assert_close(network.layers[1][0](x)[:, :24], x)


def test_whitened_patches_are_uncorrelated_and_have_variance_one(network: AirbenchNet) -> None:
    noise = torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    images = functional.avg_pool2d(noise, 2, stride=1) + 0.5 * noise[:, :1, 1:, 1:]  # neighbours and colours correlate
    network.fit_whitening(images)
    out = (network.whiten(images) - network.whiten.bias[:, None, None]).permute(0, 2, 3, 1).reshape(-1, 24)
    torch.testing.assert_close(out[:, :12].T @ out[:, :12] / len(out), torch.eye(12), atol=0.02, rtol=0)
    torch.testing.assert_close(out[:, 12:], -out[:, :12])


def test_a_step_lowers_the_loss_and_moves_only_what_is_trained(training: Training) -> None:
    before = {name: each.clone() for name, each in training.model.named_parameters()}
    chosen, mirrored = torch.arange(FEW), torch.zeros(FEW, dtype=torch.bool)
    training.model.train()
    losses = [float(training.step(chosen, mirrored)) for _ in range(3)]
    assert losses[0] > losses[1] > losses[2]
    moved = {name for name, each in training.model.named_parameters() if not torch.equal(each, before[name])}
    assert moved == {name for name, each in training.model.named_parameters() if each.requires_grad}


def test_filters_are_normalised_and_step_by_an_orthogonal_share(training: Training) -> None:
    weight = training.filters[0]  # (64, 24, 3, 3)
    training.model.train()
    before = weight.detach() * 64**0.5 / weight.detach().norm()
    training.step(torch.arange(FEW), torch.zeros(FEW, dtype=torch.bool))
    update = (before - weight.detach()).reshape(64, -1) / airbench.FILTER_RATE
    assert torch.linalg.svdvals(update).max() < 1.3, "the orthogonalised gradient"


def test_rates_fall_to_zero_and_whitening_ends_after_three_epochs(training: Training) -> None:
    rates, biases = [], []
    for number in range(airbench.EPOCHS):
        training.epoch(number)
        rates.append([group["lr"] for optimizer in training.optimizers for group in optimizer.param_groups])
        biases.append(training.model.whiten.bias.detach().clone())
    assert rates[3] == pytest.approx([0, 0.053 / 2, 0.67 / 2, 0.24 / 2])
    assert rates[-1] == pytest.approx([0, 0, 0, 0])
    assert not torch.equal(biases[1], biases[2])
    assert all(torch.equal(biases[2], later) for later in biases[3:])


def test_six_views_weigh_those_not_shifted_as_much_as_the_others(digits: Dataset, cpu: Machine) -> None:
    model = airbench.network(digits, 0).eval()
    x = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        shown = torch.stack([model(view) for view in views(x, 6)])
    published = 0.5 * shown[:2].mean(0) + 0.5 * shown[2:].mean(0)
    torch.testing.assert_close(0.25 * shown[:2].mean(0) + 0.75 * shown.mean(0), published)
