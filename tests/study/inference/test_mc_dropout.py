"""Monte Carlo dropout: what varies between its passes and what does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from study.errors import StudyError
from study.experiment import Architecture
from study.inference.evaluation import mc_dropout
from study.inference.offload import Method, Offloaded
from study.metrics.uncertainty import mutual_information
from study.models.classifier import Classifier, build


def classifier(dropout: float) -> Classifier:
    return build(Architecture("compact_cnn_small", dropout=dropout), classes=10, seed=0)


def inputs(count: int = 6) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


class Everywhere(nn.Module):
    """A network with dropout before and after its batch norm, and no separate head."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3),
            nn.Dropout2d(0.3),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(8 * 30 * 30, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.mark.parametrize("model", [classifier(0.5), Everywhere()], ids=["head", "everywhere"])
def test_passes_differ_and_are_distributions(model: nn.Module) -> None:
    probs = mc_dropout(model, inputs().split(4), passes=5, seed=0)
    assert probs.shape == (5, 6, 10)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs.sum(axis=2), 1, rtol=1e-5)
    assert mutual_information(probs).min() > 0


class SmallHead(nn.Module):
    """Embedding and classifier as in the study's classifiers, small enough for many passes."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.dropout, self.linear = nn.Conv2d(3, 4, 32), nn.Dropout(0.5), nn.Linear(4, 10)

    def embedding(self, x: Tensor) -> Tensor:
        return self.convolution(x)

    def classify(self, embedding: Tensor) -> Tensor:
        return self.linear(self.dropout(embedding.flatten(1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.embedding(x))


def test_sampling_the_head_alone_gives_the_same_distribution_as_the_whole_network() -> None:
    model, batch, passes = SmallHead(), inputs(4), 1000
    head_only = mc_dropout(model, [batch], passes, seed=0)
    full = mc_dropout(nn.Sequential(model), [batch], passes, seed=1)  # the wrapper hides both parts
    standard_error = np.hypot(head_only.std(axis=0), full.std(axis=0)) / np.sqrt(passes)
    np.testing.assert_array_less(np.abs(head_only.mean(axis=0) - full.mean(axis=0)), 5 * standard_error)


def test_features_are_computed_once_per_batch_when_only_the_head_is_random(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, calls = classifier(0.5), []
    original = model.embedding

    def counted(x: Tensor) -> Tensor:
        calls.append(len(x))
        return original(x)

    monkeypatch.setattr(model, "embedding", counted)
    mc_dropout(model, inputs().split(3), passes=7, seed=0)
    assert calls == [3, 3]


def test_features_may_come_from_the_runtime() -> None:
    model = classifier(0.5).eval()
    found = mc_dropout(model, inputs().split(4), passes=3, seed=0, embedding=Offloaded(Method(model, "embedding")))
    np.testing.assert_allclose(found, mc_dropout(model, inputs().split(4), passes=3, seed=0), atol=1e-5)


def test_same_seed_same_samples_and_the_global_stream_is_left_alone() -> None:
    model = classifier(0.5)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = mc_dropout(model, [inputs()], passes=3, seed=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(mc_dropout(model, [inputs()], passes=3, seed=0), first)
    assert not np.array_equal(mc_dropout(model, [inputs()], passes=3, seed=1), first)


def test_batch_norm_and_modes_are_left_as_they_were() -> None:
    model = Everywhere().train()
    model.layers[3].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mc_dropout(model, [inputs()], passes=2, seed=0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [layer.training for layer in model.layers] == [True, True, True, False, True, True, True]


@pytest.mark.parametrize("model", [classifier(0.0), nn.Sequential(nn.Flatten(), nn.Linear(3072, 10))])
def test_model_without_active_dropout_is_refused(model: nn.Module) -> None:
    with pytest.raises(StudyError, match="no dropout with p > 0.*name a source trained with dropout"):
        mc_dropout(model, [inputs()], passes=2, seed=0)


def test_zero_passes_are_refused() -> None:
    with pytest.raises(StudyError, match="at least one pass, not 0"):
        mc_dropout(classifier(0.5), [inputs()], passes=0, seed=0)
