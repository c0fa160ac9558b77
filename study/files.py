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


def cache_folder() -> Path:
    """What this machine remembers between studies; it may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "image-classification-study"


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


def write_sealed(path: Path, content: bytes, owner: str = "") -> None:
    """Write content atomically behind a line that vouches for it, and for whom it belongs to."""
    write_bytes(path, _seal(content, owner) + content)


def read_sealed(path: Path, owner: str = "") -> bytes:
    """What ``write_sealed`` wrote for this owner. StudyError when it was damaged or belongs to another."""
    seal, end, content = path.read_bytes().partition(b"\n")
    if seal + end != _seal(content, owner):
        raise StudyError(f"{path} is damaged, or another run's; remove it to begin this run anew")
    return content


def owner(spec: Path) -> str:
    """Whom a run's checkpoint belongs to: the SHA-256 (hex) of its spec.json; empty where there is none."""
    return sha256(spec) if spec.is_file() else ""


def _seal(content: bytes, owner: str) -> bytes:
    return hashlib.sha256(owner.encode() + b"\n" + content).hexdigest().encode() + b"\n"


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
        return json.loads(path.read_text(encoding="utf-8-sig"))  # an editor may have put a mark in front
    except OSError as error:
        raise StudyError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{path} is damaged ({error})") from error


def inside(folder: Path, name: str) -> Path:
    """Where a file or folder called ``name`` lies in ``folder``. StudyError for a name that would lead elsewhere."""
    if not name or Path(name).name != name or name.startswith(".") or not name.isprintable():
        raise StudyError(f"{name!r} must be a plain name, without slashes or a dot in front, e.g. my-study")
    return folder / name


def sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
