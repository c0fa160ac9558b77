"""Decoded images: made once, checked when read back, in memory or in their file."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch

from study.data import datasets, store
from study.data.augmentation import fixed_view
from study.data.datasets import Dataset
from study.data.sources import folder
from study.data.store import StoredImages
from study.errors import StudyError
from study.experiment import Augmentation
from study.files import cache_folder
from tests.study.data.albums import album

VARIED = Augmentation(flip=True, crop=4, jitter=0.2)


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def in_memory(tmp_path: Path) -> Dataset:
    return datasets.load(str(album(tmp_path / "album")))


@pytest.fixture
def in_file(in_memory: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """The same images on a machine with next to no memory."""
    monkeypatch.setattr(store, "main_memory_bytes", lambda: 1_000)
    return datasets.load(str(tmp_path / "album"))


def test_images_are_opened_once(in_memory: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "opened", None)
    again = datasets.load(str(tmp_path / "album"))
    assert again.fingerprint == in_memory.fingerprint and torch.equal(again.images, in_memory.images)  # type: ignore[arg-type]


def test_images_too_large_for_memory_stay_in_their_file(in_memory: Dataset, in_file: Dataset) -> None:
    assert isinstance(in_file.images, StoredImages) and isinstance(in_memory.images, torch.Tensor)
    assert in_file.fingerprint == in_memory.fingerprint and in_file.statistics == in_memory.statistics
    for split in ("train", "validation", "test"):
        kept, shown = in_memory.of(split), in_file.of(split)
        assert shown.shape == kept.shape and torch.equal(shown[torch.arange(len(kept))], kept)  # type: ignore[arg-type]
        assert torch.equal(torch.cat(list(shown.split(4))), kept)  # type: ignore[arg-type]


def test_views_of_images_in_a_file_are_those_of_images_in_memory(in_memory: Dataset, in_file: Dataset) -> None:
    views = [fixed_view(dataset.of("train"), VARIED, seed=3, number=1) for dataset in (in_memory, in_file)]
    assert isinstance(views[1], StoredImages) and torch.equal(views[1][:], views[0])  # type: ignore[arg-type]


@pytest.mark.parametrize("harm", ["flip a pixel", "cut the file", "lose a part"])
def test_a_damaged_cache_is_made_anew(in_memory: Dataset, tmp_path: Path, harm: str) -> None:
    (images,) = cache_folder().rglob(store.IMAGES)
    content = bytearray(images.read_bytes())
    content[-1] ^= 1
    if harm == "lose a part":
        images.with_name(store.ABOUT).unlink()
    else:
        images.write_bytes(content if harm == "flip a pixel" else content[:-100])
    again = datasets.load(str(tmp_path / "album"))
    assert torch.equal(again.images, in_memory.images)  # type: ignore[arg-type]


def test_a_killed_build_is_not_taken_for_a_complete_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = album(tmp_path / "album")
    if not (child := os.fork()):
        try:
            np.savez = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
            datasets.load(str(root))
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    (left,) = cache_folder().rglob(store.IMAGES)
    dataset = datasets.load(str(root))
    assert dataset.images.shape == (26, 3, 32, 32) and int(dataset.images[:].max()) > 0
    assert not left.exists(), "what a kill left is cleared away by the next build"


def test_builds_of_two_processes_wait_for_each_other_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = album(tmp_path / "one"), album(tmp_path / "other", {"mouse": 10, "newt": 10}, first=900)
    found: list[Dataset] = []
    late = Thread(target=lambda: found.append(datasets.load(str(other))))
    decode = store._decode

    def overtaken(*arguments: Any) -> dict[str, np.ndarray]:  # noqa: ANN401 - those of decode
        monkeypatch.setattr(store, "_decode", decode)
        (unfinished,) = cache_folder().rglob(f"{store.PARTIAL}*")
        os.utime(unfinished, (0, 0))  # as after a jump of the clock
        late.start()
        late.join(0.5)
        return decode(*arguments)

    monkeypatch.setattr(store, "_decode", overtaken)
    found.append(datasets.load(str(one)))
    late.join()
    assert sorted(len(dataset.labels) for dataset in found) == [20, 26]


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("no folder")
    root = album(tmp_path / "album")
    with pytest.raises(StudyError, match="cannot keep decoded"):
        datasets.load(str(root))


def test_a_disk_that_fills_up_is_not_taken_for_damaged_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StudyError, match="cannot keep decoded images in .*: No space left on device; free space"):
        datasets.load(str(album(tmp_path / "album")))


def test_a_disk_that_takes_a_part_gets_the_rest(
    in_memory: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: write(file, data[:100], at))
    shutil.rmtree(cache_folder())
    again = datasets.load(str(tmp_path / "album"))
    assert torch.equal(again.images, in_memory.images)  # type: ignore[arg-type]


def test_views_that_a_killed_process_left_are_removed_and_those_in_use_kept(in_file: Dataset) -> None:
    left = cache_folder() / f"{store.VIEW}left"
    left.mkdir()
    (left / store.LOCK).touch()
    views = [fixed_view(in_file.of("train"), VARIED, seed=3, number=number) for number in (0, 1)]
    assert not left.exists() and all(len(view[:]) == len(in_file.train) for view in views)


def test_the_size_stored_is_what_half_of_the_images_reach(tmp_path: Path) -> None:
    listing = folder.load(album(tmp_path / "album"))
    rows = np.arange(len(listing.labels))
    assert store.side_of(listing, rows, 224, 8) == 16
    assert store.side_of(listing, rows, 224, 32) == 32
    assert store.side_of(listing, rows, 12, 8) == 12
