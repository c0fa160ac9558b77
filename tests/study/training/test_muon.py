"""In which precision Muon orthogonalises."""

from __future__ import annotations

import pytest
import torch
from timm.optim import create_optimizer_v2, muon
from torch import nn

from study.machine import Machine
from study.training.muon import iterate_on


@pytest.mark.parametrize("fast", ["float32", "bfloat16"])
def test_iterations_run_in_the_precision_that_the_machine_has_instructions_for(
    fast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muon, "zeropower_via_newtonschulz", muon.zeropower_via_newtonschulz)  # restored afterwards
    monkeypatch.setattr(Machine, "precision", lambda machine, requested: fast)
    iterate_on(Machine(torch.device("cpu")))
    layer, gradient = nn.Linear(8, 6, bias=False), torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    before, layer.weight.grad = layer.weight.detach().clone(), gradient.clone()
    coefficients = [(3.4445, -4.775, 2.0315)]
    options = {"ns_steps": 5, "momentum": 0.0, "nesterov": False, "adjust_lr_fn": "original"}
    create_optimizer_v2(layer, opt="muon", lr=1.0, weight_decay=0.0, ns_coefficients=coefficients, **options).step()
    # The iteration written out: X <- aX + (bXX' + c(XX')²)X, from the gradient over its norm.
    x = (gradient / gradient.norm()).to(getattr(torch, fast))
    for _ in range(5):
        a, b, c = coefficients[0]
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    tolerance = 1e-5 if fast == "float32" else 0.05
    torch.testing.assert_close(before - layer.weight.detach(), x.float(), rtol=0, atol=tolerance)
    told = muon.zeropower_via_newtonschulz(gradient, 1, coefficients)
    assert told.dtype == getattr(torch, fast)
