"""What a network is made of: its building blocks with the shapes that flow between them, and what a pass costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from study.models.classifier import Classifier
from study.models.compact_cnn import CompactCNN

Block: TypeAlias = tuple[str, list[int], int]  # name, shape (C, H, W) or (C,) that leaves it, parameters


@torch.inference_mode()
def blocks_of(model: Classifier, size: int) -> list[Block]:
    """Blocks of a classifier in order, from a forward pass of one blank image of ``size`` px; puts it into eval mode.

    A network of this study is opened up into its stages, a timm backbone is one block.
    """
    model.eval()
    return list(_flow(model, torch.zeros(1, 3, size, size, device=model.mean.device)))


def _flow(model: Classifier, x: Tensor) -> Iterator[Block]:
    yield "image", list(x.shape[1:]), 0
    for name, part, function in _backbone(model):
        x = function(x)
        yield name, list(x.shape[1:]), _parameters(part)
    if not isinstance(model.attention, nn.Identity):
        x = model.attention(x)
        attention = f"{model.architecture.attention.upper()} attention"
        yield attention, list(x.shape[1:]), _parameters(model.attention)
    pooled = list(model.pooled(x).shape[1:])
    yield "mean", pooled, 0
    if model.dropout.p:
        yield f"dropout {model.dropout.p:g}", pooled, 0
    yield "linear", list(model.head(x).shape[1:]), _parameters(model.classifier)


def _backbone(model: Classifier) -> Iterator[tuple[str, nn.Module, Callable[[Tensor], Tensor]]]:
    """Name, module and function of the backbone's parts."""
    backbone: Any = model.backbone
    if not isinstance(backbone, CompactCNN):
        yield model.architecture.backbone, backbone, backbone.forward_features
        return
    yield "stem", backbone.stem, backbone.stem
    for number, stage in enumerate(backbone.stages, 1):
        yield f"stage {number}", stage, stage


def _parameters(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def macs(model: nn.Module, size: int) -> int:
    """Multiply-accumulate operations of one image of ``size`` px, as PyTorch's own counter counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, size, size, device=next(model.parameters()).device))
    return counter.get_total_flops() // 2
