from __future__ import annotations

from pathlib import Path

import pytest
import torch

from study.errors import StudyError
from study.records import CHECKPOINT
from study.training.trainer import Progress


def test_progress_survives_the_disk(tmp_path: Path) -> None:
    Progress([{"epoch": 1}], {"model": {"w": torch.arange(3.0)}}).save(tmp_path / CHECKPOINT)
    loaded = Progress.load(tmp_path / CHECKPOINT)
    assert loaded.rows == [{"epoch": 1}]
    assert torch.equal(loaded.state["model"]["w"], torch.arange(3.0))


def test_no_checkpoint_is_a_fresh_start(tmp_path: Path) -> None:
    assert Progress.load(tmp_path / CHECKPOINT) == Progress()


def test_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    Progress([{"epoch": 1}], {"model": {}}).save(tmp_path / CHECKPOINT)
    path = tmp_path / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(StudyError, match="is damaged; remove it"):
        Progress.load(tmp_path / CHECKPOINT)
