"""Out-of-distribution (OOD) images, which belong to none of the classes: a second dataset to tell from the study's own.

Unless one is asked for, Fashion-MNIST where its raw files lie below --data in torchvision's layout, else
scikit-learn's digits, unless such are what the study classifies.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from study.data import datasets, sources, store
from study.data.datasets import Dataset
from study.data.pixels import files_below
from study.data.sources.folder import listing_of
from study.data.store import Images
from study.errors import StudyError

FASHION = "FashionMNIST"
AT_ONCE = 500  # images that are hashed or resized: as floats they take four times the memory
NONE_AVAILABLE = (
    "there is no second dataset: place Fashion-MNIST in torchvision's layout (FashionMNIST/raw) below --data"
)


@dataclass(frozen=True)
class OodImages:
    """Images (N, 3, S, S) uint8 of a dataset called ``title``; the SHA-256 of their pixels is the fingerprint."""

    title: str
    images: Images

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over all pixels."""
        found = hashlib.sha256()
        for part in self.images.split(AT_ONCE):
            found.update(part.numpy().tobytes())
        return found.hexdigest()


def available(dataset: Dataset, folder: Path, asked: str = "") -> OodImages | None:
    """OOD images for a study of ``dataset``, of its size and at most as many as it tests; None where there are none.

    ``folder`` is the one of --data; ``asked`` names a dataset there or a folder of images of any size. StudyError when
    that, or Fashion-MNIST where it is, cannot be read, and when it is what the study classifies.
    """
    limit, size = len(dataset.test), dataset.size
    if asked:
        return _asked(asked, folder, dataset, limit)
    if (folder / FASHION / "raw").is_dir() and dataset.name != "fashion-mnist":
        return OodImages("Fashion-MNIST", _resized(_evenly(_fashion_mnist(folder), limit), size))
    if not {*dataset.classes} & {*"0123456789"}:
        digits = datasets.load("digits").images
        assert isinstance(digits, Tensor)
        return OodImages("scikit-learn's digits", _resized(_evenly(digits, limit), size))
    return None


def _asked(asked: str, data: Path, dataset: Dataset, limit: int) -> OodImages:
    if asked in sources.names():
        other = datasets.load(asked, str(data), largest=dataset.size)
        if other.name == dataset.name:
            raise StudyError(f"--ood {asked} is what the study classifies; choose another dataset or a folder")
        chosen = other.images[datasets.evenly(len(other.images), limit)]
        return OodImages(other.title, _resized(chosen, dataset.size))
    folder = Path(asked)
    files = files_below(folder)
    if not _files(dataset).isdisjoint(file.resolve() for file in files):
        raise StudyError(f"--ood {asked} holds images that the study classifies; choose other ones")
    taken = [files[number] for number in datasets.evenly(len(files), limit)]
    listing = listing_of(folder, folder, [("", "", file) for file in taken], [""], ())
    made = store.decoded(listing, np.arange(len(taken)), dataset.size, dataset.size)
    return OodImages(folder.resolve().name, made.images)


def _files(dataset: Dataset) -> set[Path]:
    """Where the images of a dataset that has a path lie, if it is on this machine."""
    if not dataset.source or sources.is_name(dataset.source) or not Path(dataset.source).exists():
        return set()
    source, place = sources.find(dataset.source, Path())
    return {Path(name).resolve() for name in source.load(place).names}


def _evenly(images: Tensor, limit: int) -> Tensor:
    """At most ``limit`` of the images, evenly spaced, the same every time."""
    return images[datasets.evenly(len(images), limit)].contiguous()


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
    parts = (
        functional.interpolate(part.float(), size=size, mode="bilinear", align_corners=False)
        for part in images.split(AT_ONCE)
    )
    return torch.cat([part.round().to(torch.uint8) for part in parts])
