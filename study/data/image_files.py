"""Image files below a folder, whatever it is organised by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from study.errors import StudyError

NAMED = 10  # files that a message names at most


def below(folder: Path) -> list[Path]:
    """Files in a format that Pillow reads, by their names, in order; hidden ones are left out.

    StudyError when there is no such folder, or none in it.
    """
    from PIL import Image

    if not folder.is_dir():
        raise StudyError(f"there is no folder {folder}")
    formats = {ending for ending, name in Image.registered_extensions().items() if name in Image.OPEN}
    files = [path for path in folder.rglob("*") if path.suffix.lower() in formats and not path.name.startswith(".")]
    if not files:
        raise StudyError(f"there are no images in {folder}")
    return sorted(files)


def stamp(files: Sequence[Path]) -> str:
    """A digest that changes whenever the files do, by name, size and time."""
    states = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr(states).encode()).hexdigest()
