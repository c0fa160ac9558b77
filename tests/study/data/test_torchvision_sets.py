"""Datasets in torchvision's layout, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torchvision
from PIL import Image

from study.data import datasets, sources
from study.data.descriptions import shipped
from study.data.sources import torchvision_sets
from study.errors import StudyError
from study.kinds import Context
from study.running.options import Options
from study.running.study import prepare
from tests.study.data.test_ood import place_fashion_mnist


def place_many(root: Path, images: int = 120) -> None:
    """A Fashion-MNIST of all ten classes, whose training and test images are the same."""
    place_fashion_mnist(root, images)
    for split in ("train", "t10k"):
        path = root / "FashionMNIST" / "raw" / f"{split}-labels-idx1-ubyte"
        path.write_bytes(path.read_bytes()[:8] + (np.arange(images) % 10).astype(np.uint8).tobytes())
    other = root / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    content = np.frombuffer(other.read_bytes(), np.uint8).copy()
    content[16:] = 255 - content[16:]
    other.write_bytes(content.tobytes())


def test_a_dataset_of_torchvision_goes_by_its_name(tmp_path: Path) -> None:
    place_many(tmp_path)
    dataset = datasets.load("fashion-mnist", str(tmp_path))
    assert dataset.title == "Fashion-MNIST" and dataset.classes[9] == "Ankle boot" and dataset.size == 32
    assert dataset.counts["test"] == (12,) * 10 and dataset.source == "fashion-mnist"
    assert dataset.sizes == {"train": 96, "validation": 24, "test": 120}
    assert "source’s own test images" in dataset.cut and not dataset.remarks
    assert [len(members) for members in dataset.description.superclasses.values()] == [6, 3, 1]


def test_damaged_files_are_one_clear_line(tmp_path: Path) -> None:
    place_many(tmp_path)
    (tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(b"no images")
    with pytest.raises(StudyError, match="Fashion-MNIST in .* is damaged or incomplete"):
        datasets.load("fashion-mnist", str(tmp_path))


def test_what_can_be_neither_found_nor_fetched_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("torchvision.datasets.CIFAR100.download", no_network)
    with pytest.raises(sources.Unavailable, match="CIFAR-100 is not in .* and the download failed .*--data"):
        datasets.load("cifar100", str(tmp_path))


@pytest.mark.parametrize("name", torchvision_sets.NAMES)
def test_every_name_is_a_class_of_torchvision(name: str, tmp_path: Path) -> None:
    assert hasattr(torchvision.datasets, torchvision_sets.SETS[name].kind)
    assert list(tmp_path.glob(sources.named(name).FILES)) == []


@pytest.mark.parametrize(
    ("name", "file"), [("usps", "usps.t.bz2"), ("svhn", "test_32x32.mat"), ("mnist", "MNIST/raw/x")]
)
def test_files_of_a_dataset_are_found(name: str, file: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_bytes(b"x")
    assert [*tmp_path.glob(sources.named(name).FILES)] == [tmp_path / file]


@pytest.mark.parametrize(
    "part",
    [
        SimpleNamespace(targets=[2, 0]),
        SimpleNamespace(labels=np.array([2, 0], dtype=np.uint8)),
        SimpleNamespace(targets=np.array([[2, 7], [0, 8]])),
        SimpleNamespace(_samples=[("a.png", 2), ("b.png", 0)]),
    ],
    ids=["list", "array", "more than the class", "pairs"],
)
def test_labels_are_read_wherever_torchvision_keeps_them(part: SimpleNamespace) -> None:
    assert torchvision_sets.labels_of(part).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("name", "classes"),
    [("fashion-mnist", torchvision.datasets.FashionMNIST.classes), ("mnist", torchvision_sets.DIGITS)],
)
def test_described_super_classes_cover_the_classes(name: str, classes: Sequence[str]) -> None:
    assert {*shipped(name).coarse(classes)} == set(range(len(shipped(name).superclasses)))


def test_cifar100_has_its_twenty_super_classes_of_five() -> None:
    members = shipped("cifar100").superclasses.values()
    assert [len(each) for each in members] == [5] * 20 and len({name for each in members for name in each}) == 100


def test_an_ood_dataset_is_looked_for_below_data_and_not_among_a_folders_classes(tmp_path: Path) -> None:
    place_many(tmp_path / "data")
    grey = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    for number, pixels in enumerate(grey):
        (tmp_path / "photos" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / "ab"[number % 2] / f"{number}.png")
    told = {"dataset": str(tmp_path / "photos"), "data": str(tmp_path / "data"), "ood": "fashion-mnist"}
    study = prepare(Options(**told, preset="quick", runs=tmp_path))
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == ["a", "b"]
    context = Context(study.dataset, study.machine, tmp_path, tmp_path, 0, lambda *_: None, told["data"], told["ood"])
    assert context.ood and context.ood.title == "Fashion-MNIST" and context.ood.fingerprint == study.data.ood
