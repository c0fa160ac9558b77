from __future__ import annotations

import errno
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from study import files
from study.errors import StudyError


def test_two_processes_may_write_one_file(tmp_path: Path) -> None:
    def write() -> None:
        for _ in range(20):
            files.write_bytes(tmp_path / "file", b"x" * 1_000_000)

    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_arrays_read_back(tmp_path: Path) -> None:
    arrays = {"labels": np.array([1, 2]), "logits": np.eye(2, dtype=np.float32)}
    files.write_arrays(tmp_path / "new" / "arrays.npz", arrays)
    with np.load(tmp_path / "new" / "arrays.npz") as stored:
        assert {name: (stored[name].dtype, stored[name].tolist()) for name in stored.files} == {
            name: (array.dtype, array.tolist()) for name, array in arrays.items()
        }


def test_damaged_json_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text("{")
    with pytest.raises(StudyError, match=r"spec.json is damaged \(.*\)$"):
        files.read_json(tmp_path / "spec.json")


def test_a_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "description.json").write_text("{}", encoding="utf-8-sig")
    assert files.read_json(tmp_path / "description.json") == {}


def test_missing_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot read .*spec.json: No such file"):
        files.read_json(tmp_path / "spec.json")


def test_a_full_disk_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    files.write_json(path, {"a": 1})

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StudyError, match="No space left on device; free space"):
        files.write_json(path, {"a": 2})
    monkeypatch.undo()
    assert files.read_json(path) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert files.sha256(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
