"""Labelled images as a source lists them, before any is decoded, and what they must fulfil."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from study.description import Description
from study.errors import StudyError, printable

if TYPE_CHECKING:
    from PIL import Image

SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
FEWEST_IMAGES, FEWEST_CLASSES, NAMED_AT_MOST = 10, 2, 10


@dataclass(frozen=True)
class Listing:
    """Images (N) by number: how to open one, its name, its label (N,), and its split (N,), "" where none is given.

    ``stamp`` changes whenever the images may have, ``remarks`` say what was left out, each a sentence, and
    ``source`` is what --dataset takes to find them again.
    """

    name: str
    title: str
    source: str
    folder: str
    stamp: str
    open: Callable[[int], Image.Image]
    names: Sequence[str]
    labels: np.ndarray
    split: np.ndarray
    classes: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    description: Description = field(default_factory=Description)

    def counts(self, split: str) -> np.ndarray:
        """Images per class (C,) of a split."""
        return np.bincount(self.labels[self.split == split], minlength=len(self.classes))


def split_of(name: str) -> str:
    """The split that a folder or a cell of a table names, by any of its usual names; empty where it names none."""
    return next((split for split, names in SPLITS.items() if name.strip().lower() in names), "")


def some(names: Sequence[str]) -> str:
    """Names as part of a message on one line, at most ten of them."""
    more = len(names) - NAMED_AT_MOST
    return ", ".join(map(printable, names[:NAMED_AT_MOST])) + (f" and {more} more" if more > 0 else "")


def check(listing: Listing) -> None:
    """StudyError, one line, for classes that cannot be told apart, are too few, too small or not in every split."""
    where, classes = printable(listing.source), listing.classes
    if len(classes) < FEWEST_CLASSES:
        found = f"only the class {printable(classes[0])}" if classes else "no class"
        raise StudyError(f"{where} holds {found}; a study needs two or more, each a folder (or label) of its own")
    for name in classes:
        if not name.strip() or not name.isprintable():
            raise StudyError(
                f"{where} has the class name {name!r}; give it one without line breaks or control characters"
            )
    folded: dict[str, str] = {}
    for name in classes:
        if (same := folded.setdefault(name.casefold(), name)) != name:
            raise StudyError(
                f"{where} has the classes {same} and {name}, which differ only in case; give both one name"
            )
    _check_sizes(listing)


def _check_sizes(listing: Listing) -> None:
    where, classes = printable(listing.source), np.array(listing.classes)
    total = np.bincount(listing.labels, minlength=len(classes))
    if len(empty := classes[total == 0]):
        raise StudyError(f"{where} has no image of {some(list(empty))}; add images or remove the class")
    for split in [name for name in SPLITS if (listing.split == name).any()]:
        if len(absent := classes[listing.counts(split) == 0]):
            raise StudyError(
                f"{where} has different classes in its splits: there is no image of {some(list(absent))} in {split}"
            )
    if len(small := np.flatnonzero(total < FEWEST_IMAGES)):
        few = [f"{classes[label]} ({total[label]})" for label in small]
        raise StudyError(
            f"{where} has fewer than {FEWEST_IMAGES} images of {some(few)}; add images or remove the class"
        )
