"""Random transforms of whole batches, drawn per image, on whatever device the batch is on."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from study.data.store import Images, written
from study.experiment import Augmentation
from study.streams import torch_generator

VIEWED_AT_ONCE = 1_000


def augment(images: Tensor, how: Augmentation, mirrored: Tensor, generator: torch.Generator) -> Tensor:
    """uint8 images (N, 3, H, W) -> float images of the same shape in [0, 1], each transformed afresh.

    ``mirrored`` (N,) says which ones it is the turn of to be flipped. Random numbers come from
    ``generator``, a CPU generator, so that every device draws the same.
    """
    x, how = images, how.at(images.shape[-1])
    if how.crop:
        x = random_crop(x, how.crop, generator)
    if how.flip:
        x = torch.where(mirrored[:, None, None, None], x.flip(-1), x)
    x = x.float().div_(255)
    if how.jitter:
        x = color_jitter(x, how.jitter, generator)
    if how.rotation:
        x = random_rotation(x, how.rotation, generator)
    if how.cutout:
        x = cutout(x, how.cutout, generator)
    return x


def mirrored_first(count: int, seed: int) -> Tensor:
    """Which of ``count`` images are mirrored the first time they are seen, (N,) bool; then each every other time.

    Jordan 2024, https://arxiv.org/abs/2404.00498
    """
    return torch.rand(count, generator=torch_generator(seed, "flip")) < 0.5


def fixed_view(images: Images, how: Augmentation, seed: int, number: int) -> Images:
    """View ``number`` (from 0) of every image: uint8 (N, 3, H, W) in and out, always the same for a seed.

    Of images in a file it is written to another one.
    """
    generator = torch_generator(seed, "view", number)
    mirrored = (mirrored_first(len(images), seed) ^ bool(number % 2)).to(images.device)
    turns = zip(images.split(VIEWED_AT_ONCE), mirrored.split(VIEWED_AT_ONCE), strict=True)
    parts = (augment(part, how, turn, generator).mul_(255).round_().to(torch.uint8) for part, turn in turns)
    if not isinstance(images, Tensor):
        return written(parts, images)
    made = torch.empty_like(images)
    for place, part in zip(made.split(VIEWED_AT_ONCE), parts, strict=True):
        place.copy_(part)
    return made


def _uniform(images: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """One number per image in [low, high), shape (N,), on the images' device."""
    return torch.rand(len(images), generator=generator).mul_(high - low).add_(low).to(images.device)


def random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Pad by reflection, then cut each image (N, 3, H, W) at an offset of its own."""
    n, _, height, width = images.shape
    offsets = torch.randint(0, 2 * padding + 1, (2, n), generator=generator).to(images.device)
    padded = functional.pad(images.float(), (padding,) * 4, mode="reflect").to(images.dtype)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (N, 3, 2·padding + 1, 2·padding + 1, H, W), a view
    return windows[torch.arange(n, device=images.device), :, offsets[0], offsets[1]]


def random_rotation(x: Tensor, degrees: float, generator: torch.Generator) -> Tensor:
    """Rotate each float image in [0, 1] about its centre by an angle uniform in ±``degrees``, with reflected edges.

    Bicubic, as bilinear interpolation would blur every training image and no test image.
    """
    angle = _uniform(x, -degrees, degrees, generator) * (math.pi / 180)
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    theta = torch.stack((cosine, -sine, zero, sine, cosine, zero), dim=1).view(-1, 2, 3)
    grid = functional.affine_grid(theta, list(x.shape), align_corners=False)
    turned = functional.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
    return turned.clamp_(0, 1)


def color_jitter(x: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Scale brightness, contrast and saturation of float images in [0, 1], in this order, then clamp.

    Each factor is uniform in 1 ± ``strength``; contrast is taken about the image's mean grey, grey
    being ITU-R BT.601 luma, as in torchvision.
    """
    brightness, contrast, saturation = (
        _uniform(x, 1 - strength, 1 + strength, generator)[:, None, None, None] for _ in range(3)
    )
    gain, grey = brightness * contrast, _grey(x)
    mean = brightness * grey.mean(dim=(1, 2, 3), keepdim=True)
    # The three steps are linear in x, its grey and its mean grey, so that one pass does for all.
    return torch.addcmul((1 - saturation) * gain * grey + (1 - contrast) * mean, saturation * gain, x).clamp_(0, 1)


def _grey(x: Tensor) -> Tensor:
    luma = torch.tensor((0.299, 0.587, 0.114), device=x.device).view(1, 3, 1, 1)
    return torch.linalg.vecdot(x, luma, dim=1).unsqueeze(1)


def cutout(x: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Set one square of ``side`` px per image to the image's mean (DeVries & Taylor 2017).

    https://arxiv.org/abs/1708.04552
    """
    height, width = x.shape[-2:]
    top = _uniform(x, 0, height - side + 1, generator).floor()[:, None, None, None]
    left = _uniform(x, 0, width - side + 1, generator).floor()[:, None, None, None]
    rows = torch.arange(height, device=x.device)[None, None, :, None]
    columns = torch.arange(width, device=x.device)[None, None, None, :]
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return torch.where(inside, x.mean(dim=(2, 3), keepdim=True), x)


def rotate_quarters(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Turn each image by a random multiple of 90°; returns the images and the multiples (N,) in 0..3."""
    turns = torch.randint(0, 4, (len(x),), generator=generator).to(x.device)
    rotated = torch.stack([x.rot90(k, (2, 3)) for k in range(4)])
    return rotated[turns, torch.arange(len(x), device=x.device)], turns


def mix(x: Tensor, targets: Tensor, alpha: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018, https://arxiv.org/abs/1710.09412) with one coefficient λ ~ Beta(α, α) per batch.

    ``targets`` (N, C) are class probabilities; both results are λ · own + (1 − λ) · partner's.
    """
    lam = float(rng.beta(alpha, alpha))
    partner = torch.from_numpy(rng.permutation(len(x))).to(x.device)
    return lam * x + (1 - lam) * x[partner], lam * targets + (1 - lam) * targets[partner]
