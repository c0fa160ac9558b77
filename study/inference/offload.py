"""Networks, and parts of them, that no longer change: on a CPU PyTorch leaves them to ONNX Runtime.

It folds batch norms and activations into the convolutions before them, which training cannot, and gets
through the frozen part of a network in a fraction of the time that PyTorch takes, layer by layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from timm.layers import DropPath
from torch import Tensor, fx, nn
from torch.fx.passes.split_module import split_module

from study.inference.export import serialized
from study.inference.runtime import open_session, run_session
from study.machine import Machine

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from study.experiment import Precision
    from study.models.classifier import Classifier


# Images from which exporting a network for ONNX Runtime, which takes seconds, pays for itself.
WORTH_EXPORTING = 10_000


def offloads(machine: Machine, precision: Precision, images: int) -> bool:
    """Whether ONNX Runtime computes a network for that many images: on a CPU, in float32, unless compiled."""
    in_torch = machine.device.type != "cpu" or machine.precision(precision) != "float32" or machine.compile
    return images >= WORTH_EXPORTING and not in_torch


@dataclass(frozen=True)
class Offloaded:
    """``network``, a map from (N, C, H, W) to a tensor (N, …), in eval mode and without gradients, in ONNX Runtime.

    Its weights are those at the first call with images of a size, which exports it for that size.
    """

    network: nn.Module
    sessions: dict[torch.Size, InferenceSession] = field(default_factory=dict)

    def __call__(self, x: Tensor) -> Tensor:
        if x.shape[1:] not in self.sessions:
            model = serialized(self.network, torch.zeros(2, *x.shape[1:]))
            self.sessions[x.shape[1:]] = open_session(model, torch.get_num_threads())
        found = run_session(self.sessions[x.shape[1:]], x.detach().cpu().numpy())
        return torch.from_numpy(found).to(x.device)


def offloaded(network: nn.Module, machine: Machine, precision: Precision, images: int) -> Callable[[Tensor], Tensor]:
    """The network as that many images are best put through it: in ONNX Runtime or as it is."""
    return Offloaded(network) if offloads(machine, precision, images) else network


class _Tracer(fx.Tracer):
    """Follows data from layer to layer; a frozen module and any single convolution or norm is one layer."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        layer = isinstance(m, nn.Conv2d | nn.BatchNorm2d)  # timm's own, too, whose padding depends on the image
        return layer or _is_frozen(m) or super().is_leaf_module(m, module_qualified_name)


def _is_frozen(module: nn.Module) -> bool:
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
class Split:
    """``backbone.forward_features`` in two parts that share its modules; the trunk is frozen, perhaps all."""

    trunk: Offloaded
    rest: nn.Module

    def __call__(self, x: Tensor) -> Tensor:
        return self.rest(self.trunk(x).contiguous(memory_format=torch.channels_last))


def split(backbone: nn.Module) -> Split | None:
    """The backbone split behind its frozen layers; None when its first layer is not frozen.

    For networks that ``torch.fx`` can trace, as timm's; None, too, where one has weights outside its layers.
    """
    root = Method(backbone, "forward_features")
    graph = _Tracer().trace(root)
    frozen: set[fx.Node] = set()
    for node in graph.nodes:
        module = root.get_submodule(str(node.target)) if node.op == "call_module" else nn.Identity()
        if node.op != "output" and frozen.issuperset(node.all_input_nodes) and _is_frozen(module):
            frozen.add(node)
    loose = any(node.op == "get_attr" for node in graph.nodes)  # a weight of no layer would be a second input of a part
    if loose or not any(node.op == "call_module" for node in frozen):
        return None
    parts = split_module(fx.GraphModule(root, graph), root, lambda node: int(node not in frozen))
    rest = parts.get_submodule("submod_1") if len(frozen) < len(graph.nodes) - 1 else nn.Identity()
    return Split(Offloaded(parts.get_submodule("submod_0")), rest)


def with_trunk(model: Classifier) -> Callable[[Tensor], Tensor] | None:
    """What computes the model's logits (N, C) with its frozen layers in ONNX Runtime; None when there are none."""
    found = split(model.backbone)
    return (lambda x: model.head(model.attention(found(x)))) if found else None
