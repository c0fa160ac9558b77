"""Logits of a trained network on given images, what is read off them, and samples with dropout active."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.dropout import _DropoutNd

from study.data.store import Images
from study.errors import StudyError
from study.experiment import Precision, Recipe, Views
from study.inference.offload import offloaded
from study.machine import Machine
from study.models.classifier import prepare, views
from study.streams import CPU, globally_seeded

BATCH = 250


@dataclass(frozen=True)
class Setting:
    """How a network is evaluated: input side in px, precision, and how many views of an image are averaged."""

    size: int
    precision: Precision = "float32"
    views: Views = 1

    @classmethod
    def of(cls, recipe: Recipe) -> Setting:
        """How networks are evaluated, in whatever precision the recipe trains them: in float32, as they are shipped."""
        return cls(recipe.stages[-1].image_size, views=recipe.test_views)


@torch.inference_mode()
def logits(model: nn.Module, images: Images, setting: Setting, machine: Machine) -> Tensor:
    """Logits (N, C) float32 on the CPU for uint8 images (N, 3, H, W); the model is put into eval mode."""
    model.eval()
    network = offloaded(model, machine, setting.precision, len(images) * setting.views)
    parts = []
    for batch in images.split(BATCH):
        x = prepare(batch, setting.size, model)
        with machine.autocast(setting.precision):
            shown = [network(view).float() for view in views(x, setting.views)]
        parts.append(torch.stack(shown).mean(0).cpu())
    return torch.cat(parts)


def loss_and_accuracy(scores: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross-entropy (nats) and the fraction correct of logits (N, C)."""
    return float(functional.cross_entropy(scores, labels)), float((scores.argmax(1) == labels).float().mean())


def mc_dropout(
    model: nn.Module,
    batches: Iterable[Tensor],
    passes: int,
    seed: int,
    embedding: Callable[[Tensor], Tensor] | None = None,
) -> np.ndarray:
    """Class probabilities of ``passes`` stochastic forward passes, (passes, N, C) float32.

    Gal & Ghahramani 2016, https://arxiv.org/abs/1506.02142. ``batches`` hold normalised images
    (n, 3, S, S); only dropout is random, batch norm keeps its running statistics. A model with ``embedding``
    and ``classify`` whose only dropout is in the latter computes the former once, by the given function if
    any, and samples the latter. Torch's global random state and the model's modes are left as they were.
    StudyError when the model has no dropout to activate.
    """
    active = [module for module in model.modules() if isinstance(module, _DropoutNd) and module.p > 0]
    if not active:
        raise StudyError(
            "the model has no dropout with p > 0, so every pass would be the same; name a source trained with dropout"
        )
    if passes < 1:
        raise StudyError(f"Monte Carlo dropout needs at least one pass, not {passes}")
    shared: Any = nn.Identity()  # the part to compute once, and the part to repeat
    sampled: Any = model
    if active == [getattr(model, "dropout", None)] and hasattr(model, "embedding"):
        shared, sampled = embedding or model.embedding, model.classify

    def sample(batch: Tensor) -> Tensor:
        features = shared(batch)
        return torch.stack([sampled(features).float().softmax(dim=1) for _ in range(passes)]).cpu()

    device = next((parameter.device for parameter in model.parameters()), CPU)
    with _only_dropout_active(model, active), globally_seeded(seed, device), torch.inference_mode():
        return torch.cat([sample(batch) for batch in batches], dim=1).numpy()


@contextmanager
def _only_dropout_active(model: nn.Module, active: Sequence[nn.Module]) -> Iterator[None]:
    before = {module: module.training for module in model.modules()}
    try:
        model.eval()
        for module in active:
            module.train()
        yield
    finally:
        for module, training in before.items():
            module.training = training
