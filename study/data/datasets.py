"""The datasets: CIFAR-10, and scikit-learn's digits as a loudly announced stand-in.

Images live in memory as uint8. Splits are stratified, seeded by a constant of the protocol, and so
the same for every experiment and every training seed.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study.errors import StudyError

DATASETS = ("auto", "cifar10", "digits")
IMAGE_SIZE = 32
SPLIT_SEED = 2009
DOWNLOAD_TIMEOUT_SECONDS = 20
CIFAR_ANIMALS = frozenset({"bird", "cat", "deer", "dog", "frog", "horse"})
DIGITS_NOTICE = (
    "Stand-in data: these results are for scikit-learn's 1,797 scanned digits, not for CIFAR-10, "
    "which was not found and could not be downloaded."
)
DIGITS_CHOSEN = (
    "Stand-in data: these results are for scikit-learn's 1,797 scanned digits, as requested, not for CIFAR-10."
)


@dataclass(frozen=True)
class Subset:
    """How many images each split keeps at most; None keeps all."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None


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
    superclass: tuple[int, ...]
    train: Tensor
    validation: Tensor
    test: Tensor
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

    def describe(self) -> dict[str, Any]:
        """What study.json says about the data."""
        return {
            "name": self.name,
            "title": self.title,
            "fingerprint": self.fingerprint,
            "classes": list(self.classes),
            "sizes": self.sizes,
            "stand_in": bool(self.notice),
            "notice": self.notice,
            "image_size": IMAGE_SIZE,
            "folder": self.folder,
            "subset": self.subset,
        }


def load(name: str = "auto", folder: str | None = None, subset: Subset | None = None) -> Dataset:
    """Load a dataset and cut it into splits.

    ``folder`` is torchvision's root for CIFAR-10; without one ``$STUDY_DATA``, then ``./data``.
    "auto" is CIFAR-10 where it can be had, else digits. Raises StudyError for an unknown name, a
    folder that is not CIFAR-10, or a corrupt one.
    """
    if name not in DATASETS:
        raise StudyError(f"unknown dataset {name!r}; choose one of {', '.join(DATASETS)}")
    if name == "digits":
        return cut(_digits(DIGITS_CHOSEN), subset)
    root = Path(folder or os.environ.get("STUDY_DATA") or "data")
    try:
        return cut(_cifar10(root), subset)
    except _DownloadFailed as failure:
        if name == "cifar10":
            raise StudyError(f"CIFAR-10 is not in {root} and {failure}; name its folder with --data") from failure
        return cut(_digits(DIGITS_NOTICE), subset)


def reload(plan: dict[str, Any]) -> Dataset:
    """The dataset a study was run on, from its plan (study.json).

    Raises StudyError when the data have gone or are no longer the same.
    """
    described = plan["dataset"]
    if described["folder"] and not Path(described["folder"]).is_dir():
        raise StudyError(f"the data of this study are no longer in {described['folder']}")
    dataset = load(described["name"], described["folder"] or None, Subset(**described["sizes"]))
    if dataset.fingerprint != described["fingerprint"]:
        raise StudyError(f"the data in {described['folder']} are not those this study was run on")
    return dataset


class _DownloadFailed(Exception):
    """CIFAR-10 is absent and could not be fetched."""


def _cifar10(root: Path) -> Dataset:
    _require_present(root)
    from torchvision.datasets import CIFAR10

    try:
        parts = [CIFAR10(str(root), train=train, download=False) for train in (True, False)]
    except Exception as error:
        raise StudyError(
            f"CIFAR-10 in {root} is corrupt: an MD5 sum does not match; remove {root / CIFAR10.base_folder} "
            "and run again to download it afresh"
        ) from error
    pixels = np.concatenate([part.data for part in parts])
    labels = np.concatenate([np.asarray(part.targets, dtype=np.int64) for part in parts])
    classes = tuple(parts[0].classes)
    in_test = np.arange(len(labels)) >= len(parts[0].targets)
    dataset = Dataset(
        "cifar10",
        "CIFAR-10",
        _to_tensor(pixels),
        torch.from_numpy(labels),
        classes,
        tuple(int(name in CIFAR_ANIMALS) for name in classes),
        *_splits(labels, in_test),
        fingerprint=_fingerprint(pixels, labels),
        folder=str(root.resolve()),
    )
    return dataset


def _require_present(root: Path) -> None:
    """Make sure torchvision's folder is below ``root``, downloading it into an absent or empty root."""
    from torchvision.datasets import CIFAR10

    if (root / CIFAR10.base_folder).is_dir():
        return
    if root.exists() and (not root.is_dir() or any(p.suffix != ".gz" for p in root.iterdir())):
        raise StudyError(f"{root} does not hold CIFAR-10: expected {root / CIFAR10.base_folder} (torchvision's layout)")
    try:
        with _network_timeout():
            CIFAR10(str(root), download=True)
    except Exception as error:  # urllib, socket, ssl and OS errors all mean that it could not be fetched
        raise _DownloadFailed(f"the download failed ({type(error).__name__})") from error


@contextmanager
def _network_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _digits(notice: str) -> Dataset:
    from sklearn.datasets import load_digits
    from torch.nn.functional import interpolate

    digits = load_digits()
    grey = torch.from_numpy(digits.images).float().div(16).unsqueeze(1)
    large = interpolate(grey, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False)
    images = large.mul(255).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
    labels = digits.target.astype(np.int64)
    in_test = np.zeros(len(labels), dtype=bool)
    in_test[_draw(np.arange(len(labels)), labels, len(labels) // 6)] = True
    return Dataset(
        "digits",
        "Digits (stand-in)",
        images,
        torch.from_numpy(labels),
        tuple(map(str, digits.target_names)),
        tuple(int(n) % 2 for n in digits.target_names),
        *_splits(labels, in_test),
        fingerprint=_fingerprint(images.numpy(), labels),
        notice=notice,
    )


def _to_tensor(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def _fingerprint(pixels: np.ndarray, labels: np.ndarray) -> str:
    sha = hashlib.sha256(np.ascontiguousarray(pixels).tobytes())
    sha.update(labels.astype("<i8").tobytes())
    return sha.hexdigest()


def _splits(labels: np.ndarray, in_test: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Train, validation and test indices; validation is a stratified fifth of what is not test."""
    pool = np.flatnonzero(~in_test)
    validation = _draw(pool, labels, len(pool) // 5)
    train = np.setdiff1d(pool, validation)
    return torch.from_numpy(train), torch.from_numpy(validation), torch.from_numpy(np.flatnonzero(in_test))


def _draw(indices: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """A stratified sample of ``count`` of the indices, sorted, the same every time."""
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
            kept[name] = torch.from_numpy(_draw(getattr(dataset, name).numpy(), labels, wanted))
    return replace(dataset, subset=bool(kept), **kept)
