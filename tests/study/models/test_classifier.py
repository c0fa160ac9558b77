from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from study.errors import StudyError
from study.experiment import Architecture, Stage
from study.models import classifier
from study.models.classifier import build

LITE = "tf_efficientnet_lite0"


@pytest.mark.parametrize("backbone", [LITE, "compact_cnn", "compact_cnn_small", "mobilenetv3_small_100", "resnet18"])
def test_every_backbone_gives_logits_and_a_feature_layer(backbone: str) -> None:
    model = build(Architecture(backbone), classes=7, seed=0).eval()
    x = classifier.prepare(torch.zeros(2, 3, 32, 32, dtype=torch.uint8), 32, model)
    seen = []
    model.feature_layer.register_forward_hook(lambda *_: seen.append(_[2].shape))
    assert model(x).shape == (2, 7)
    assert len(seen) == 1 and seen[0][-1] >= 2


@pytest.mark.parametrize("attention", ["se", "eca", "cbam"])
def test_attention_reweights_the_feature_map(attention: str) -> None:
    model = build(Architecture("compact_cnn", attention=attention), 10, seed=0).eval()
    plain = model.backbone.forward_features(torch.randn(2, 3, 32, 32))
    attended = model.attention(plain)
    assert attended.shape == plain.shape and not torch.equal(attended, plain)


def test_seed_alone_decides_the_random_weights() -> None:
    torch.manual_seed(1)
    first = build(Architecture("compact_cnn"), 10, seed=4).state_dict()
    torch.manual_seed(2)
    second = build(Architecture("compact_cnn"), 10, seed=4).state_dict()
    other = build(Architecture("compact_cnn"), 10, seed=5).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])


@pytest.mark.parametrize("size", [24, 32, 48])
def test_prepare_resizes_and_normalises(size: int) -> None:
    model = build(Architecture(LITE), 10, seed=0)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    expected = functional.interpolate(images / 255, size=(size, size), mode="bilinear", antialias=True)
    prepared = classifier.prepare(images, size, model)
    assert torch.allclose(prepared, (expected - 0.5) / 0.5, atol=1e-6)
    assert prepared.is_contiguous(memory_format=torch.channels_last)


def test_own_networks_are_normalised_by_the_data_and_pretrained_ones_as_they_were() -> None:
    data = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    own = classifier.build(Architecture("compact_cnn"), 10, 0, data)
    tuned = classifier.build(Architecture("resnet18"), 10, 0, data)
    assert torch.allclose(own.mean.flatten(), torch.tensor(data[0]))
    assert torch.allclose(own.std.flatten(), torch.tensor(data[1]))
    assert torch.allclose(tuned.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))


def test_an_auxiliary_head_has_a_logit_per_super_class() -> None:
    model = classifier.build(Architecture("compact_cnn_small", auxiliary="superclass", coarse=(0, 1, 2, 1)), 4, 0)
    assert model.auxiliary_logits(torch.zeros(2, 128, 3, 3)).shape == (2, 3)


def test_resize_makes_squares_of_rectangles() -> None:
    x = torch.rand(2, 1, 5, 9)
    expected = functional.interpolate(x, size=(7, 7), mode="bilinear", antialias=True)
    assert torch.allclose(classifier.resize(x, 7), expected, atol=1e-6)


def test_an_image_that_shrinks_is_seen_whole() -> None:
    dot = torch.zeros(1, 1, 16, 16)
    dot[..., 4, 4] = 1.0  # between the pixels that plain interpolation to a quarter of the side reads
    assert classifier.resize(dot, 4).sum() * 16 == pytest.approx(1.0, rel=0.2)


def test_images_are_not_resized_in_a_narrower_type() -> None:
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(AssertionError, match="before autocast"):
        classifier.resize(torch.rand(1, 3, 4, 4), 8)


def test_unknown_backbone_is_refused() -> None:
    with pytest.raises(StudyError, match="unknown backbone 'resnet1'"):
        build(Architecture("resnet1"), 10, seed=0)


def test_unknown_attention_is_refused() -> None:
    with pytest.raises(StudyError, match="unknown attention 'sexy'"):
        build(Architecture("compact_cnn", attention="sexy"), 10, seed=0)


def test_views_are_the_image_its_mirror_image_and_both_shifted_by_a_pixel() -> None:
    x = torch.arange(2 * 3 * 32 * 32).view(2, 3, 32, 32).float()
    shown = classifier.views(x, 6)
    assert len(shown) == 6 and all(view.shape == x.shape for view in shown)
    assert torch.equal(shown[0], x) and torch.equal(shown[2][..., 1:, 1:], x[..., :-1, :-1])
    assert torch.equal(shown[4][..., :-1, :-1], x[..., 1:, 1:])
    assert all(torch.equal(mirrored, view.flip(-1)) for view, mirrored in zip(shown[::2], shown[1::2], strict=True))
    for count in (1, 2):
        assert all(map(torch.equal, classifier.views(x, count), shown[:count])), count  # type: ignore[arg-type]
    larger = classifier.views(torch.arange(64.0).expand(1, 3, 64, 64), 6)
    assert torch.equal(larger[2][..., 2:], larger[0][..., :-2]), "two of its own pixels are one of the stored image's"


def test_own_networks_freeze_their_stem_when_it_has_settled() -> None:
    model = build(Architecture("compact_cnn_small"), 10, seed=0)
    stage, stem = Stage(4, 1e-3, 32, stem_epochs=2), [model.backbone.stem.norm.weight, model.backbone.stem.norm.bias]
    for epoch, learns in enumerate((True, True, False, False)):
        model.freeze(stage, epoch)
        model.train()
        assert {weights.requires_grad for weights in stem} == {learns} == {model.backbone.stem.norm.training}
        assert all(p.requires_grad for p in model.backbone.stages.parameters())


def test_a_timm_backbone_has_no_stem_of_ours() -> None:
    with pytest.raises(StudyError, match="stem_epochs needs one of this study's networks"):
        build(Architecture("resnet18"), 10, seed=0).freeze(Stage(4, 1e-3, 32, stem_epochs=2))


@pytest.mark.parametrize("backbone", ["tf_efficientnet_lite0", "mobilenetv3_small_100", "compact_cnn_small"])
def test_gradients_have_the_layout_of_the_layers_that_they_pass(backbone: str) -> None:
    model, laid_out = build(Architecture(backbone, attention="se"), 10, seed=0), []

    def look(_: object, __: object, gradients: tuple[torch.Tensor, ...]) -> None:
        laid_out.append(gradients[0].is_contiguous(memory_format=torch.channels_last))

    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.register_full_backward_hook(look)
    images = torch.randn(4, 3, 64, 64).contiguous(memory_format=torch.channels_last).requires_grad_()
    model(images).sum().backward()
    assert len(laid_out) == len(norms) > 5 and all(laid_out)


def test_activations_do_not_copy_what_they_read() -> None:
    model = build(Architecture("tf_efficientnet_lite0"), 10, seed=0)
    assert not any(getattr(module, "inplace", False) for module in model.modules())
