"""Monte Carlo dropout and the uncertainty scores of its samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from scipy.special import entr
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from study.errors import StudyError


def mc_dropout(
    model: nn.Module,
    batches: Iterable[Tensor],
    passes: int,
    seed: int,
    embedding: Callable[[Tensor], Tensor] | None = None,
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> np.ndarray:
    """Class probabilities of ``passes`` stochastic forward passes, (passes, N, C) float32.

    Gal & Ghahramani 2016, https://arxiv.org/abs/1506.02142. ``batches`` hold normalised images
    (n, 3, S, S); only dropout is random, batch norm keeps its running statistics. A model with ``embedding``
    and ``classify`` whose only dropout is in the latter computes the former once, by the given function if
    any, and samples the latter; the network runs under ``autocast``. Torch's global random state and the
    model's modes are left as they were.
    StudyError when the model has no dropout to activate.
    """
    active = [module for module in model.modules() if isinstance(module, _DropoutNd) and module.p > 0]
    if not active:
        raise StudyError(
            "the model has no dropout with p > 0: its dropout is inactive, so every pass would be the same; "
            "the reference study's score was 0.0 because of this; name a source trained with dropout"
        )
    if passes < 1:
        raise StudyError(f"Monte Carlo dropout needs at least one pass, not {passes}")
    shared, sampled = _split(model, active, embedding)
    with _only_dropout_active(model, active), torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(seed)
        samples = [_sample(shared, sampled, batch, passes, autocast) for batch in batches]
    return torch.cat(samples, dim=1).numpy()


def _split(
    model: nn.Module, active: Sequence[nn.Module], faster: Callable[[Tensor], Tensor] | None
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """The deterministic part to compute once and the stochastic part to repeat."""
    embedding, classify = getattr(model, "embedding", None), getattr(model, "classify", None)
    if callable(embedding) and callable(classify) and list(active) == [getattr(model, "dropout", None)]:
        return faster or embedding, classify
    return nn.Identity(), model


def _sample(
    shared: Callable[[Tensor], Tensor],
    sampled: Callable[[Tensor], Tensor],
    batch: Tensor,
    passes: int,
    autocast: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    with autocast():
        fixed = shared(batch)
        return torch.stack([sampled(fixed).float().softmax(dim=1) for _ in range(passes)]).cpu()


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


def predictive_entropy(probs: np.ndarray) -> np.ndarray:
    """Entropy of the mean prediction in nats, (N,), between 0 and ln C; ``probs`` (passes, N, C)."""
    return entr(probs.mean(axis=0, dtype=np.float64)).sum(axis=-1)


def mutual_information(probs: np.ndarray) -> np.ndarray:
    """Entropy of the mean minus mean entropy in nats, (N,), between 0 and ln C; ``probs`` (passes, N, C).

    The information a label would give about the weights (Houlsby et al. 2011, https://arxiv.org/abs/1112.5745);
    ``probs`` are of dropout passes or of an ensemble's members.
    """
    expected = entr(probs.astype(np.float64)).sum(axis=-1).mean(axis=0)
    return np.maximum(predictive_entropy(probs) - expected, 0.0)
