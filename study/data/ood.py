"""Out-of-distribution (OOD) images, which belong to none of the classes: a second dataset to tell from the study's own.

Unless one is asked for, Fashion-MNIST where its raw files lie beside the data in torchvision's layout, else
scikit-learn's digits, unless those are what the study classifies.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional

from study.data import datasets, image_files, sources
from study.data.datasets import IMAGE_SIZE, Dataset
from study.errors import StudyError

FASHION = "FashionMNIST"
NONE_AVAILABLE = (
    "there is no second dataset: place Fashion-MNIST in torchvision's layout (FashionMNIST/raw) beside the data"
)


@dataclass(frozen=True)
class OodImages:
    """Images (N, 3, 32, 32) uint8 of a dataset called ``title``; the SHA-256 of their pixels is the fingerprint."""

    title: str
    images: Tensor

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over all pixels."""
        return hashlib.sha256(self.images.numpy().tobytes()).hexdigest()


def available(dataset: Dataset, asked: str = "") -> OodImages | None:
    """OOD images for a study of ``dataset``, at most as many as it has test images; None where there are none.

    ``asked`` names a dataset or a folder of images of any size. StudyError when that, or Fashion-MNIST where it is,
    cannot be read, and when it is what the study classifies.
    """
    limit = len(dataset.test)
    folder = sources.folder_of(dataset.folder)
    if asked:
        return _asked(asked, dataset, limit)
    if (folder / FASHION / "raw").is_dir():
        return OodImages("Fashion-MNIST", _evenly(_fashion_mnist(folder), limit))
    if dataset.name != "digits":
        return OodImages("scikit-learn's digits", _evenly(datasets.load("digits").images, limit))
    return None


def _asked(asked: str, dataset: Dataset, limit: int) -> OodImages:
    if sources.is_name(asked):
        other = datasets.load(asked, dataset.folder or None)
        if other.name == dataset.name:
            raise StudyError(f"--ood {asked} is what the study classifies; choose another dataset or a folder")
        return OodImages(other.title, _evenly(other.images, limit))
    folder = Path(asked)
    if not folder.is_dir():
        raise StudyError(f"--ood takes the name of a dataset or a folder of images, and {asked!r} is neither")
    files = image_files.below(folder)
    chosen = [files[number] for number in _positions(len(files), limit)]
    return OodImages(folder.resolve().name, torch.from_numpy(_read(chosen)))


def _read(files: list[Path]) -> np.ndarray:
    """The files as uint8 (N, 3, 32, 32): turned as their EXIF says, in RGB, the middle square resized.

    StudyError names those that cannot be read.
    """
    pixels, broken = np.empty((len(files), 3, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8), list[str]()
    for row, file in enumerate(files):
        try:
            with Image.open(file) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
            square = ImageOps.fit(upright, (IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
            pixels[row] = np.asarray(square).transpose(2, 0, 1)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # what Pillow's decoders raise
            broken.append(file.name)
    if broken:
        named = ", ".join(broken[: image_files.NAMED]) + (", ..." if len(broken) > image_files.NAMED else "")
        raise StudyError(f"{len(broken)} of the images of --ood cannot be read: {named}; replace or remove them")
    return pixels


def _positions(there: int, limit: int) -> list[int]:
    """At most ``limit`` of so many positions, evenly spaced, the same every time."""
    return torch.linspace(0, there - 1, min(limit, there)).round().long().tolist()


def _evenly(images: Tensor, limit: int) -> Tensor:
    """At most ``limit`` of the images, evenly spaced, the same every time."""
    return images[_positions(len(images), limit)].contiguous()


def _fashion_mnist(folder: Path) -> Tensor:
    from torchvision.datasets import FashionMNIST

    try:
        grey = FashionMNIST(str(folder), train=False, download=False).data
    except Exception as error:  # torchvision raises what its parser stumbles over
        raise StudyError(
            f"Fashion-MNIST in {folder / FASHION} is damaged or incomplete; replace or remove it"
        ) from error
    large = functional.interpolate(grey[:, None].float(), size=IMAGE_SIZE, mode="bilinear", align_corners=False)
    return large.round().to(torch.uint8).expand(-1, 3, -1, -1)
