from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torchvision
from torchvision.datasets import CIFAR10

from study.data import datasets, sources
from study.errors import StudyError
from study.experiment import Subset
from tests.study.data.albums import album

SUBSET = Subset(8, 4, 4)


def test_stand_in_carries_a_notice() -> None:
    assert "not for CIFAR-10" in datasets.load("digits").notice


def test_unknown_dataset_is_refused() -> None:
    with pytest.raises(
        StudyError,
        match="unknown dataset .mice.; choose one of auto, aircraft, .*cifar10, .*digits, .*a folder or a table",
    ):
        datasets.load("mice")


@pytest.mark.parametrize("name", ["photos.csv", "photos.CSV"])
def test_a_table_that_is_not_there_is_no_name_of_a_dataset(name: str) -> None:
    with pytest.raises(StudyError, match=f"there is no folder or table {name}"):
        sources.find(name, Path())


def test_folder_that_is_not_cifar10_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(StudyError, match="does not hold CIFAR-10"):
        datasets.load("auto", str(tmp_path))


@pytest.mark.parametrize(
    "beside",
    ["FashionMNIST", "MNIST", "train_32x32.mat", "cifar10h-counts.npy", ".hidden", "cifar-10-python.tar.gz"],
)
def test_what_may_lie_beside_cifar10_does_not_keep_it_from_being_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: str
) -> None:
    (tmp_path / beside).mkdir()
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", _no_network)
    assert datasets.load("auto", str(tmp_path)).name == "digits"


def test_a_folder_of_images_may_be_the_data_folder_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    album(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    assert sources.stamp("data", Path("data")) and datasets.load("data").classes == ("cat", "dog")


def test_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("x")
    with pytest.raises(StudyError, match="does not hold CIFAR-10"):
        datasets.load("cifar10", str(file))


def test_cifar10_is_read_in_its_own_order_and_keeps_its_test_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rng = tmp_path / CIFAR10.base_folder, np.random.default_rng(0)
    folder.mkdir()
    written = {}
    for name, _ in CIFAR10.train_list + CIFAR10.test_list:
        written[name] = rng.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8), rng.permutation(20) % 10
        data, labels = written[name]
        (folder / name).write_bytes(pickle.dumps({"data": data.reshape(20, -1), "labels": labels.tolist()}))
    names = "airplane automobile bird cat deer dog frog horse ship truck".split()
    (folder / CIFAR10.meta["filename"]).write_bytes(pickle.dumps({"label_names": names}))
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *_: True)
    found = datasets.load("cifar10", str(tmp_path))
    pixels, labels = (np.concatenate([each[part] for each in written.values()]) for part in (0, 1))
    assert np.array_equal(found.images.numpy(), pixels) and np.array_equal(found.labels.numpy(), labels)
    assert found.test.tolist() == list(range(100, 120)) and found.sizes == {"train": 80, "validation": 20, "test": 20}
    assert sorted([*found.train.tolist(), *found.validation.tolist()]) == list(range(100))
    assert found.classes == tuple(names)


def test_corrupt_cifar10_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    for name, _ in CIFAR10.train_list + CIFAR10.test_list:
        (folder / name).write_bytes(pickle.dumps({"data": b"", "labels": []}))
    with pytest.raises(StudyError, match="corrupt.*MD5"):
        datasets.load("auto", str(tmp_path))


def test_cifar10_that_cannot_be_read_is_not_called_corrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / CIFAR10.base_folder).mkdir()
    monkeypatch.setattr(CIFAR10, "__init__", refused)
    with pytest.raises(StudyError, match="cannot be read: Permission denied"):
        datasets.load("cifar10", str(tmp_path))


def _no_network(*_: object, download: bool = False, **__: object) -> None:
    raise ConnectionError("no network")


def test_without_cifar10_and_network_digits_stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", _no_network)
    dataset = datasets.load("auto", str(tmp_path / "absent"))
    assert dataset.name == "digits" and "could not be downloaded" in dataset.notice


def test_cifar10_by_name_never_falls_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", _no_network)
    with pytest.raises(StudyError, match="download failed.*--data"):
        datasets.load("cifar10", str(tmp_path / "absent"))


def test_data_are_looked_for_where_told_then_in_the_environment_then_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDY_DATA", "/elsewhere")
    assert sources.folder_of("/given") == Path("/given")
    assert sources.folder_of(None) == sources.folder_of("") == Path("/elsewhere")
    monkeypatch.delenv("STUDY_DATA")
    assert sources.folder_of(None) == Path("data")


@pytest.fixture
def batches(tmp_path: Path) -> Path:
    """A data folder with two files where CIFAR-10's are."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    for name in ("data_batch_1", "test_batch"):
        (folder / name).write_bytes(b"pixels")
    return tmp_path


def test_stamp_of_unchanged_files_is_the_same(batches: Path) -> None:
    stamp = sources.stamp("cifar10", batches, SUBSET)
    assert len(stamp) == 64 and sources.stamp("cifar10", batches, SUBSET) == stamp
    (batches / "notes.txt").write_text("no part of the data")
    assert sources.stamp("cifar10", batches, SUBSET) == stamp


def test_stamp_changes_with_the_files_of_the_data_and_of_the_ood_images(batches: Path) -> None:
    stamps = [sources.stamp("cifar10", batches, SUBSET)]
    file = batches / CIFAR10.base_folder / "test_batch"
    os.utime(file, ns=(1, 1))
    stamps.append(sources.stamp("cifar10", batches, SUBSET))
    file.write_bytes(b"more pixels")
    os.utime(file, ns=(1, 1))
    stamps.append(sources.stamp("cifar10", batches, SUBSET))
    (batches / "FashionMNIST" / "raw").mkdir(parents=True)
    (batches / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(b"shoes")
    stamps += [sources.stamp("cifar10", batches, SUBSET), sources.stamp("cifar10", batches, Subset())]
    assert len(set(stamps)) == 5


def test_files_that_are_not_there_have_no_stamp_and_data_without_files_have_one(tmp_path: Path) -> None:
    assert sources.stamp("cifar10", tmp_path, SUBSET) == ""
    assert len(sources.stamp("digits", tmp_path, SUBSET)) == 64
