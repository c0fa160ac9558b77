"""A second dataset, whose images belong to none of the classes."""

from __future__ import annotations

import gzip
import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from study.data import ood
from study.data.datasets import Dataset
from study.errors import StudyError


@pytest.fixture
def small(digits: Dataset, tmp_path: Path) -> Dataset:
    """The session's digits, as if their data folder were an empty one."""
    return replace(digits, folder=str(tmp_path))


def place_fashion_mnist(root: Path, images: int = 9) -> np.ndarray:
    """Write a tiny test set in the format of LeCun's MNIST files; returns its pixels."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 28, 28), dtype=np.uint8)
    for split in ("train", "t10k"):
        content = struct.pack(">IIII", 0x803, images, 28, 28) + pixels.tobytes()
        (raw / f"{split}-images-idx3-ubyte").write_bytes(content)
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, images) + bytes(images))
    return pixels


@pytest.fixture
def animals(small: Dataset) -> Dataset:
    """The same as if they showed no digits."""
    return replace(small, name="animals", classes=tuple("abcdefghij"))


def test_digits_have_no_ood_images_of_their_own(small: Dataset) -> None:
    assert ood.available(small) is None


def test_other_digits_are_no_images_of_none_of_the_classes(small: Dataset) -> None:
    assert ood.available(replace(small, name="mnist")) is None


def test_another_study_takes_the_digits(animals: Dataset) -> None:
    found = ood.available(animals)
    assert found is not None and found.title == "scikit-learn's digits"
    assert found.images.shape == (len(animals.test), 3, 32, 32)


def test_fashion_mnist_is_preferred_where_it_lies_beside_the_data(small: Dataset) -> None:
    pixels = place_fashion_mnist(Path(small.folder))
    found = ood.available(small)
    assert found is not None and found.title == "Fashion-MNIST" and found.images.shape == (9, 3, 32, 32)
    np.testing.assert_allclose(found.images.float().mean(), pixels.mean(), rtol=0.03)


def test_damaged_fashion_mnist_is_refused(small: Dataset) -> None:
    place_fashion_mnist(Path(small.folder))
    (Path(small.folder) / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(gzip.compress(b"no images"))
    with pytest.raises(StudyError, match="Fashion-MNIST in .* is damaged or incomplete"):
        ood.available(small)


def test_they_have_the_size_that_the_study_stores(animals: Dataset) -> None:
    larger = animals.images[:].float().repeat_interleave(2, -1).repeat_interleave(2, -2).byte()
    found = ood.available(replace(animals, images=larger))
    assert found is not None and found.images.shape == (len(animals.test), 3, 64, 64)


def test_fingerprint_is_the_sha256_of_the_pixels(animals: Dataset) -> None:
    found = ood.available(animals)
    assert found is not None
    assert found.fingerprint == hashlib.sha256(found.images.numpy().tobytes()).hexdigest()
