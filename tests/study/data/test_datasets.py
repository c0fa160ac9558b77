from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from study.data import datasets
from study.experiment import Subset


def test_splits_partition_the_data_and_are_stratified() -> None:
    dataset = datasets.load("digits")
    everything = np.concatenate([dataset.train, dataset.validation, dataset.test])
    assert sorted(everything) == list(range(1797))
    shares = [
        np.bincount(dataset.labels[split]) / len(split) for split in (dataset.train, dataset.validation, dataset.test)
    ]
    assert np.ptp(shares, axis=0).max() < 0.01


def test_splits_and_fingerprint_are_the_same_every_time() -> None:
    first, second = datasets.load("digits"), datasets.load("digits")
    assert first.fingerprint == second.fingerprint
    assert all((getattr(first, s) == getattr(second, s)).all() for s in ("train", "validation", "test"))


def test_fingerprint_is_the_sha256_of_pixels_then_labels() -> None:
    dataset = datasets.load("digits")
    content = dataset.images.numpy().tobytes() + dataset.labels.numpy().astype("<i8").tobytes()
    assert dataset.fingerprint == hashlib.sha256(content).hexdigest()


def test_subset_is_stratified_and_drawn_from_its_split() -> None:
    whole, part = datasets.load("digits"), datasets.load("digits", subset=Subset(train=200, test=100))
    assert part.sizes == {"train": 200, "validation": whole.sizes["validation"], "test": 100}
    assert set(part.train.tolist()) <= set(whole.train.tolist())
    assert np.bincount(part.labels[part.train]).min() >= 19
    assert part.subset and not whole.subset


def test_description_says_what_the_images_are(digits: datasets.Dataset) -> None:
    described = digits.describe(ood="o", stamp="t")
    assert described.classes == digits.classes and described.sizes == {"train": 80, "validation": 40, "test": 70}
    assert (described.fingerprint, described.splits) == (digits.fingerprint, digits.splits_digest)
    assert described.stand_in and described.subset and (described.ood, described.stamp) == ("o", "t")


def test_digest_of_the_splits_changes_with_any_of_them(digits: datasets.Dataset) -> None:
    others = [replace(digits, **{split: getattr(digits, split)[:-1]}) for split in ("train", "validation", "test")]
    assert len({each.splits_digest for each in (digits, *others)}) == 4
    assert datasets.load("digits", subset=Subset(80, 40, 70)).splits_digest == digits.splits_digest
