"""A study's images in memory, and the splits that all its runs share.

Images are uint8. Splits are stratified, seeded by a constant of the protocol, and so the same for every experiment and
every training seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study.data import sources
from study.experiment import Subset
from study.records import DataDescription

IMAGE_SIZE = 32
SPLIT_SEED = 2009


@dataclass(frozen=True)
class Dataset:
    """Images (N, 3, 32, 32) uint8, labels (N,) int64, and one index tensor per split.

    ``superclass`` gives each class's coarse class (0 or 1), ``fingerprint`` is the SHA-256 over all
    pixels and labels in canonical order, ``notice`` the sentence that must accompany stand-in data.
    """

    name: str
    title: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    train: Tensor
    validation: Tensor
    test: Tensor
    superclass: tuple[int, ...]
    fingerprint: str
    notice: str = ""
    folder: str = ""
    subset: bool = False

    @property
    def sizes(self) -> dict[str, int]:
        """Images per split."""
        return {name: len(getattr(self, name)) for name in ("train", "validation", "test")}

    @property
    def splits_digest(self) -> str:
        """SHA-256 over the three splits' indices."""
        parts = (getattr(self, name).numpy().astype("<i8").tobytes() for name in ("train", "validation", "test"))
        return hashlib.sha256(b"|".join(parts)).hexdigest()

    def describe(self, ood: str = "", stamp: str = "") -> DataDescription:
        """What study.json says about the data; ``ood`` is the fingerprint of the out-of-distribution images."""
        return DataDescription(
            self.name,
            self.title,
            self.fingerprint,
            self.splits_digest,
            self.classes,
            self.sizes,
            self.notice,
            IMAGE_SIZE,
            self.folder,
            self.subset,
            ood,
            stamp,
        )


def load(name: str = "auto", folder: str | None = None, subset: Subset | None = None) -> Dataset:
    """Load a dataset and cut it into splits.

    ``folder`` is the root of torchvision's layout; "auto" is CIFAR-10 where it can be had, else digits. StudyError
    for an unknown name, a folder that does not hold the dataset, or a corrupt one.
    """
    root = sources.folder_of(folder)
    if name != "auto":
        return cut(sources.named(name).load(root), subset)
    try:
        return cut(sources.named("cifar10").load(root), subset)
    except sources.Unavailable:
        return cut(sources.named("digits").stand_in(root), subset)


def splits(labels: np.ndarray, in_test: np.ndarray) -> dict[str, Any]:
    """Train, validation and test indices, as fields of a Dataset.

    Validation is a stratified fifth of what is not ``in_test`` (N,) bool.
    """
    pool = np.flatnonzero(~in_test)
    validation = stratified(pool, labels, len(pool) // 5)
    indices = {"train": np.setdiff1d(pool, validation), "validation": validation, "test": np.flatnonzero(in_test)}
    return {name: torch.from_numpy(split) for name, split in indices.items()}


def fingerprint(pixels: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 (hex) over pixels, in the order that a dataset's source gives them, and labels (N,)."""
    sha = hashlib.sha256(np.ascontiguousarray(pixels).tobytes())
    sha.update(labels.astype("<i8").tobytes())
    return sha.hexdigest()


def stratified(indices: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """A stratified sample of ``count`` of the indices, sorted, the same every time; ``labels`` (N,) of all images."""
    from sklearn.model_selection import train_test_split

    drawn, _ = train_test_split(indices, train_size=count, stratify=labels[indices], random_state=SPLIT_SEED)
    return np.sort(drawn)


def cut(dataset: Dataset, subset: Subset | None) -> Dataset:
    """Keep at most the subset's number of images in each split, stratified."""
    if subset is None:
        return dataset
    labels = dataset.labels.numpy()
    kept: dict[str, Any] = {}
    for name, size in dataset.sizes.items():
        wanted = getattr(subset, name)
        if wanted is not None and wanted < size:
            kept[name] = torch.from_numpy(stratified(getattr(dataset, name).numpy(), labels, wanted))
    return replace(dataset, subset=dataset.subset or bool(kept), **kept)
