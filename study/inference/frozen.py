"""Networks, and parts of them, that no longer change: on a CPU ONNX Runtime computes them for PyTorch.

It folds batch norms and activations into the convolutions before them, which training cannot, and gets
through the frozen part of a network in a fraction of the time that PyTorch takes, layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from timm.layers import DropPath
from torch import Tensor, fx, nn
from torch.fx.passes.split_module import split_module

from study.machine import Machine

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from study.experiment import Precision
    from study.models.classifier import Classifier


# Images from which exporting a network for ONNX Runtime, which takes seconds, pays for itself.
WORTH_EXPORTING = 10_000


def in_runtime(machine: Machine, precision: Precision, images: int) -> bool:
    """Whether ONNX Runtime computes a frozen network for that many images: on a CPU, in float32, unless compiled."""
    in_torch = machine.device.type != "cpu" or machine.precision(precision) != "float32" or machine.compile
    return images >= WORTH_EXPORTING and not in_torch


@dataclass(frozen=True)
class Frozen:
    """``network``, a map from (N, C, H, W) to a tensor (N, …), in eval mode and without gradients, in ONNX Runtime.

    Its weights are those at the first call with images of a size, which exports it for that size. With
    ``calibration``, inputs (n, C, H, W) that show how large activations get, it computes in int8.
    """

    network: nn.Module
    calibration: Tensor | None = None
    sessions: dict[torch.Size, InferenceSession] = field(default_factory=dict)

    def __call__(self, x: Tensor) -> Tensor:
        from study.inference.runtime import run_session

        if x.shape[1:] not in self.sessions:
            self.sessions[x.shape[1:]] = self._open(x)
        found = run_session(self.sessions[x.shape[1:]], x.detach().cpu().numpy())
        return torch.from_numpy(found).to(x.device)

    def _open(self, x: Tensor) -> InferenceSession:
        from study.deployment.export import serialized
        from study.inference.runtime import open_session

        model = serialized(self.network, torch.zeros(2, *x.shape[1:]))
        if self.calibration is not None:
            model = _in_int8(model, self.calibration)
        return open_session(model, torch.get_num_threads())


def _in_int8(model: bytes, calibration: Tensor) -> bytes:
    from study.deployment.int8 import quantize_static

    with TemporaryDirectory() as folder:
        fp32, int8 = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        fp32.write_bytes(model)
        quantize_static(fp32, int8, calibration.numpy())
        return int8.read_bytes()


class _Tracer(fx.Tracer):
    """Follows data from layer to layer; a fixed module and any single convolution or norm is one layer."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        layer = isinstance(m, nn.Conv2d | nn.BatchNorm2d)  # timm's own, too, whose padding depends on the image
        return layer or _is_fixed(m) or super().is_leaf_module(m, module_qualified_name)


def _is_fixed(module: nn.Module) -> bool:
    """Whether neither training steps nor chance change what the module computes."""
    if any(isinstance(part, nn.Dropout | DropPath) for part in module.modules()):
        return False
    return not any(parameter.requires_grad for parameter in module.parameters())


class Method(nn.Module):
    """One method of a module as a module of its own, which can be exported and traced."""

    def __init__(self, owner: nn.Module, name: str) -> None:
        super().__init__()
        self.owner, self.name = owner, name

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.owner, self.name)(x)


@dataclass(frozen=True)
class Parted:
    """``backbone.forward_features`` in two parts that share its modules; the leading one is frozen, perhaps all."""

    trunk: Frozen
    rest: nn.Module

    def __call__(self, x: Tensor) -> Tensor:
        return self.rest(self.trunk(x).contiguous(memory_format=torch.channels_last))


def part(backbone: nn.Module) -> Parted | None:
    """The backbone parted behind its frozen layers; None when its first layer is not frozen.

    For networks that ``torch.fx`` can trace, as timm's.
    """
    root = Method(backbone, "forward_features")
    graph = _Tracer().trace(root)
    fixed: set[fx.Node] = set()
    for node in graph.nodes:
        module = root.get_submodule(str(node.target)) if node.op == "call_module" else nn.Identity()
        if node.op != "output" and fixed.issuperset(node.all_input_nodes) and _is_fixed(module):
            fixed.add(node)
    if not any(node.op == "call_module" for node in fixed):
        return None
    parts = split_module(fx.GraphModule(root, graph), root, lambda node: int(node not in fixed))
    rest = parts.get_submodule("submod_1") if len(fixed) < len(graph.nodes) - 1 else nn.Identity()
    return Parted(Frozen(parts.get_submodule("submod_0")), rest)


def with_trunk(model: Classifier) -> Callable[[Tensor], Tensor] | None:
    """What computes the model's logits (N, C) with its frozen layers in ONNX Runtime; None when there are none."""
    parted = part(model.backbone)
    return (lambda x: model.head(model.attention(parted(x)))) if parted else None
