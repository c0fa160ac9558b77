"""CIFAR-10 (Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html), read and fetched by torchvision."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from study.data.descriptions import shipped
from study.data.sources import Unavailable
from study.errors import StudyError

if TYPE_CHECKING:
    from study.data.datasets import Dataset

FILES = "cifar-10-batches-py/*"
DOWNLOAD_TIMEOUT_SECONDS = 20


def load(root: Path) -> Dataset:
    """The official training and test images, in this order."""
    import torch

    from study.data.datasets import Dataset, fingerprint, splits

    _require_present(root)
    from torchvision.datasets import CIFAR10

    try:
        parts = [CIFAR10(str(root), train=train, download=False) for train in (True, False)]
    except OSError as error:
        raise StudyError(f"CIFAR-10 in {root} cannot be read: {error.strerror}") from error
    except RuntimeError as error:
        raise StudyError(
            f"CIFAR-10 in {root} is corrupt: an MD5 sum does not match; remove {root / CIFAR10.base_folder} "
            "and run again to download it afresh"
        ) from error
    pixels = np.concatenate([part.data for part in parts])
    labels = np.concatenate([np.asarray(part.targets, dtype=np.int64) for part in parts])
    classes = tuple(parts[0].classes)
    return Dataset(
        name="cifar10",
        title="CIFAR-10",
        images=torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        labels=torch.from_numpy(labels),
        classes=classes,
        fingerprint=fingerprint(pixels, labels),
        folder=str(root.resolve()),
        description=shipped("cifar10"),
        **splits(labels, np.arange(len(labels)) >= len(parts[0].targets)),
    )


def _require_present(root: Path) -> None:
    """Make sure torchvision's folder is below ``root``, downloading it into an absent or empty root."""
    from torchvision.datasets import CIFAR10

    if (root / CIFAR10.base_folder).is_dir():
        return
    if root.exists() and (not root.is_dir() or any(map(_foreign, root.iterdir()))):
        raise StudyError(f"{root} does not hold CIFAR-10: expected {root / CIFAR10.base_folder} (torchvision's layout)")
    try:
        with network_timeout():
            CIFAR10(str(root), download=True)
    except Exception as error:  # urllib, socket, ssl and OS errors all mean that it could not be fetched
        raise Unavailable(
            f"CIFAR-10 is not in {root} and the download failed ({type(error).__name__}); name its folder with --data"
        ) from error


def _foreign(path: Path) -> bool:
    """Whether a file or folder has no place beside CIFAR-10: neither an archive, hidden, another set nor an extra."""
    from study.data.sources.torchvision_sets import SETS

    told = shipped("cifar10")
    others = (each.folder.partition("/")[0] for each in SETS.values())
    return not any(map(path.match, ("*.gz", ".*", told.human_labels, told.label_audit, *others)))


@contextmanager
def network_timeout() -> Iterator[None]:
    """Within the block a network that does not answer is given up soon."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
