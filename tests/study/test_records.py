from __future__ import annotations

import errno
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from study import records
from study.errors import StudyError


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "level1" / "finetuned" / "seed-3"
    records.write_json(folder / "spec.json", {"experiment": {"level": 1, "name": "finetuned"}, "seed": 3})
    logits = np.array([[2.0, 1.0], [0.0, 3.0]], dtype=np.float32)
    arrays = {"test_indices": np.array([7, 9]), "test_labels": np.array([0, 0]), "test_logits": logits}
    records.write_arrays(folder / records.PREDICTIONS, arrays)
    records.finish(folder, {"test_accuracy": 0.5}, {"total": 1.0})
    return folder


def test_a_finished_run_reads_back(run: Path) -> None:
    loaded = records.load_run(run)
    assert (loaded.name, loaded.metrics) == ("level1/finetuned/seed-3", {"test_accuracy": 0.5})
    assert loaded.predictions("test").correct.tolist() == [True, False]
    assert loaded.predictions("test").accuracy == 0.5


def test_finishing_drops_the_checkpoint(run: Path) -> None:
    (run / records.RESULT).unlink()
    (run / records.CHECKPOINT).write_bytes(b"x")
    records.finish(run, {}, {"total": 1.0})
    assert records.is_complete(run) and not (run / records.CHECKPOINT).exists()


@pytest.mark.parametrize("damage", ["spec.json", records.PREDICTIONS])
def test_a_changed_file_makes_a_run_incomplete(run: Path, damage: str) -> None:
    content = (run / damage).read_bytes()
    (run / damage).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not records.is_complete(run)
    with pytest.raises(StudyError, match="incomplete or was altered"):
        records.load_run(run)
    assert records.load_runs(run.parents[2]) == []


def test_two_processes_may_write_one_file(tmp_path: Path) -> None:
    def write() -> None:
        for _ in range(20):
            records.write_bytes(tmp_path / "file", b"x" * 1_000_000)

    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_missing_file_makes_a_run_incomplete(run: Path) -> None:
    (run / records.PREDICTIONS).unlink()
    assert not records.is_complete(run)


def test_records_of_another_version_do_not_count(run: Path) -> None:
    result = records.read_json(run / records.RESULT)
    assert records.is_complete(run)
    records.write_json(run / records.RESULT, result | {"format": records.FORMAT - 1})
    assert not records.is_complete(run)


def test_a_plan_of_another_version_is_one_clear_line(tmp_path: Path) -> None:
    records.write_json(tmp_path / records.STUDY, {"study": "old"})
    with pytest.raises(StudyError, match="was recorded by another version; run the study again"):
        records.load_plan(tmp_path)


def test_damaged_json_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("{")
    with pytest.raises(StudyError, match="is damaged.*run the study again"):
        records.read_json(tmp_path / "spec.json")


def test_a_full_disk_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    records.write_json(path, {"a": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StudyError, match="No space left on device; free space"):
        records.write_json(path, {"a": 2})
    monkeypatch.undo()
    assert records.read_json(path) == {"a": 1}


def test_a_folder_without_a_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="run `invoke study` first"):
        records.load_plan(tmp_path)
