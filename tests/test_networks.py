from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from study.networks import CompactCNN, Residual


def test_every_residual_stage_costs_the_same() -> None:
    network, costs = CompactCNN(32).eval(), []
    x = network.stem(torch.zeros(1, 3, 32, 32))
    for downsample, residual in network.stages:
        x = downsample(x)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            x = residual(x)
        costs.append(counter.get_total_flops())
    two_convolutions, flops_per_mac = 2, 2
    assert costs == [two_convolutions * flops_per_mac * 32 * 32 * 9 * 16 * 16] * 3


def test_residual_block_starts_as_the_identity() -> None:
    x = torch.rand(2, 8, 4, 4)
    assert torch.equal(Residual(8).eval()(x), x)


def test_feature_map_is_an_eighth_of_the_image_and_four_times_the_width() -> None:
    network = CompactCNN(16)
    features = network.forward_features(torch.zeros(2, 3, 32, 32))
    assert features.shape == (2, 64, 4, 4)
    assert network.forward_head(features).shape == (2, network.head_hidden_size)
