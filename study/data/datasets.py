"""A study's images in memory, and the splits that all its runs share.

Images are uint8. Splits are stratified, seeded by a constant of the protocol, and so the same for every experiment and
every training seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from study.data import listing, sources, store
from study.data.listing import Listing
from study.data.splitting import drawn, stratified
from study.data.store import Images
from study.description import Channels, DataDescription, Description
from study.errors import StudyError, printable
from study.experiment import Subset

IMAGE_SIZE = 32  # the least that is stored; CIFAR-10's own
MEASURED_IMAGES = 5_000  # training images from which mean and standard deviation are taken
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Dataset:
    """Images (N, 3, S, S) uint8, labels (N,) int64, and one index tensor per split.

    ``fingerprint`` is the SHA-256 over all pixels and labels in canonical order, ``notice`` the sentence that must
    accompany stand-in data. ``numbers`` (N,) are the places of the images in their source, where not all of it is
    held; records name images by them. ``dimensions`` (N, 2) are the width and height that the images had,
    ``cut`` says how the splits came about, ``remarks`` what was left out.
    """

    name: str
    title: str
    images: Images
    labels: Tensor
    classes: tuple[str, ...]
    train: Tensor
    validation: Tensor
    test: Tensor
    fingerprint: str
    notice: str = ""
    folder: str = ""
    subset: bool = False
    source: str = ""
    numbers: Tensor | None = None
    dimensions: np.ndarray | None = None
    cut: str = ""
    remarks: tuple[str, ...] = ()
    description: Description = field(default_factory=Description)

    @property
    def size(self) -> int:
        """Side of the stored images in px."""
        return self.images.shape[-1]

    @property
    def sizes(self) -> dict[str, int]:
        """Images per split."""
        return {name: len(getattr(self, name)) for name in PARTS}

    @property
    def counts(self) -> dict[str, tuple[int, ...]]:
        """Images per split and class."""
        count = len(self.classes)
        return {name: tuple(self.labels[getattr(self, name)].bincount(minlength=count).tolist()) for name in PARTS}

    @property
    def splits_digest(self) -> str:
        """SHA-256 over the three splits' indices."""
        parts = (self.numbered(name).astype("<i8").tobytes() for name in PARTS)
        return hashlib.sha256(b"|".join(parts)).hexdigest()

    def spread(self, split: str, count: int) -> Tensor:
        """At most so many indices of a split, evenly spaced, as a source may list one class after the other."""
        there = getattr(self, split)
        return there[evenly(len(there), count)]

    def of(self, split: str) -> Images:
        """Images (N, 3, S, S) of a split."""
        return self.at(getattr(self, split))

    def at(self, chosen: Tensor) -> Images:
        """The images (N, 3, S, S) at these indices: copied in memory, or still in their file."""
        return self.images[chosen] if isinstance(self.images, Tensor) else self.images.take(chosen)

    def numbered(self, split: str) -> np.ndarray:
        """Places of a split's images in their source, (N,)."""
        chosen = getattr(self, split)
        return (chosen if self.numbers is None else self.numbers[chosen]).numpy()

    def with_numbers(self, wanted: np.ndarray) -> Tensor:
        """The images (K, 3, S, S) at these places in their source."""
        numbers = np.arange(len(self.labels)) if self.numbers is None else self.numbers.numpy()
        return self.images[torch.from_numpy(np.searchsorted(numbers, wanted))]

    @cached_property
    def statistics(self) -> tuple[Channels, Channels]:
        """Mean and standard deviation per channel of training pixels in [0, 1], described or else measured."""
        if self.description.mean and self.description.std:
            return self.description.mean, self.description.std
        total, square, count = torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64), 0
        for part in self.at(self.spread("train", MEASURED_IMAGES)).split(100):
            pixels = part.double().div(255).transpose(0, 1).flatten(1)
            total, square, count = total + pixels.sum(1), square + pixels.square().sum(1), count + pixels.shape[1]
        mean = total / count
        deviation = (square / count - mean.square()).clamp_min(1 / 255**2).sqrt()
        first, second = ([round(float(value), 4) for value in each] for each in (mean, deviation))
        return (first[0], first[1], first[2]), (second[0], second[1], second[2])

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
            self.size,
            self.folder,
            self.subset,
            ood,
            stamp,
            source=self.source or self.name,
            counts=self.counts,
            dimensions=_extent(self.dimensions, self.size),
            cut=self.cut,
            remarks=self.remarks,
            description=self.description,
        )


def _extent(dimensions: np.ndarray | None, size: int) -> tuple[int, int, int, int]:
    """Width and height of the smallest and of the largest image, by area."""
    if dimensions is None:
        return (size, size, size, size)
    order = np.argsort(dimensions.prod(axis=1), kind="stable")
    smallest, largest = dimensions[order[0]], dimensions[order[-1]]
    return int(smallest[0]), int(smallest[1]), int(largest[0]), int(largest[1])


