from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from study.data import augmentation
from study.experiment import Augmentation
from study.streams import torch_generator

NEVER = torch.zeros(64, dtype=torch.bool)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8, generator=generator(9))


def test_nothing_switched_on_only_scales(images: Tensor) -> None:
    assert torch.equal(augmentation.augment(images, Augmentation(), NEVER, generator()), images.float() / 255)


def test_crops_are_windows_of_the_reflected_image(images: Tensor) -> None:
    cropped = augmentation.random_crop(images, 4, generator())
    padded = reference.pad(images, [4], padding_mode="reflect")
    windows = [padded[..., r : r + 32, c : c + 32] for r in range(9) for c in range(9)]
    offsets = [next(i for i, w in enumerate(windows) if torch.equal(w[n], cropped[n])) for n in range(len(images))]
    assert len(set(offsets)) > 20


def test_images_are_mirrored_when_it_is_their_turn(images: Tensor) -> None:
    turn = torch.arange(len(images)) % 3 == 0
    shown = augmentation.augment(images, Augmentation(flip=True), turn, generator())
    x = images.float() / 255
    assert torch.equal(shown[turn], x[turn].flip(-1)) and torch.equal(shown[~turn], x[~turn])
    assert torch.equal(augmentation.augment(images, Augmentation(), turn, generator()), x)


def test_rotation_by_a_right_angle_agrees_with_rot90(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    x = images.float() / 255
    monkeypatch.setattr(augmentation, "_uniform", lambda x, low, high, g: torch.full((len(x),), high))
    turned = augmentation.random_rotation(x, 90.0, generator())
    assert torch.allclose(turned, x.rot90(1, (2, 3)), atol=1e-4)


def test_rotation_keeps_stripes_that_bilinear_interpolation_would_blur(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "_uniform", lambda x, low, high, g: torch.full((len(x),), high))
    stripes = torch.tensor([0.2, 0.2, 0.8, 0.8]).repeat(8).expand(1, 3, 32, 32)
    turned = augmentation.random_rotation(stripes, 7.0, generator())
    assert turned.min() >= 0 and turned.max() <= 1
    blurred = reference.rotate(stripes, 7.0, reference.InterpolationMode.BILINEAR)
    inner = (..., slice(8, 24), slice(8, 24))  # away from the corners, which the two fill differently
    assert turned[inner].std() > 1.03 * blurred[inner].std()


def test_color_jitter_agrees_with_torchvision_for_each_factor(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    x = (images.float() / 255) * 0.5 + 0.2
    factors = iter((1.1, 0.9, 1.2))
    monkeypatch.setattr(augmentation, "_uniform", lambda x, low, high, g: torch.full((len(x),), next(factors)))
    expected = reference.adjust_brightness(x, 1.1)
    expected = reference.adjust_contrast(expected, 0.9)
    expected = reference.adjust_saturation(expected, 1.2)
    assert torch.allclose(augmentation.color_jitter(x, 0.2, generator()), expected, atol=2e-3)


def test_cutout_greys_one_square_per_image(images: Tensor) -> None:
    x = images.float() / 255
    changed = (augmentation.cutout(x, 8, generator()) != x).any(dim=1)
    assert (changed.sum(dim=(1, 2)) == 64).all()


def test_mix_is_convex_and_keeps_targets_probabilities(images: Tensor) -> None:
    x, targets = images.float() / 255, torch.eye(10)[torch.arange(64) % 10]
    rng = np.random.default_rng(3)
    lam = np.random.default_rng(3).beta(0.4, 0.4)
    mixed, soft = augmentation.mix(x, targets, 0.4, rng)
    assert torch.allclose(soft.sum(1), torch.ones(64), atol=1e-6)
    own = soft[torch.arange(64), torch.arange(64) % 10]
    assert torch.allclose(own.min(), torch.tensor(float(lam)), atol=1e-6)
    assert mixed.min() >= 0 and mixed.max() <= 1


def test_quarter_turns_are_reported(images: Tensor) -> None:
    x = images.float()
    rotated, turns = augmentation.rotate_quarters(x, generator())
    assert set(turns.tolist()) == {0, 1, 2, 3}
    assert all(torch.equal(rotated[n], x[n].rot90(int(k), (1, 2))) for n, k in enumerate(turns))


def test_same_generator_gives_same_images(images: Tensor) -> None:
    how = Augmentation(flip=True, crop=4, rotation=10, jitter=0.3, cutout=8)
    first, second = (augmentation.augment(images, how, NEVER, generator(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, augmentation.augment(images, how, NEVER, generator(6)))


VARIED = Augmentation(flip=True, crop=4, rotation=10, jitter=0.3, cutout=8)


def test_a_fixed_view_is_the_same_every_time_for_a_seed(images: Tensor) -> None:
    first, again = (augmentation.fixed_view(images, VARIED, 3, 1) for _ in range(2))
    assert first.dtype == images.dtype and first.shape == images.shape
    assert torch.equal(first, again)
    assert not torch.equal(first, augmentation.fixed_view(images, VARIED, 4, 1))


def test_fixed_views_differ_from_each_other_image_by_image(images: Tensor) -> None:
    views = [augmentation.fixed_view(images, VARIED, 0, number) for number in range(4)]
    for first, second in itertools.combinations(views, 2):
        assert (first != second).flatten(1).any(dim=1).all()


def test_fixed_views_are_mirrored_in_turn(images: Tensor) -> None:
    views = [augmentation.fixed_view(images, Augmentation(flip=True), 0, number) for number in range(3)]
    mirrored = augmentation.mirrored_first(len(images), 0)
    assert 16 < mirrored.sum() < 48
    for number, view in enumerate(views):
        turn = mirrored if number % 2 == 0 else ~mirrored
        assert torch.equal(view[turn], images[turn].flip(-1)) and torch.equal(view[~turn], images[~turn])


def test_fixed_view_of_nothing_switched_on_is_the_image(images: Tensor) -> None:
    assert torch.equal(augmentation.fixed_view(images, Augmentation(), 0, 5), images)


def test_fixed_views_are_those_of_augmentation_rounded_to_whole_numbers(images: Tensor) -> None:
    how = Augmentation(jitter=0.3)
    expected = augmentation.augment(images, how, NEVER, torch_generator(2, "view", 1)) * 255
    view = augmentation.fixed_view(images, how, 2, 1)
    assert (view.float() - expected).abs().max() <= 0.5 + 1e-4


def test_however_many_are_viewed_at_once_each_has_a_view(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augmentation, "VIEWED_AT_ONCE", 30)
    view = augmentation.fixed_view(images, VARIED, 0, 0)
    assert view.shape == images.shape and (view != images).flatten(1).any(dim=1).all()


def test_lengths_grow_with_the_stored_image() -> None:
    how = Augmentation(crop=4, cutout=8, rotation=10.0)
    assert how.at(32) == how
    assert how.at(40) == Augmentation(crop=5, cutout=10, rotation=10.0)
