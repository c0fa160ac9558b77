"""Where datasets come from: a file here is a dataset, or a family of them, found by its name.

Each has ``FILES``, the pattern of its files below the data folder, and ``load(root)``, which returns the whole
``study.data.datasets.Dataset``, or a ``study.data.listing.Listing`` of images that are yet to be decoded, and raises
StudyError for a corrupt one, and ``Unavailable`` where it can be neither found nor fetched. A family has ``NAMES`` and
a function ``named`` that gives such a source for each of them. What --dataset gives as a path is read by ``folder`` or
``table``.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from study.data.descriptions import shipped
from study.errors import StudyError, printable
from study.experiment import Subset

OOD_FILES = "FashionMNIST/raw/*"
ARCHIVES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}
TABLES = {".csv", ".tsv", ".txt"}
BY_PATH = ("folder", "table")  # modules for paths, not for names


class Unavailable(StudyError):
    """The dataset is absent and could not be fetched."""


class Source(Protocol):
    """What every file here offers."""

    load: Callable[[Path], Any]


@dataclass(frozen=True)
class OneOf:
    """One dataset of a family."""

    FILES: str
    load: Callable[[Path], Any]


def folder_of(given: str | None) -> Path:
    """Where data are looked for: the folder given, else ``$STUDY_DATA``, else ``./data``."""
    return Path(given or os.environ.get("STUDY_DATA") or "data")


def names() -> dict[str, str]:
    """The module of every dataset that --dataset takes by name."""
    found: dict[str, str] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name not in BY_PATH:
            family = getattr(importlib.import_module(f"{__name__}.{module.name}"), "NAMES", (module.name,))
            found |= dict.fromkeys(family, module.name)
    return dict(sorted(found.items()))


def named(name: str) -> Any:  # noqa: ANN401 - a module or one of a family, with what it has beside a Source's parts
    """The source of a dataset. StudyError when there is none of this name."""
    known = names()
    if name not in known:
        raise StudyError(
            f"unknown dataset {printable(name)!r}; choose one of {', '.join(['auto', *known])}, a folder or a table"
        )
    module = importlib.import_module(f"{__name__}.{known[name]}")
    return module.named(name) if known[name] != name else module


def is_name(dataset: str) -> bool:
    """Whether what --dataset says is meant as a dataset's name, not as a path."""
    path = Path(dataset)
    return dataset in names() or not (path.exists() or os.sep in dataset or path.suffix.lower() in TABLES | ARCHIVES)


def find(dataset: str, root: Path) -> tuple[Source, Path]:
    """The source for what --dataset says, and the path that it loads: ``root`` for a name.

    StudyError for a name or path that leads to nothing that can be read.
    """
    path = Path(dataset)
    if is_name(dataset):
        return named(dataset), root
    shown = printable(dataset)
    if not path.exists():
        raise StudyError(f"there is no folder or table {shown}; check the path after --dataset")
    if path.is_dir():
        return importlib.import_module(f"{__name__}.folder"), path
    if path.suffix.lower() in ARCHIVES:
        raise StudyError(f"{shown} is an archive; unpack it and name the folder with --dataset")
    if path.suffix.lower() not in TABLES:
        raise StudyError(f"{shown} is neither a folder nor a table; --dataset takes a name, a folder or a .csv file")
    return importlib.import_module(f"{__name__}.table"), path


def short_name(dataset: str) -> str:
    """What a study's folder calls the dataset that --dataset names."""
    if dataset in names():
        return dataset
    stem = Path(dataset).resolve()
    text = stem.name if stem.is_dir() else stem.stem
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in text).strip("-")[:60] or "images"


def stamp(dataset: str, root: Path, *wanted: Subset | int | str) -> str:
    """A digest that changes whenever the dataset's files, or the out-of-distribution images', do: by size and time.

    It tells without reading them that data are those of last time, of which as much is ``wanted``. Empty where the
    dataset has files, but not here.
    """
    source, place = find(dataset, root)
    if not is_name(dataset):
        listed = source.load(place)
        return digest_of(sorted(root.glob(OOD_FILES)), dataset, listed.stamp, listed.description, *wanted)
    pattern = named(dataset).FILES
    files = sorted(root.glob(pattern)) if pattern else []
    if pattern and not files:
        return ""
    return digest_of([*files, *sorted(root.glob(OOD_FILES))], dataset, shipped(dataset), *wanted)


def digest_of(files: list[Path], *more: object) -> str:
    """A digest of the names, sizes and times of files, and of what else the result depends on."""
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    readers = [version(name) for name in ("scikit-learn", "pillow", "torchvision")]
    return hashlib.sha256(repr((*more, states, readers)).encode()).hexdigest()
