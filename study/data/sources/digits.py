"""scikit-learn's digits: a small real dataset that stands in for CIFAR-10, always announced."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from study.data.datasets import Dataset

FILES = ""  # part of scikit-learn
NOTICE = "Stand-in data: these results are for scikit-learn's 1,797 scanned digits, {reason}"
CHOSEN = NOTICE.format(reason="as requested, not for CIFAR-10.")
INSTEAD = NOTICE.format(reason="not for CIFAR-10, which was not found and could not be downloaded.")


def load(root: Path) -> Dataset:
    """The digits, chosen on purpose."""
    return _digits(root, CHOSEN)


def stand_in(root: Path) -> Dataset:
    """The digits in place of a dataset that could not be had."""
    return _digits(root, INSTEAD)


def _digits(root: Path, notice: str) -> Dataset:
    """Scans of 8×8 px enlarged to 32×32 RGB."""
    import torch
    from sklearn.datasets import load_digits
    from torch.nn.functional import interpolate

    from study.data.datasets import IMAGE_SIZE, Dataset, fingerprint, splits
    from study.data.descriptions import shipped

    digits = load_digits()
    grey = torch.from_numpy(digits.images).float().div(16).unsqueeze(1)
    large = interpolate(grey, size=(IMAGE_SIZE, IMAGE_SIZE), mode="bilinear", align_corners=False)
    images = large.mul(255).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
    labels = digits.target.astype(np.int64)
    return Dataset(
        name="digits",
        title="Digits (stand-in)",
        images=images,
        labels=torch.from_numpy(labels),
        classes=tuple(map(str, digits.target_names)),
        fingerprint=fingerprint(images.numpy(), labels),
        notice=notice,
        folder=str(root.resolve()),
        description=shipped("digits"),
        **splits(labels, np.zeros(len(labels), dtype=bool)),
    )
