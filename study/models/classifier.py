"""The classifier: a backbone, optional attention, dropout, a linear head and optional auxiliary head."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from timm.data import resolve_model_data_config
from timm.layers import create_attn
from timm.models import group_parameters
from torch import Tensor, nn
from torch.nn import functional

from study.errors import StudyError
from study.experiment import Architecture, Stage, Views
from study.models.compact_cnn import OWN_NETWORKS, CompactCNN
from study.models.weights import build_backbone, pretrained_backbone
from study.records import MODEL, Run
from study.streams import globally_seeded

VIEW_SHIFT = 1 / 32
QUARTER_TURNS = 4
Statistics = tuple[tuple[float, ...], tuple[float, ...]]


class Classifier(nn.Module):
    """Normalised images (N, 3, S, S) -> logits (N, C).

    ``features`` gives the feature map after attention, ``head`` turns it into logits, and
    ``auxiliary_logits`` into those of the auxiliary task. ``embedding`` and ``classify`` are the network up to
    its pooling and from its dropout on.
    """

    backbone: Any  # any network with forward_features, forward_head, num_features and head_hidden_size
    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture, classes: int, backbone: Any, statistics: Statistics) -> None:  # noqa: ANN401
        """``statistics`` are mean and standard deviation per channel of what images are normalised by."""
        super().__init__()
        self.architecture, self.backbone = architecture, backbone
        self.dropout = nn.Dropout(architecture.dropout)
        # Before the attention, so that a network with it begins with the classifier of the one without.
        self.classifier = nn.Linear(backbone.head_hidden_size, classes)
        self.attention = _attention(architecture.attention, backbone.num_features)
        auxiliary = _auxiliary_classes(architecture)
        self.auxiliary = nn.Linear(backbone.head_hidden_size, auxiliary) if auxiliary else None
        mean, std = statistics
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def features(self, x: Tensor) -> Tensor:
        """Feature map (N, F, H, W)."""
        return self.attention(self.backbone.forward_features(x))

    def pooled(self, features: Tensor) -> Tensor:
        """Feature vector (N, D) of a feature map."""
        if features.requires_grad:  # a mean's gradient is laid out otherwise, which slows the layers below
            features.register_hook(_channels_last)
        return self.backbone.forward_head(features, pre_logits=True)

    def embedding(self, x: Tensor) -> Tensor:
        """Feature vector (N, D) of images."""
        return self.pooled(self.features(x))

    def classify(self, embedding: Tensor) -> Tensor:
        """Logits (N, C) of a feature vector (N, D)."""
        return self.classifier(self.dropout(embedding))

    def head(self, features: Tensor) -> Tensor:
        """Logits (N, C) of a feature map."""
        return self.classify(self.pooled(features))

    def auxiliary_logits(self, features: Tensor) -> Tensor:
        """Logits of the auxiliary task, (N, super-classes) or (N, 4) for rotation."""
        assert self.auxiliary is not None, "this classifier has no auxiliary head"
        return self.auxiliary(self.dropout(self.pooled(features)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def freeze(self, stage: Stage, epoch: int = 0) -> None:
        """Let gradients reach only what the stage trains in its epoch (from 0).

        StudyError when it freezes groups of a backbone that timm does not divide into groups, or a stem that is not
        one of this study's.
        """
        self.backbone.requires_grad_(stage.trains == "all")
        if stage.stem_epochs and not isinstance(self.backbone, CompactCNN):
            raise StudyError("stem_epochs needs one of this study's networks: a timm backbone has frozen_groups")
        if 0 < stage.stem_epochs <= epoch:
            self.backbone.stem.requires_grad_(False)
        for name in self._leading_parameters(stage.frozen_groups):
            self.backbone.get_parameter(name).requires_grad_(False)
        if stage.frozen_depthwise:
            for module in self.backbone.modules():
                if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
                    module.requires_grad_(False)

    def _leading_parameters(self, groups: int) -> list[str]:
        """Names of the parameters in that many of the backbone's first layer groups."""
        if not groups:
            return []
        named = self._layers(coarse=True)
        return [name for group in sorted(named)[:groups] for name in named[group]]

    def _layers(self, coarse: bool) -> dict[int, list[str]]:
        """Names of the backbone's parameters by layer, ascending from the stem, as timm groups them."""
        if not hasattr(self.backbone, "group_matcher"):
            raise StudyError("frozen_groups and layer_decay need a timm backbone: this network has no layer groups")
        return group_parameters(self.backbone, self.backbone.group_matcher(coarse=coarse))

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """Layer of a parameter given by name, as timm's optimizers ask: the backbone's, and all else as the last."""
        layers = {f"backbone.{name}": layer for layer, names in self._layers(coarse).items() for name in names}
        return lambda name: layers.get(name, math.inf)

    def train(self, mode: bool = True) -> Classifier:
        """Switch to training or evaluation; batch norms whose weights are frozen keep their statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and module.affine and not module.weight.requires_grad:
                module.eval()
        return self

    @property
    def feature_layer(self) -> nn.Module:
        """The layer whose output Grad-CAM weighs: the deepest that still has one cell per 16 px or fewer."""
        coarse_enough = [entry for entry in getattr(self.backbone, "feature_info", []) if entry["reduction"] <= 16]
        return self.backbone.get_submodule(coarse_enough[-1]["module"]) if coarse_enough else self.attention


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _attention(name: str, channels: int) -> nn.Module:
    if not name:
        return nn.Identity()
    try:
        return create_attn(name, channels)
    except (AssertionError, KeyError, TypeError) as error:
        raise StudyError(f"unknown attention {name!r}: use a timm attention module such as se, eca or cbam") from error


def _auxiliary_classes(architecture: Architecture) -> int:
    if architecture.auxiliary == "superclass":
        assert architecture.coarse, "an auxiliary head for super-classes needs them"
        return max(architecture.coarse) + 1
    return QUARTER_TURNS if architecture.auxiliary else 0


def build(
    architecture: Architecture, classes: int, seed: int, statistics: Statistics = ((0.5,) * 3, (0.5,) * 3)
) -> Classifier:
    """A new classifier whose random weights depend on ``seed`` alone.

    A backbone of timm normalises images as it was pretrained, a network of this study by the ``statistics``, mean and
    standard deviation per channel, of the data. Raises StudyError for an unknown backbone or attention, or when
    pretrained weights are missing.
    """
    with globally_seeded(seed):
        backbone = (pretrained_backbone if architecture.pretrained else build_backbone)(architecture.backbone)
        if architecture.backbone not in OWN_NETWORKS:
            config = resolve_model_data_config(backbone)
            statistics = config["mean"], config["std"]
        model = Classifier(architecture, classes, backbone, statistics)
    for module in model.modules():
        if getattr(module, "inplace", False):  # most activations copy their input first, as their gradient needs it
            setattr(module, "inplace", False)  # noqa: B010 (nn.Module declares no such attribute)
    return model.to(memory_format=torch.channels_last)


def prepare(images: Tensor, size: int, model: nn.Module) -> Tensor:
    """uint8 images (N, 3, H, W) -> normalised float (N, 3, size, size) on the model's device."""
    x = images.to(model.mean.device, non_blocking=True).float().div(255)  # type: ignore[arg-type]
    return fit_input(x, size, model)


