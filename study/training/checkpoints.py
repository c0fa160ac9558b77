"""Checkpoints: everything a bit-exact resume needs, written after every epoch, loaded safely."""

from __future__ import annotations

import io
from pathlib import Path

import torch

from study.errors import StudyError
from study.records import write_bytes
from study.training.trainer import Progress


def save(path: Path, progress: Progress) -> None:
    """Replace a checkpoint atomically."""
    buffer = io.BytesIO()
    torch.save({"rows": progress.rows, "state": progress.state, "seconds": progress.seconds}, buffer)
    write_bytes(path, buffer.getvalue())


def load(path: Path) -> Progress:
    """The progress in a checkpoint, none when there is no checkpoint. StudyError when it is damaged."""
    if not path.is_file():
        return Progress()
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        return Progress(stored["rows"], stored["state"], stored["seconds"])
    except Exception as error:  # zip, pickle and key errors all mean the same to the user
        raise StudyError(f"{path} is damaged; remove it to train this run from its first epoch") from error
