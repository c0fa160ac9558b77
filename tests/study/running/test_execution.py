from __future__ import annotations

import torch
from torch import nn

from study.execution import macs
from study.experiment import Architecture
from study.models.classifier import build


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