def fit_input(x: Tensor, size: int, model: nn.Module) -> Tensor:
    """Float images (N, 3, H, W) in [0, 1] as the model wants them: normalised (N, 3, size, size).

    Normalising first is the same, as interpolation weights sum to one, and touches fewer pixels.
    """
    return resize((x - model.mean) / model.std, size)  # type: ignore[operator]


def views(x: Tensor, count: Views) -> list[Tensor]:
    """The first ``count`` views of images (N, 3, S, S): as they are, mirrored, and both shifted along the diagonal.

    The shift, either way, is ``VIEW_SHIFT`` of the side and at least a pixel; edges are reflected.
    """
    size, step = x.shape[-1], max(1, round(x.shape[-1] * VIEW_SHIFT))
    shown = [x]
    if count > 2:
        padded = functional.pad(x, (step,) * 4, mode="reflect")
        shown += [padded[..., at : at + size, at : at + size] for at in (0, 2 * step)]
    return [view for each in shown for view in (each, each.flip(-1))][:count]


def resize(x: Tensor, size: int) -> Tensor:
    """Bilinear antialiased resize of float images (N, 3, H, W) to a square of ``size`` px, in channels-last layout.

    Interpolation is linear in the pixels, row by row and column by column: two matrix products do it several times
    faster on a CPU than the operator, here and in ONNX Runtime. Not for autocast, which would round the pixels.
    """
    assert not torch.is_autocast_enabled(x.device.type), "images are resized before autocast begins"
    if x.shape[-2:] != (size, size):
        rows, columns = (_interpolation(side, size, x.device) for side in x.shape[-2:])
        x = rows @ (x @ columns.T)
    return x.contiguous(memory_format=torch.channels_last)


def _interpolation(old: int, new: int, device: torch.device) -> Tensor:
    """Weights (new, old) of linear interpolation, antialiased where it shrinks: what it makes of each unit vector."""
    units = torch.eye(old, device=device)[None, None]
    return functional.interpolate(units, size=(old, new), mode="bilinear", antialias=True)[0, 0].T


def load_trained(run: Run, classes: int) -> Classifier:
    """The trained classifier of a run, on the CPU, in eval mode. StudyError when the run trains nothing."""
    from safetensors.torch import load_file

    model = build(replace(run.trained.architecture, pretrained=False), classes, seed=0)
    model.load_state_dict(load_file(run.folder / MODEL))
    return model.eval()