def load(
    name: str = "auto",
    folder: str | None = None,
    subset: Subset | None = None,
    largest: int = IMAGE_SIZE,
    description: Description | None = None,
) -> Dataset:
    """Load a dataset and cut it into splits.

    ``name`` is that of a dataset, or the path of a folder or a table. ``folder`` is the root of torchvision's layout;
    "auto" is CIFAR-10 where it can be had, else digits. Images that are not decoded yet are stored with at most
    ``largest`` px a side. ``description`` takes the place of what comes with the data. StudyError
    for an unknown name, a folder that does not hold the dataset, or a corrupt one.
    """
    root = sources.folder_of(folder)
    if name != "auto":
        source, place = sources.find(name, root)
        return _described(source.load(place), description, subset, largest)
    try:
        return _described(sources.named("cifar10").load(root), description, subset, largest)
    except sources.Unavailable:
        return _described(sources.named("digits").stand_in(root), description, subset, largest)


def _described(
    found: Dataset | Listing, description: Description | None, subset: Subset | None, largest: int
) -> Dataset:
    """What a source found, as much as is wanted of it, with what is known of it."""
    told = description or found.description
    found = replace(found, description=told, title=told.title or found.title)
    subset = subset and subset.of(len(found.classes))
    dataset = cut(found, subset) if isinstance(found, Dataset) else decoded(found, subset, largest)
    told.coarse(dataset.classes)
    return replace(dataset, notice=dataset.notice or told.notice, cut=told.cut or dataset.cut)


def decoded(found: Listing, subset: Subset | None, largest: int) -> Dataset:
    """Check a listing, split it, keep the subset, decode it, and leave out what would leak into validation or test."""
    listing.check(found)
    indices, words = drawn(found.labels, found.split)
    whole = {name: len(rows) for name, rows in indices.items()}
    indices = _kept(indices, found.labels, subset)
    rows = np.sort(np.concatenate(list(indices.values())))
    made = store.decoded(found, rows, max(largest, IMAGE_SIZE), IMAGE_SIZE)
    places = {name: np.searchsorted(rows, part) for name, part in indices.items()}
    places, remark = _without_leaks(places, made.digests)
    labels = found.labels[rows]
    _require_every_class(places, labels, found)
    return Dataset(
        name=found.name,
        title=found.title,
        images=made.images,
        labels=torch.from_numpy(labels),
        classes=found.classes,
        fingerprint=fingerprint(made.digests, labels),
        folder=found.folder,
        subset={name: len(part) for name, part in indices.items()} != whole,
        source=found.source,
        numbers=torch.from_numpy(rows),
        dimensions=made.dimensions,
        cut=words,
        remarks=(*found.remarks, *remark),
        description=found.description,
        **_tensors(places),
    )


def evenly(there: int, count: int) -> Tensor:
    """At most ``count`` of so many positions, evenly spaced, (n,) int64."""
    return torch.linspace(0, there - 1, min(count, there)).round().long()


def _tensors(parts: dict[str, np.ndarray]) -> dict[str, Any]:
    """Indices per split, as fields of a Dataset."""
    return {name: torch.from_numpy(part) for name, part in parts.items()}


def _without_leaks(places: dict[str, np.ndarray], digests: np.ndarray) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Keep an image that several splits have in the last of them: test before validation before training."""
    keys = [bytes(digest) for digest in digests]
    taken: set[bytes] = set()
    kept, leaked = {}, 0
    for name in reversed(PARTS):
        fresh = np.array([keys[place] not in taken for place in places[name]], dtype=bool)
        kept[name], leaked = places[name][fresh], leaked + int((~fresh).sum())
        taken |= {keys[place] for place in places[name]}
    words = f"{leaked} {'image' if leaked == 1 else 'images'} with the very pixels of a validation or test image"
    return kept, ((f"{words} left out of the training or validation images",) if leaked else ())


def _require_every_class(places: dict[str, np.ndarray], labels: np.ndarray, found: Listing) -> None:
    for name, part in places.items():
        if lacking := [each for number, each in enumerate(found.classes) if number not in labels[part]]:
            raise StudyError(
                f"{printable(found.source)} leaves no image of {listing.some(lacking)} for {name}; add images, other "
                "ones than the later splits have"
            )


def splits(labels: np.ndarray, in_test: np.ndarray) -> dict[str, Any]:
    """Train, validation and test indices, as fields of a Dataset.

    Validation is a stratified fifth of what is not ``in_test`` (N,) bool; where nothing is, a sixth is drawn for
    testing first.
    """
    indices, _ = drawn(labels, np.where(in_test, "test", ""))
    return _tensors(indices)


def fingerprint(pixels: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 (hex) over pixels, or their digests, in the order that a dataset's source gives them, and labels (N,)."""
    sha = hashlib.sha256(np.ascontiguousarray(pixels).tobytes())
    sha.update(labels.astype("<i8").tobytes())
    return sha.hexdigest()


def _kept(indices: dict[str, np.ndarray], labels: np.ndarray, subset: Subset | None) -> dict[str, np.ndarray]:
    """At most the subset's number of images of each split, stratified."""
    if subset is None:
        return indices
    wanted = {name: getattr(subset, name) for name in PARTS}
    return {
        name: part if wanted[name] is None else stratified(part, labels, wanted[name]) for name, part in indices.items()
    }


def cut(dataset: Dataset, subset: Subset | None) -> Dataset:
    """Keep at most the subset's number of images in each split, stratified."""
    kept = _kept({name: getattr(dataset, name).numpy() for name in PARTS}, dataset.labels.numpy(), subset)
    fewer = any(len(part) < size for part, size in zip(kept.values(), dataset.sizes.values(), strict=True))
    return replace(dataset, subset=dataset.subset or fewer, **_tensors(kept))
