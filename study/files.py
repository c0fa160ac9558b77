"""Files that are whole or not there: written beside their place, synced, then renamed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from study.errors import StoppingError, StudyError

JSON: TypeAlias = Any


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    """Replace ``path`` atomically: a reader sees the old content or the new, never a part.

    What need not outlive a power cut is not ``durable``, which spares waiting for the disk.
    Raises StoppingError when the disk refuses; the old content is then still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")  # two processes may write equal files
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StoppingError(f"cannot write {path}: {error.strerror}; free space or choose another folder") from error


def write_json(path: Path, data: JSON, durable: bool = True) -> None:
    """Write JSON-ready data, sorted and indented, atomically."""
    write_bytes(path, (json.dumps(data, indent=1, sort_keys=True) + "\n").encode(), durable)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write named arrays as one compressed npz, atomically."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def read_json(path: Path) -> JSON:
    """Parse a JSON file; StudyError names the file that is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise StudyError(f"{path} is damaged ({error}); remove its folder and run the study again") from error


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
