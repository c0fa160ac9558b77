"""Out-of-distribution (OOD) images, which belong to none of the classes: a second dataset to tell from the study's own.

Fashion-MNIST where its raw files lie beside the data in torchvision's layout, else scikit-learn's
digits, unless such are what the study classifies.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from study.data import datasets, sources
from study.data.datasets import Dataset
from study.errors import StudyError

FASHION = "FashionMNIST"
NONE_AVAILABLE = (
    "there is no second dataset: place Fashion-MNIST in torchvision's layout (FashionMNIST/raw) beside the data"
)


@dataclass(frozen=True)
class OodImages:
    """Images (N, 3, S, S) uint8 of a dataset called ``title``; the SHA-256 of their pixels is the fingerprint."""

    title: str
    images: Tensor

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over all pixels."""
        return hashlib.sha256(self.images.numpy().tobytes()).hexdigest()


def available(dataset: Dataset) -> OodImages | None:
    """OOD images for a study of ``dataset``, of its size and at most as many as it tests; None where there are none.

    StudyError when Fashion-MNIST is there but cannot be read.
    """
    limit, size = len(dataset.test), dataset.size
    folder = sources.folder_of(dataset.folder)
    if (folder / FASHION / "raw").is_dir() and dataset.name != "fashion-mnist":
        return OodImages("Fashion-MNIST", _resized(_evenly(_fashion_mnist(folder), limit), size))
    if not {*dataset.classes} & {*"0123456789"}:
        digits = datasets.load("digits").images
        assert isinstance(digits, Tensor)
        return OodImages("scikit-learn's digits", _resized(_evenly(digits, limit), size))
    return None


def _evenly(images: Tensor, limit: int) -> Tensor:
    """At most ``limit`` of the images, evenly spaced, the same every time."""
    count = min(limit, len(images))
    return images[torch.linspace(0, len(images) - 1, count).round().long()].contiguous()


def _fashion_mnist(folder: Path) -> Tensor:
    from torchvision.datasets import FashionMNIST

    try:
        grey = FashionMNIST(str(folder), train=False, download=False).data
    except Exception as error:  # torchvision raises what its parser stumbles over
        raise StudyError(
            f"Fashion-MNIST in {folder / FASHION} is damaged or incomplete; replace or remove it"
        ) from error
    return grey[:, None].expand(-1, 3, -1, -1)


def _resized(images: Tensor, size: int) -> Tensor:
    """uint8 images (N, 3, H, W) as squares of ``size`` px."""
    if images.shape[-2:] == (size, size):
        return images.contiguous()
    resized = functional.interpolate(images.float(), size=size, mode="bilinear", align_corners=False)
    return resized.round().to(torch.uint8)
