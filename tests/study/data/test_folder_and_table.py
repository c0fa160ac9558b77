"""What is read from somebody's folder or table."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from study.data import datasets, sources
from study.data.datasets import Dataset
from study.data.pixels import is_image_name, opened, read_image, upright_size
from study.description import Description
from tests.study.data.albums import COUNTS, album, picture, rows, split_album, table


def names(dataset: Dataset, split: str, root: Path) -> set[str]:
    """Files of a split, by the colour that each image alone has."""
    files = sorted(root.rglob("*.png"))
    return {str(files[number].relative_to(root)) for number in dataset.numbered(split)}


def test_a_folder_of_classes_is_split_stratified_and_always_the_same(tmp_path: Path) -> None:
    root = album(tmp_path / "album", {"cat": 60, "dog": 30})
    first, second = (datasets.load(str(root)) for _ in range(2))
    assert first.sizes == {"train": 60, "validation": 15, "test": 15} and first.classes == ("cat", "dog")
    assert first.counts["test"] == (10, 5) and first.splits_digest == second.splits_digest
    assert first.fingerprint == second.fingerprint and "a stratified sixth" in first.cut


@pytest.mark.parametrize("validation", ["val", "valid", "validation", "dev", "Val"])
def test_given_splits_are_kept_under_any_of_their_names(tmp_path: Path, validation: str) -> None:
    root = split_album(tmp_path / "album", "training", validation, "testing")
    dataset = datasets.load(str(root))
    assert dataset.sizes == {"train": 24, "validation": 6, "test": 8} and dataset.cut == "the source’s own splits"
    assert all(name.startswith(validation) for name in names(dataset, "validation", root))


def test_a_split_that_is_not_given_is_cut_from_the_training_images(tmp_path: Path) -> None:
    without_validation = datasets.load(str(split_album(tmp_path / "a", validation="")))
    assert without_validation.sizes == {"train": 20, "validation": 4, "test": 8}
    without_test = datasets.load(str(split_album(tmp_path / "b", test="")))
    assert without_test.sizes == {"train": 20, "validation": 6, "test": 4}
    assert without_test.cut == "the source’s own validation images, and a stratified sixth of the images for testing"


def test_a_table_says_the_same_as_a_folder(tmp_path: Path) -> None:
    root = album(tmp_path / "album")
    from_folder = datasets.load(str(root))
    from_table = datasets.load(str(table(root, "\n".join(["file,label", *rows(root)]))))
    assert (from_table.fingerprint, from_table.splits_digest) == (from_folder.fingerprint, from_folder.splits_digest)


def test_a_table_may_give_the_splits(tmp_path: Path) -> None:
    root = album(tmp_path / "album", {"cat": 20, "dog": 20})
    splits = (["train"] * 14 + ["dev"] * 3 + ["test"] * 3) * 2
    text = ["file,label,split", *(f"{row},{split}" for row, split in zip(rows(root), splits, strict=True))]
    dataset = datasets.load(str(table(root, "\n".join(text))))
    assert dataset.sizes == {"train": 28, "validation": 6, "test": 6} and dataset.counts["test"] == (3, 3)


def test_what_is_no_image_is_left_out_and_said(tmp_path: Path) -> None:
    root = album(tmp_path / "album")
    (root / "cat" / "notes.txt").write_text("x")
    (root / "loose.png").write_bytes(b"x")
    (root / ".hidden").mkdir()
    dataset = datasets.load(str(root))
    assert dataset.remarks == ("1 file left out: no image by its name", "1 file left out: outside any class folder")
    assert sum(dataset.sizes.values()) == sum(COUNTS.values())


def test_an_image_in_two_splits_stays_in_the_later_one_alone(tmp_path: Path) -> None:
    root = split_album(tmp_path / "album")
    tested = sorted((root / "test" / "cat").iterdir())[0]
    (root / "train" / "cat" / "copy.bmp").write_bytes(b"")
    Image.open(tested).save(root / "train" / "cat" / "copy.bmp")  # the same pixels in another file
    dataset = datasets.load(str(root))
    assert dataset.sizes == {"train": 24, "validation": 6, "test": 8}
    assert dataset.remarks == (
        "1 image with the very pixels of a validation or test image left out of the training or validation images",
    )


def test_images_keep_their_resolution_up_to_what_is_trained_at(tmp_path: Path) -> None:
    root = album(tmp_path / "album")
    for number, file in enumerate(sorted(root.rglob("*.png"))):
        picture(file, number, (90, 70) if number % 3 else (50, 44))
    assert [datasets.load(str(root), largest=largest).size for largest in (32, 64, 224)] == [32, 64, 72]
    small = datasets.load(str(album(tmp_path / "small")), largest=224)
    assert small.size == 32, "no network takes less"
    assert datasets.load(str(root), largest=64).describe().dimensions == (50, 44, 90, 70)


def test_a_study_stores_what_predict_would_read(tmp_path: Path) -> None:
    root = album(tmp_path / "album")
    turned = root / "cat" / "000.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).save(turned, exif=exif)
    dataset = datasets.load(str(root))
    place = sorted(file for file in root.rglob("*.*")).index(turned)
    stored = dataset.with_numbers(np.array([place]))[0]
    assert torch.equal(stored, torch.from_numpy(read_image(turned, dataset.size).copy()))


def test_an_image_lying_on_its_side_has_the_size_that_it_is_seen_in(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    for file in sorted(album(tmp_path / "album").rglob("*.png")):
        Image.open(file).resize((60, 40)).save(file, exif=exif)
    assert datasets.load(str(tmp_path / "album")).describe().dimensions == (40, 60, 40, 60)


def test_labels_of_a_table_that_look_alike_are_one_class(tmp_path: Path) -> None:
    names = {"cat": ("cat", " cat", "cat "), "dog": ("caf\u00e9", "cafe\u0301")}
    lines = [line.split(",") for line in rows(album(tmp_path / "album"))]
    text = [f"{file},{names[label][n % len(names[label])]}" for n, (file, label) in enumerate(lines)]
    dataset = datasets.load(str(table(tmp_path / "album", "\n".join(["file,label", *text]))))
    assert dataset.classes == ("caf\u00e9", "cat")


def test_images_looked_at_during_training_are_of_all_classes(digits: datasets.Dataset) -> None:
    order = torch.argsort(digits.labels[digits.train], stable=True)
    ordered = replace(digits, train=digits.train[order])
    assert digits.labels[ordered.spread("train", 10)].tolist() == list(range(10))
    assert len(ordered.spread("train", 10**6)) == len(digits.train)


def test_mean_and_deviation_are_those_of_the_training_pixels(tmp_path: Path) -> None:
    dataset = datasets.load(str(album(tmp_path / "album")))
    pixels = dataset.images[dataset.train].double() / 255  # type: ignore[index]
    mean, deviation = dataset.statistics
    assert mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-4)
    assert deviation[0] == pytest.approx(pixels[:, 0].std(correction=0).item(), abs=1e-4)
    described = replace(dataset, description=Description(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)))
    assert described.statistics == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)), "as described"


def test_a_note_of_the_orientation_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    file, one_text = tmp_path / "a.jpg", b"\0\1" + b"\x01\x12" + b"\0\2" + b"\0\0\0\4" + b"six\0"
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + one_text + b"\0\0\0\0"
    Image.new("RGB", (60, 40), "red").save(file, exif=exif)
    with opened(file) as image:
        assert image.getexif()[0x0112] == "six"
    assert read_image(file, 8).shape == (3, 8, 8)
    with opened(file) as image:
        assert upright_size(image) == (60, 40)


def test_a_tiff_that_lies_on_its_side_is_as_large_as_it_is_seen(tmp_path: Path) -> None:
    exif, file = Image.Exif(), tmp_path / "a.tiff"
    exif[0x0112] = 6
    Image.new("RGB", (60, 40), "red").save(file, exif=exif)
    with opened(file) as image:
        assert upright_size(image) == (40, 60)


def test_sixteen_bits_of_grey_keep_the_upper_byte(tmp_path: Path) -> None:
    (file := tmp_path / "a.pgm").write_bytes(b"P5 2 2 65535 " + bytes([200, 0] * 4))
    assert (read_image(file, 2) == 200).all()


@pytest.mark.parametrize(("name", "known"), [("a.PNG", True), ("b.mpo", True), ("c.pdf", False), ("d.h5", False),
                                             ("e.eps", False), ("notes.txt", False)])  # fmt: skip
def test_a_file_is_an_image_where_pillow_can_read_what_its_name_says(name: str, known: bool) -> None:
    assert is_image_name(name) == known


def test_the_stamp_of_a_folder_changes_with_its_files(tmp_path: Path) -> None:
    root = album(tmp_path / "album")
    before = sources.stamp(str(root), tmp_path)
    assert before == sources.stamp(str(root), tmp_path) != sources.stamp(str(root), tmp_path, 64)
    os.utime(root / "cat" / "000.png", ns=(1, 1))
    assert sources.stamp(str(root), tmp_path) != before


def test_the_stamp_of_a_table_changes_with_its_labels_and_the_images_it_names(tmp_path: Path) -> None:
    root = album(tmp_path / "album")
    lines = ["file,label", *rows(root)]
    path = str(table(root, "\n".join(lines)))
    stamps = [sources.stamp(path, tmp_path)]
    os.utime(root / "cat" / "000.png", ns=(1, 1))
    stamps.append(sources.stamp(path, tmp_path))
    table(root, "\n".join([*lines[:-1], lines[-1].replace(",dog", ",cat")]))
    assert len({*stamps, sources.stamp(path, tmp_path)}) == 3


@pytest.mark.parametrize(
    ("path", "name"), [("My cats & dogs", "My-cats---dogs"), ("猫", "猫"), ("labels.csv", "labels"), ("...", "images")]
)
def test_a_study_is_called_like_the_folder_or_table(tmp_path: Path, path: str, name: str) -> None:
    assert sources.short_name(str(tmp_path / path)) == name
    assert sources.short_name("cifar10") == "cifar10"
