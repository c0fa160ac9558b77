from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from study.data.datasets import Dataset
from study.experiment import Architecture, Precision, Recipe, Stage
from study.inference import evaluation, offload
from study.inference.evaluation import Setting
from study.machine import Machine
from study.models.classifier import Classifier, build
from study.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_thread")

STAGE = Stage(1, 1e-3, 32, frozen_groups=4)


def partly_frozen(backbone: str = "tf_efficientnet_lite0") -> Classifier:
    model = build(Architecture(backbone, pretrained=backbone.endswith("lite0")), 10, seed=0)
    model.freeze(STAGE)
    return model.train()


@pytest.mark.slow
def test_offloaded_network_computes_the_same_for_any_batch_and_size() -> None:
    model = build(Architecture("compact_cnn_small"), 10, seed=0).eval()
    network = offload.Offloaded(model)
    for shape in ((5, 3, 32, 32), (1, 3, 32, 32), (2, 3, 24, 24)):
        x = torch.rand(shape)
        with torch.no_grad():
            assert torch.allclose(network(x), model(x), atol=1e-5)
    assert len(network.sessions) == 2


def test_trunk_computes_the_same_features() -> None:
    model, x = partly_frozen(), torch.rand(8, 3, 64, 64)
    found = offload.split(model.backbone)
    assert found
    with torch.no_grad():
        expected = found.trunk.network(x)
    assert (found.trunk(x) - expected).abs().max() < 1e-4 * expected.abs().max()


def test_parts_of_a_backbone_give_the_gradients_of_the_whole() -> None:
    """Both in torch: a rounding of the runtime's may put an activation on the other side of a kink."""
    model, x = partly_frozen(), torch.rand(8, 3, 64, 64)
    found, direction = offload.split(model.backbone), torch.randn(1, 1280, 2, 2)
    assert found
    gradients = []
    for features in (model.backbone.forward_features, lambda x: found.rest(found.trunk.network(x))):
        model.zero_grad()
        (features(x) * direction).mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    whole, parts = gradients
    assert whole.keys() == parts.keys()
    assert all(torch.allclose(parts[name], whole[name], rtol=1e-4, atol=1e-7) for name in whole)


def test_trunk_ends_where_training_begins() -> None:
    found = offload.split(partly_frozen().backbone)
    assert found
    assert not any(p.requires_grad for p in found.trunk.network.parameters())
    first = next(module for module in found.rest.modules() if isinstance(module, nn.Conv2d))
    assert first.weight.requires_grad


@pytest.mark.slow
def test_backbone_under_a_head_that_trains_alone_is_all_trunk() -> None:
    model, x = partly_frozen("resnet18"), torch.rand(2, 3, 32, 32)
    model.freeze(replace(STAGE, trains="head"))
    model.eval()
    found = offload.split(model.backbone)
    assert found and not list(found.rest.parameters())
    with torch.no_grad():
        assert torch.allclose(found(x), model.backbone.forward_features(x), rtol=1e-3, atol=1e-4)


def test_nothing_is_split_off_a_backbone_that_is_trained_from_its_first_layer() -> None:
    assert offload.split(build(Architecture("tf_efficientnet_lite0"), 10, seed=0).backbone) is None


def test_dropout_is_never_part_of_the_trunk() -> None:
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.Conv2d(4, 4, 3)).requires_grad_(False)
    backbone.forward_features = backbone.forward
    found = offload.split(backbone)
    assert found and not any(isinstance(module, nn.Dropout) for module in found.trunk.network.modules())


class Scaled(nn.Module):
    """A frozen convolution whose output is scaled by a number of the network's own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), 3.0))
        self.convolution = nn.Conv2d(3, 4, 3).requires_grad_(False)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(x) * self.scale


@pytest.mark.parametrize("learnt", [True, False])
def test_a_backbone_with_weights_outside_its_layers_stays_whole(learnt: bool) -> None:
    backbone = Scaled()
    backbone.scale.requires_grad_(learnt)
    assert offload.split(backbone) is None


@pytest.mark.parametrize("changed", [{"device": torch.device("meta")}, {"compile": True}])
def test_other_devices_and_compiled_networks_stay_in_torch(cpu: Machine, changed: dict[str, object]) -> None:
    many = offload.WORTH_EXPORTING
    assert offload.offloads(cpu, "float32", many) and not offload.offloads(cpu, "float32", many - 1)
    assert not offload.offloads(replace(cpu, **changed), "float32", many)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "agreement"), [("float32", 1e-3), ("bfloat16", 1e-2)])
def test_training_with_a_frozen_trunk_agrees_with_training_in_torch(
    digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch, precision: Precision, agreement: float
) -> None:
    """The trunk computes in float32 even where the layers that are trained do not."""
    monkeypatch.setattr(Machine, "precision", lambda self, requested: requested)
    rows = []
    for used in (True, False):
        monkeypatch.setattr("study.training.trainer.offloads", lambda *_, used=used: used)
        model = build(Architecture("tf_efficientnet_lite0"), 10, seed=0)
        # At a usual rate, rounding that puts an activation on the other side of a kink shows after few steps.
        recipe = Recipe((replace(STAGE, learning_rate=1e-4),), 20, precision=precision)
        (row,) = Trainer(model, recipe, digits, cpu, seed=0).fit()
        rows.append([row["train_loss"], row["validation_loss"]])
    assert rows[0] == pytest.approx(rows[1], rel=agreement)


def test_evaluation_in_bulk_agrees_with_torch(digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    model, setting = build(Architecture("compact_cnn_small"), 10, seed=0), Setting(32, views=6)
    images = digits.images[digits.test]
    expected = evaluation.logits(model, images, setting, cpu)
    monkeypatch.setattr(offload, "WORTH_EXPORTING", 2 * len(images))
    found = evaluation.logits(model, images, setting, cpu)
    assert torch.allclose(found, expected, atol=1e-4) and not torch.equal(found, expected)
