from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from study.data import datasets
from study.data.datasets import Subset
from study.errors import StudyError


def test_splits_partition_the_data_and_are_stratified() -> None:
    dataset = datasets.load("digits")
    everything = np.concatenate([dataset.train, dataset.validation, dataset.test])
    assert sorted(everything) == list(range(1797))
    shares = [
        np.bincount(dataset.labels[split]) / len(split) for split in (dataset.train, dataset.validation, dataset.test)
    ]
    assert np.ptp(shares, axis=0).max() < 0.01


def test_splits_and_fingerprint_are_the_same_every_time() -> None:
    first, second = datasets.load("digits"), datasets.load("digits")
    assert first.fingerprint == second.fingerprint
    assert all((getattr(first, s) == getattr(second, s)).all() for s in ("train", "validation", "test"))


def test_fingerprint_is_the_sha256_of_pixels_then_labels() -> None:
    dataset = datasets.load("digits")
    content = dataset.images.numpy().tobytes() + dataset.labels.numpy().astype("<i8").tobytes()
    assert dataset.fingerprint == hashlib.sha256(content).hexdigest()


def test_subset_is_stratified_and_drawn_from_its_split() -> None:
    whole, part = datasets.load("digits"), datasets.load("digits", subset=Subset(train=200, test=100))
    assert part.sizes == {"train": 200, "validation": whole.sizes["validation"], "test": 100}
    assert set(part.train.tolist()) <= set(whole.train.tolist())
    assert np.bincount(part.labels[part.train]).min() >= 19
    assert part.subset and not whole.subset


def test_stand_in_carries_a_notice() -> None:
    assert "not for CIFAR-10" in datasets.load("digits").notice


def test_unknown_dataset_is_refused() -> None:
    with pytest.raises(StudyError, match="choose one of auto, cifar10, digits"):
        datasets.load("mnist")


def test_folder_that_is_not_cifar10_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(StudyError, match="does not hold CIFAR-10"):
        datasets.load("auto", str(tmp_path))


def test_file_instead_of_a_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("x")
    with pytest.raises(StudyError, match="does not hold CIFAR-10"):
        datasets.load("cifar10", str(file))


def test_corrupt_cifar10_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    for name, _ in CIFAR10.train_list + CIFAR10.test_list:
        (folder / name).write_bytes(pickle.dumps({"data": b"", "labels": []}))
    with pytest.raises(StudyError, match="corrupt.*MD5"):
        datasets.load("auto", str(tmp_path))


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


def test_reload_gives_the_studys_own_images(digits: datasets.Dataset) -> None:
    again = datasets.reload({"dataset": digits.describe()})
    assert (again.test == digits.test).all() and (again.images == digits.images).all()


def test_reload_refuses_other_data(digits: datasets.Dataset) -> None:
    with pytest.raises(StudyError, match="not those this study was run on"):
        datasets.reload({"dataset": digits.describe() | {"fingerprint": "0" * 64}})
