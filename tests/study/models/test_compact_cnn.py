from __future__ import annotations

import pytest
import torch
from scipy.fft import dctn

from study.models.compact_cnn import Block, CompactCNN, WhiteningStem, cosine_filters


def test_stem_filters_are_an_orthonormal_basis() -> None:
    flat = cosine_filters().flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(12))


def test_stem_filters_compute_the_cosine_transform_of_luminance_and_colour_differences() -> None:
    patch = torch.rand(3, 2, 2)
    opponent = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    opponent /= opponent.norm(dim=1, keepdim=True)
    channels = torch.einsum("kc,cyx->kyx", opponent, patch).numpy()
    expected = torch.from_numpy(dctn(channels, axes=(1, 2), norm="ortho")).flatten()
    torch.testing.assert_close((cosine_filters() * patch).sum(dim=(1, 2, 3)), expected)


def test_stem_gives_the_normalised_transform_with_both_signs() -> None:
    stem, images = WhiteningStem(), torch.rand(8, 3, 6, 6) * torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    stem.activation = torch.nn.Identity()
    patches = torch.nn.functional.unfold(images, 2)  # (N, 12, 25)
    transformed = torch.einsum("kd,ndp->nkp", cosine_filters().flatten(1), patches)
    mean, spread = transformed.mean((0, 2), keepdim=True), transformed.std((0, 2), correction=0, keepdim=True)
    expected = ((transformed - mean) / spread).unflatten(2, (5, 5))
    responses = stem(images)
    torch.testing.assert_close(responses[:, :12], expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(responses[:, 12:], -expected, atol=1e-3, rtol=1e-3)


def test_stem_filters_are_not_learnt() -> None:
    assert all("filters" not in name for name, _ in CompactCNN(8).named_parameters())


@pytest.mark.parametrize(("width", "pooled"), [(8, 1), (12, 2)])
def test_blocks_begin_by_passing_their_inputs_on(width: int, pooled: int) -> None:
    x = torch.randn(2, 8, 4, 4)
    passed = Block(8, width, pooled).eval()(x)[:, :8]
    expected = torch.nn.functional.gelu(torch.nn.functional.max_pool2d(x, pooled))
    torch.testing.assert_close(passed, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("size", "deep"), [(32, False), (64, True)])
def test_feature_map_of_a_small_image_is_three_by_three(size: int, deep: bool) -> None:
    network = CompactCNN(16, deep)
    features = network.forward_features(torch.zeros(2, 3, size, size))
    assert features.shape == (2, 64, 3, 3)
    assert network.forward_head(features).shape == (2, network.head_hidden_size)


def test_norm_and_pooling_may_change_places_after_training() -> None:
    """The evaluated order, which a runtime can fold into the convolution, computes what was trained."""
    block = Block(3, 8, pooled=2)
    for _ in range(3):
        block(torch.randn(16, 3, 8, 8))
    torch.nn.init.normal_(block.bias)
    x = torch.randn(4, 3, 8, 8)
    pooled_first = block.eval().norm(block.pool(block.convolution(x))) + block.bias[:, None, None]
    torch.testing.assert_close(block(x), torch.nn.functional.gelu(pooled_first))
