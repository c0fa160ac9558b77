"""A second dataset, whose images belong to none of the classes."""

from __future__ import annotations

import gzip
import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from study import records
from study.data import ood
from study.data.datasets import Dataset
from study.data.pixels import files_below
from study.errors import StudyError
from study.running.options import Options
from study.running.study import prepare
from tests.study.data.albums import album, rows, table


@pytest.fixture
def small(digits: Dataset, tmp_path: Path) -> Dataset:
    """The session's digits, as if their data folder were an empty one."""
    return replace(digits, folder=str(tmp_path))


def place_fashion_mnist(root: Path, images: int = 9) -> np.ndarray:
    """Write a tiny test set in the format of LeCun's MNIST files; returns its pixels."""
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 28, 28), dtype=np.uint8)
    for split in ("train", "t10k"):
        content = struct.pack(">IIII", 0x803, images, 28, 28) + pixels.tobytes()
        (raw / f"{split}-images-idx3-ubyte").write_bytes(content)
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, images) + bytes(images))
    return pixels


def available(dataset: Dataset, asked: str = "") -> ood.OodImages | None:
    """OOD images where --data is the dataset's folder."""
    return ood.available(dataset, Path(dataset.folder), asked)


@pytest.fixture
def animals(small: Dataset) -> Dataset:
    """The same as if they showed no digits."""
    return replace(small, name="animals", classes=tuple("abcdefghij"))


def test_digits_have_no_ood_images_of_their_own(small: Dataset) -> None:
    assert available(small) is None


def test_other_digits_are_no_images_of_none_of_the_classes(small: Dataset) -> None:
    assert available(replace(small, name="mnist")) is None


def test_another_study_takes_the_digits(animals: Dataset) -> None:
    found = available(animals)
    assert found is not None and found.title == "scikit-learn's digits"
    assert found.images.shape == (len(animals.test), 3, 32, 32)


def test_fashion_mnist_is_preferred_where_it_lies_beside_the_data(small: Dataset) -> None:
    pixels = place_fashion_mnist(Path(small.folder))
    found = available(small)
    assert found is not None and found.title == "Fashion-MNIST" and found.images.shape == (9, 3, 32, 32)
    np.testing.assert_allclose(found.images.float().mean(), pixels.mean(), rtol=0.03)


def test_damaged_fashion_mnist_is_refused(small: Dataset) -> None:
    place_fashion_mnist(Path(small.folder))
    (Path(small.folder) / "FashionMNIST" / "raw" / "t10k-images-idx3-ubyte").write_bytes(gzip.compress(b"no images"))
    with pytest.raises(StudyError, match="Fashion-MNIST in .* is damaged or incomplete"):
        available(small)


def test_they_have_the_size_that_the_study_stores(animals: Dataset) -> None:
    larger = animals.images[:].float().repeat_interleave(2, -1).repeat_interleave(2, -2).byte()
    found = available(replace(animals, images=larger))
    assert found is not None and found.images.shape == (len(animals.test), 3, 64, 64)


def test_fingerprint_is_the_sha256_of_the_pixels(animals: Dataset) -> None:
    found = available(animals)
    assert found is not None
    assert found.fingerprint == hashlib.sha256(found.images.numpy().tobytes()).hexdigest()


def place_photographs(folder: Path) -> None:
    """Four images of all sizes, formats and modes, in folders of their own, and a file that is none."""
    for name, mode, size, colour in (
        ("a/wide.png", "RGB", (90, 30), (200, 10, 20)),
        ("a/grey.jpg", "L", (17, 23), 128),
        ("b/clear.webp", "RGBA", (64, 64), (0, 255, 0, 255)),
        ("b/c/palette.gif", "P", (8, 8), 0),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, colour).save(folder / name)
    (folder / "notes.txt").write_text("no image", encoding="utf-8")


