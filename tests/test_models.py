from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from study import models
from study.errors import StudyError
from study.evaluation import Setting
from study.experiment import Architecture

LITE = "tf_efficientnet_lite0"


@pytest.mark.parametrize("backbone", [LITE, "compact_cnn", "compact_cnn_small", "mobilenetv3_small_100", "resnet18"])
def test_every_backbone_gives_logits_and_a_feature_layer(backbone: str) -> None:
    model = models.build(Architecture(backbone), classes=7, seed=0).eval()
    x = models.prepare(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), 32, model)
    seen = []
    model.feature_layer.register_forward_hook(lambda *_: seen.append(_[2].shape))
    assert model(x).shape == (2, 7)
    assert len(seen) == 1 and seen[0][-1] >= 2


@pytest.mark.parametrize("attention", ["se", "eca", "cbam"])
def test_attention_reweights_the_feature_map(attention: str) -> None:
    model = models.build(Architecture("compact_cnn", attention=attention), 10, seed=0).eval()
    plain = model.backbone.forward_features(torch.randn(2, 3, 32, 32))
    attended = model.attention(plain)
    assert attended.shape == plain.shape and not torch.equal(attended, plain)


def test_seed_alone_decides_the_random_weights() -> None:
    torch.manual_seed(1)
    first = models.build(Architecture("compact_cnn"), 10, seed=4).state_dict()
    torch.manual_seed(2)
    second = models.build(Architecture("compact_cnn"), 10, seed=4).state_dict()
    other = models.build(Architecture("compact_cnn"), 10, seed=5).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


def test_prepare_resizes_and_normalises() -> None:
    model = models.build(Architecture(LITE), 10, seed=0)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = functional.interpolate(images / 255, size=(48, 48), mode="bilinear")
    assert torch.allclose(models.prepare(images, 48, model), (expected - 0.5) / 0.5, atol=1e-6)


def test_unknown_backbone_is_refused() -> None:
    with pytest.raises(StudyError, match="unknown backbone 'resnet1'"):
        models.build(Architecture("resnet1"), 10, seed=0)


def test_unknown_attention_is_refused() -> None:
    with pytest.raises(StudyError, match="unknown attention 'sexy'"):
        models.build(Architecture("compact_cnn", attention="sexy"), 10, seed=0)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("shift", [0, 1])
def test_setting_counts_the_views_that_are_shown(flip: bool, shift: int) -> None:
    assert Setting(8, flip=flip, shift=shift).views == len(models.views(torch.zeros(1, 3, 8, 8), flip, shift))
