"""Blocks of a network as they really are, and what a pass costs."""

from __future__ import annotations

import torch
from torch import nn

from study.experiment import Architecture
from study.models.blocks import blocks_of, macs
from study.models.classifier import build

SMALL = Architecture("compact_cnn_small", attention="se", dropout=0.2)


def test_blocks_hold_every_parameter_and_end_in_the_classes() -> None:
    model = build(SMALL, 7, seed=0)
    blocks = blocks_of(model, 32)
    assert sum(parameters for _, _, parameters in blocks) == sum(p.numel() for p in model.parameters())
    assert blocks[0] == ("image", [3, 32, 32], 0)
    assert blocks[-1][1] == [7]


def test_own_networks_are_opened_up_and_show_attention_and_dropout() -> None:
    names = [name for name, _, _ in blocks_of(build(SMALL, 10, seed=0), 32)]
    stages = ["image", "stem", "stage 1", "stage 2", "stage 3"]
    assert names == [*stages, "SE attention", "mean", "dropout 0.2", "linear"]


def test_a_timm_backbone_is_one_block() -> None:
    blocks = blocks_of(build(Architecture("mobilenetv3_small_100"), 10, seed=0), 64)
    assert [name for name, _, _ in blocks] == ["image", "mobilenetv3_small_100", "mean", "linear"]
    assert [shape for _, shape, _ in blocks] == [[3, 64, 64], [576, 2, 2], [1024], [10]]


def test_macs_of_a_known_network_agree_with_arithmetic() -> None:
    model = build(Architecture("compact_cnn_small"), 10, seed=0)
    by_hand, hooks = 0, []

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal by_hand
        by_hand += module.weight[0].numel() * output[0].numel()  # type: ignore[index,operator]

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            hooks.append(module.register_forward_hook(count))
    counted = macs(model, 32)
    fixed_stem = 24 * (3 * 2 * 2) * 31 * 31
    assert counted == by_hand + fixed_stem > 1e7
