from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from study.errors import StudyError
from study.files import write_sealed
from study.records import CHECKPOINT
from study.training.trainer import Progress


def test_progress_survives_the_disk(tmp_path: Path) -> None:
    Progress([{"epoch": 1}], {"model": {"w": torch.arange(3.0)}}).save(tmp_path / CHECKPOINT)
    loaded = Progress.load(tmp_path / CHECKPOINT)
    assert loaded.rows == [{"epoch": 1}]
    assert torch.equal(loaded.state["model"]["w"], torch.arange(3.0))


def test_no_checkpoint_is_a_fresh_start(tmp_path: Path) -> None:
    assert Progress.load(tmp_path / CHECKPOINT) == Progress()


def _flipped(content: bytes) -> bytes:
    return content[:200] + bytes([content[200] ^ 1]) + content[201:]


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-40], _flipped, lambda _: b"", lambda content: content[65:]]
)
def test_a_damaged_checkpoint_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / CHECKPOINT
    Progress([{"epoch": 1}], {"model": {}}).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StudyError, match="checkpoint.pt is damaged, or another run's; remove it"):
        Progress.load(path)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    Progress([{"epoch": 1}]).save(tmp_path / CHECKPOINT, "one")
    assert Progress.load(tmp_path / CHECKPOINT, "one").rows
    with pytest.raises(StudyError, match="or another run's"):
        Progress.load(tmp_path / CHECKPOINT, "other")


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    """A pickle that would create a file when read, behind a seal that holds."""

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "created"),)

    buffer = io.BytesIO()
    torch.save({"rows": [], "state": Hostile()}, buffer)
    write_sealed(tmp_path / CHECKPOINT, buffer.getvalue())
    with pytest.raises(StudyError, match="is damaged"):
        Progress.load(tmp_path / CHECKPOINT)
    assert not (tmp_path / "created").exists()
    torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    assert (tmp_path / "created").exists(), "the pickle is hostile indeed"
