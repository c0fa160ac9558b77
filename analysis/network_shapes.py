"""The building blocks of a network with the shapes that really flow between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analysis import formats

if TYPE_CHECKING:
    from torch import Tensor, nn

    from study.models.classifier import Classifier


@dataclass(frozen=True)
class Block:
    """A part of a network: its name, the shape (C, H, W) or (C,) it puts out, and its parameters."""

    name: str
    shape: tuple[int, ...]
    parameters: int = 0

    @property
    def details(self) -> str:
        """Shape and parameters on a line each."""
        shape = "×".join(map(str, self.shape))
        return f"{shape}\n{formats.quantity(self.parameters)}" if self.parameters else shape


def blocks_of(architecture: dict[str, Any], size: int, classes: int) -> list[Block]:
    """Blocks of a classifier in order, from a forward pass of one blank image of ``size`` px.

    A network of this study is opened up into its stages, a timm backbone is one block.
    """
    import torch

    from study.experiment import Architecture
    from study.models.classifier import build

    described = Architecture(**{**architecture, "pretrained": False})
    model = build(described, classes, seed=0).eval()
    with torch.inference_mode():
        return list(_flow(model, described, torch.zeros(1, 3, size, size)))


def _flow(model: Classifier, architecture: Any, x: Tensor) -> Iterator[Block]:  # noqa: ANN401
    from torch import nn

    yield Block("image", tuple(x.shape[1:]))
    for name, part, function in _backbone(model, architecture.backbone):
        x = function(x)
        yield Block(name, tuple(x.shape[1:]), _parameters(part))
    if not isinstance(model.attention, nn.Identity):
        x = model.attention(x)
        yield Block(f"{architecture.attention.upper()} attention", tuple(x.shape[1:]), _parameters(model.attention))
    yield Block(getattr(model.backbone, "pooling", "mean"), tuple(model.pooled(x).shape[1:]))
    if architecture.dropout:
        yield Block(f"dropout {architecture.dropout:g}", tuple(model.pooled(x).shape[1:]))
    yield Block("linear", tuple(model.head(x).shape[1:]), _parameters(model.classifier))


def _backbone(model: Classifier, name: str) -> Iterator[tuple[str, nn.Module, Any]]:
    """Name, module and function of the backbone's parts."""
    backbone: Any = model.backbone
    if type(backbone).__module__.split(".")[0] != "study":
        yield name, backbone, backbone.forward_features
        return
    yield "stem", backbone.stem, backbone.stem
    for number, stage in enumerate(backbone.stages, 1):
        yield f"stage {number}", stage, stage


def _parameters(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())
