"""Where datasets come from: a file here is a dataset, found by its name.

Each has ``FILES``, the pattern of its files below the data folder, and ``load(root)``, which returns the whole
``study.data.datasets.Dataset``, raises StudyError for a corrupt one, and ``Unavailable`` where it can be neither found
nor fetched.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import pkgutil
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from study.errors import StudyError
from study.experiment import Subset

OOD_FILES = "FashionMNIST/raw/*"


class Unavailable(StudyError):
    """The dataset is absent and could not be fetched."""


def folder_of(given: str | None) -> Path:
    """Where data are looked for: the folder given, else ``$STUDY_DATA``, else ``./data``."""
    return Path(given or os.environ.get("STUDY_DATA") or "data")


def is_name(name: str) -> bool:
    """Whether a dataset is called so."""
    return name in _names()


def _names() -> list[str]:
    return [found.name for found in pkgutil.iter_modules(__path__)]


def named(name: str) -> ModuleType:
    """The module of a dataset. StudyError when there is none of this name."""
    names = _names()
    if name not in names:
        raise StudyError(f"unknown dataset {name!r}; choose one of {', '.join(['auto', *names])}")
    return importlib.import_module(f"{__name__}.{name}")


def stamp(name: str, root: Path, subset: Subset) -> str:
    """A digest that changes whenever the dataset's files, or the out-of-distribution images', do: by size and time.

    It tells without reading them that data are those of last time. Empty where the dataset has files, but not here.
    """
    pattern = named(name).FILES
    files = sorted(root.glob(pattern)) if pattern else []
    if pattern and not files:
        return ""
    states = [
        (str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in (*files, *sorted(root.glob(OOD_FILES)))
    ]
    return hashlib.sha256(repr((name, subset, states, version("scikit-learn"))).encode()).hexdigest()