def test_a_folder_gives_its_images_of_any_size_in_the_order_of_their_names(small: Dataset, tmp_path: Path) -> None:
    place_photographs(tmp_path / "photos")
    found = available(small, str(tmp_path / "photos"))
    assert found is not None and found.title == "photos" and found.images.shape == (4, 3, 32, 32)
    grey, wide, _, clear = found.images
    assert (grey.float() - 128).abs().max() <= 2
    assert wide[:, 5, 5].tolist() == [200, 10, 20]
    assert clear[1].float().mean() > 250 and clear[0].float().mean() < 5


def test_images_are_turned_as_their_exif_says(small: Dataset, tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 40))
    image.paste((255, 255, 255), (0, 0, 40, 20))  # white above, stored upside down
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(tmp_path / "turned.png", exif=exif)
    found = available(small, str(tmp_path))
    assert found is not None
    assert found.images[0, :, :14].max() == 0 and found.images[0, :, 18:].min() == 255


def test_no_more_images_are_taken_than_the_study_tests(small: Dataset, tmp_path: Path) -> None:
    for number in range(9):
        Image.new("L", (4, 4), 20 * number).save(tmp_path / f"{number}.png")
    few = replace(small, test=small.test[:3])
    found = available(few, str(tmp_path))
    assert found is not None and found.images[:, 0, 0, 0].tolist() == [0, 80, 160]


def test_a_named_dataset_is_taken_and_the_study_s_own_refused(small: Dataset) -> None:
    found = available(replace(small, name="cifar10"), "digits")
    assert found is not None and found.title.startswith("Digits")
    with pytest.raises(StudyError, match="--ood digits is what the study classifies"):
        available(small, "digits")


@pytest.mark.parametrize("part", ["", "cat"])
def test_the_folder_that_the_study_classifies_is_refused(small: Dataset, tmp_path: Path, part: str) -> None:
    mine = replace(small, source=str(album(tmp_path / "album")))
    with pytest.raises(StudyError, match="holds images that the study classifies"):
        available(mine, str(tmp_path / "album" / part))
    assert available(mine, str(album(tmp_path / "other")))


def test_the_images_of_a_table_are_refused_and_others_beside_it_are_not(small: Dataset, tmp_path: Path) -> None:
    listed = album(tmp_path / "album")
    mine = replace(small, source=str(table(listed, "file,label\n" + "\n".join(rows(listed)))))
    with pytest.raises(StudyError, match="holds images that the study classifies"):
        available(mine, str(listed / "dog"))
    assert available(mine, str(album(listed / "none-of-them", {"bird": 3}, 300)))


def test_what_is_neither_name_nor_folder_and_what_is_no_image_is_one_line(small: Dataset, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="a dataset or a folder of images, and 'mnist-c' is neither"):
        available(small, "mnist-c")
    with pytest.raises(StudyError, match="'mnist-c' is neither"):
        files_below(Path("mnist-c"))
    album(tmp_path / "empty" / ".thumbnails", {"cat": 2})
    (tmp_path / "empty" / "folder.png").mkdir()
    with pytest.raises(StudyError, match="there are no images in"):
        available(small, str(tmp_path / "empty"))
    for number in range(12):
        (tmp_path / f"{number:02}.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(StudyError, match=r"12 images cannot be read: .*00.png, .*09.png and 2 more;"):
        available(small, str(tmp_path))


def test_the_images_asked_for_are_part_of_a_study_and_known_again_without_reading_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_photographs(tmp_path / "photos")
    options = Options(dataset="digits", preset="quick", runs=tmp_path / "runs", ood=str(tmp_path / "photos"))
    study = prepare(options)
    assert study.data.ood and study.data.ood_from == options.ood
    records.write_plan(study.folder, study.plan)
    monkeypatch.setattr(ood, "available", lambda *_: pytest.fail("the images were read again"))
    assert prepare(options).data == study.data
    monkeypatch.undo()
    (tmp_path / "photos/a/wide.png").unlink()
    assert prepare(options).data.ood not in ("", study.data.ood)
    assert prepare(replace(options, ood="")).data.ood == ""
