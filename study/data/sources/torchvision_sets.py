"""Classification sets that torchvision can read, in its layout and downloaded where it can.

Each is asked for its parts in one of three ways: a switch ``train``, a name ``split``, or nothing where there is but
one part. Labels are what torchvision gives; where a set has no test images, they are cut from the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from study.data.descriptions import shipped
from study.data.listing import Listing
from study.data.sources import OneOf, Unavailable, digest_of
from study.data.sources.cifar10 import network_timeout
from study.errors import StudyError

TRAIN: Mapping[str, dict[str, Any]] = {"train": {"train": True}, "test": {"train": False}}
SPLIT: Mapping[str, dict[str, Any]] = {"train": {"split": "train"}, "test": {"split": "test"}}
THREE: Mapping[str, dict[str, Any]] = {
    "train": {"split": "train"}, "validation": {"split": "val"}, "test": {"split": "test"},
}  # fmt: skip


@dataclass(frozen=True)
class Published:
    """A class of torchvision, its title, its folder (or files) in torchvision's layout, how it is asked for each part.

    ``classes`` are names for labels where the dataset itself has none.
    """

    kind: str
    title: str
    folder: str
    parts: Mapping[str, dict[str, Any]]
    classes: tuple[str, ...] = ()


DIGITS = tuple("0123456789")
SETS = {
    "cifar100": Published("CIFAR100", "CIFAR-100", "cifar-100-python", TRAIN),
    "mnist": Published("MNIST", "MNIST", "MNIST/raw", TRAIN, DIGITS),
    "fashion-mnist": Published("FashionMNIST", "Fashion-MNIST", "FashionMNIST/raw", TRAIN),
    "kmnist": Published("KMNIST", "Kuzushiji-MNIST", "KMNIST/raw", TRAIN),
    "qmnist": Published("QMNIST", "QMNIST", "QMNIST/raw", TRAIN, DIGITS),
    "usps": Published("USPS", "USPS", "usps*.bz2", TRAIN, DIGITS),
    "svhn": Published("SVHN", "SVHN", "*_32x32.mat", SPLIT, DIGITS),
    "stl10": Published("STL10", "STL-10", "stl10_binary", SPLIT),
    "dtd": Published("DTD", "Describable Textures", "dtd", THREE),
    "food101": Published("Food101", "Food-101", "food-101", SPLIT),
    "flowers102": Published("Flowers102", "Flowers-102", "flowers-102", THREE),
    "gtsrb": Published("GTSRB", "German Traffic Signs", "gtsrb", SPLIT),
    "pets37": Published(
        "OxfordIIITPet", "Oxford-IIIT Pet", "oxford-iiit-pet",
        {"train": {"split": "trainval"}, "test": {"split": "test"}},
    ),
    "aircraft": Published("FGVCAircraft", "FGVC-Aircraft", "fgvc-aircraft-2013b", THREE),
    "country211": Published(
        "Country211", "Country211", "country211",
        {"train": {"split": "train"}, "validation": {"split": "valid"}, "test": {"split": "test"}},
    ),
    "sst2": Published("RenderedSST2", "Rendered SST2", "rendered-sst2", THREE),
    "eurosat": Published("EuroSAT", "EuroSAT", "eurosat", {"": {}}),
    "caltech101": Published("Caltech101", "Caltech-101", "caltech101", {"": {}}),
    "caltech256": Published("Caltech256", "Caltech-256", "caltech256", {"": {}}),
    "sun397": Published("SUN397", "SUN397", "SUN397", {"": {}}),
}  # fmt: skip
NAMES = tuple(SETS)


def named(name: str) -> OneOf:
    """The source of a dataset of this family."""
    chosen = SETS[name]
    pattern = chosen.folder if "*" in chosen.folder else f"{chosen.folder}/**/*"
    return OneOf(pattern, partial(load, name))


def load(name: str, root: Path) -> Listing:
    """All parts one after the other: training, validation, test. StudyError for one that torchvision refuses."""
    chosen = SETS[name]
    parts = _parts(name, chosen, root)
    labels = [labels_of(part) for part in parts.values()]
    files = [file for file in sorted(root.glob(named(name).FILES)) if file.is_file()]
    return Listing(
        name=name,
        title=chosen.title,
        source=name,
        folder=str(root.resolve()),
        stamp=digest_of(files, name),
        open=partial(_open, list(parts.values())),
        names=[
            f"{name}/{split}/{number}" for split, each in zip(parts, labels, strict=True) for number in range(len(each))
        ],
        labels=np.concatenate(labels),
        split=np.concatenate([np.full(len(each), split, "<U10") for split, each in zip(parts, labels, strict=True)]),
        classes=_classes(next(iter(parts.values())), chosen, int(np.concatenate(labels).max()) + 1),
        description=shipped(name),
    )


def _parts(name: str, chosen: Published, root: Path) -> dict[str, Any]:
    """The dataset's parts by split, read from ``root`` or downloaded into it."""
    from torchvision import datasets

    kind, here = getattr(datasets, chosen.kind), any(root.glob(named(name).FILES))
    try:
        with network_timeout():
            return {split: kind(str(root), download=not here, **how) for split, how in chosen.parts.items()}
    except Exception as error:  # torchvision raises what its parsers and the network stumble over
        if here:
            raise StudyError(
                f"{chosen.title} in {root} is damaged or incomplete ({type(error).__name__}); remove it and run again"
            ) from error
        raise Unavailable(
            f"{chosen.title} is not in {root} and the download failed ({type(error).__name__}); name its folder with "
            "--data"
        ) from error


def labels_of(part: Any) -> np.ndarray:  # noqa: ANN401 - a dataset of torchvision
    """Labels (N,) without opening an image, wherever the class of the dataset keeps them."""
    for name in ("targets", "labels", "_labels", "y"):
        if (found := getattr(part, name, None)) is not None:
            labels = np.asarray(found)
            return (labels[:, 0] if labels.ndim > 1 else labels).astype(np.int64)  # QMNIST tells more than the class
    pairs: Sequence[tuple[Any, int]] = getattr(part, "_samples", None) or part.samples
    return np.array([label for _, label in pairs], dtype=np.int64)


def _classes(part: Any, chosen: Published, count: int) -> tuple[str, ...]:  # noqa: ANN401 - a dataset of torchvision
    """Names of the classes, numbers where nobody names them."""
    given = chosen.classes or getattr(part, "classes", None) or getattr(part, "categories", None) or range(count)
    return tuple(str(name) for name in given)[:count]


def _open(parts: list[Any], number: int) -> Image.Image:
    for part in parts:
        if number < len(part):
            image = part[number][0]
            return image if isinstance(image, Image.Image) else Image.fromarray(np.asarray(image))
        number -= len(part)
    raise IndexError(number)
