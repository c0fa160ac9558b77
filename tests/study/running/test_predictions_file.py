from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study.errors import StudyError
from study.running.predictions_file import read

CLASSES = ("cat", "dog", "7")


def _csv(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "mine.csv"
    path.write_text(text, encoding=encoding)
    return path


def _npz(folder: Path, **arrays: Any) -> Path:  # noqa: ANN401 - whatever an npz may hold
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return path


def test_arrays_without_a_split_are_of_test_images(tmp_path: Path) -> None:
    form, given = read(_npz(tmp_path, labels=[0, 1], logits=np.eye(2, 3), extra=[5]), CLASSES)
    assert form == "logits" and list(given) == ["test"]
    assert sorted(given["test"]) == ["labels", "logits"]
    np.testing.assert_array_equal(given["test"]["logits"], np.eye(2, 3))


def test_predictions_of_another_study_are_read_as_recorded(tmp_path: Path) -> None:
    both = {f"{split}_{name}": [0, 1] for split in ("validation", "test") for name in ("labels", "indices")}
    path = _npz(tmp_path, **both, test_logits=np.eye(2, 3), validation_logits=np.eye(2, 3), test_entropy=[0.1, 0.2])
    form, given = read(path, CLASSES)
    assert form == "logits"
    assert {split: sorted(arrays) for split, arrays in given.items()} == {
        "validation": ["indices", "labels", "logits"],
        "test": ["indices", "labels", "logits"],
    }


def test_columns_may_come_in_any_order_and_name_classes_or_number_them(tmp_path: Path) -> None:
    text = "label,probability_7,probability_dog,probability_cat\n1,0.1,0.7,0.2\n2,1,0,0\n0,0,0.5,0.5\n"
    form, given = read(_csv(tmp_path, text, "utf-8-sig"), CLASSES)
    assert form == "probabilities"
    assert given["test"]["labels"].tolist() == [1, 2, 0]
    assert given["test"]["probabilities"].tolist() == [[0.2, 0.7, 0.1], [0, 0, 1], [0.5, 0.5, 0]]


def test_rows_of_both_splits_may_be_mixed(tmp_path: Path) -> None:
    text = "split,label,predicted\ntest,cat,dog\nvalidation,dog,dog\ntest,7,cat\n"
    form, given = read(_csv(tmp_path, text), CLASSES)
    assert form == "predicted"
    assert given["test"]["labels"].tolist() == [0, 2] and given["test"]["predicted"].tolist() == [1, 0]
    assert given["validation"]["predicted"].tolist() == [1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot be read as a CSV file"),
        ('label,predicted\n"cat', "cannot be read as a CSV file"),
        ("predicted\ncat\n", "must hold labels and one of"),
        ("label\ncat\n", "must hold labels and one of"),
        ("label,predicted\n", "must hold labels and one of"),
        ("label,predicted,logit_cat,logit_dog,logit_7\ncat,dog,1,2,3\n", "must hold labels and one of"),
        ("label,predicted\ncat,bird\n", "has the class 'bird', which the study lacks; it knows cat, dog, 7"),
        ("label,predicted\n-1,cat\n", "has the class '-1'"),
        ("label,predicted\ncat,cat\n0,dog\n", "calls some classes by name and others by number"),
        ("label,logit_cat,logit_dog\ncat,1,2\n", "one column logit_<class> for each of the 3 classes"),
        ("label,logit_cat,logit_0,logit_dog,logit_7\ncat,1,2,3,4\n", "calls some classes by name and others by"),
        ("label,logit_cat,logit_dog,logit_7\ncat,1,2,high\n", "holds what is no number"),
        ("split,label,predicted\ntrain,cat,cat\n", "has the split 'train'; splits are validation and test"),
    ],
)
def test_a_table_that_lacks_something_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(StudyError, match=says) as caught:
        read(_csv(tmp_path, text), CLASSES)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(StudyError, match="cannot be read as a CSV file"):
        read(tmp_path / "mine.csv", CLASSES)


def test_python_objects_are_not_loaded(tmp_path: Path) -> None:
    path = _npz(tmp_path, labels=np.array([0, None], dtype=object), predicted=[0, 1])
    with pytest.raises(StudyError, match="it holds Python objects, which are not loaded"):
        read(path, CLASSES)


def test_damaged_and_foreign_files_are_named(tmp_path: Path) -> None:
    path = _npz(tmp_path, labels=np.arange(500), predicted=np.arange(500))
    path.write_bytes(path.read_bytes()[:-300])
    for broken, says in ((path, "no npz file, or a damaged one"), (tmp_path / "x.npz", "there is no file"),
                         (tmp_path, "neither an .npz nor a .csv")):  # fmt: skip
        with pytest.raises(StudyError, match=says):
            read(broken, CLASSES)
    np.save(tmp_path / "one.npy", np.arange(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(StudyError, match="no npz file"):
        read(tmp_path / "one.npz", CLASSES)


def test_half_a_split_is_refused_rather_than_left_out(tmp_path: Path) -> None:
    path = _npz(tmp_path, labels=[0], predicted=[0], validation_labels=[1])
    with pytest.raises(StudyError, match="has validation_labels, and not both labels and predicted of those images"):
        read(path, CLASSES)


def test_classes_whose_names_are_other_classes_numbers_are_called_one_way_in_the_whole_table(tmp_path: Path) -> None:
    classes = ("1", "2", "3")
    _, given = read(_csv(tmp_path, "label,predicted\n1,1\n2,2\n3,1\n"), classes)
    assert given["test"]["labels"].tolist() == [0, 1, 2] and given["test"]["predicted"].tolist() == [0, 1, 0]
    _, given = read(_csv(tmp_path, "label,predicted\n1,1\n2,2\n0,1\n"), classes)
    assert given["test"]["labels"].tolist() == [1, 2, 0] and given["test"]["predicted"].tolist() == [1, 2, 1]
    for mixed in ("label,predicted\n1,0\n2,1\n3,2\n", "split,label,predicted\ntest,1,1\ntest,3,1\nvalidation,0,0\n"):
        with pytest.raises(StudyError, match="calls some classes by name and others by number"):
            read(_csv(tmp_path, mixed), classes)


def test_an_array_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = _npz(tmp_path, labels=[0, 1], logits=np.eye(2, 3), test_logits=np.eye(2, 3))
    with pytest.raises(StudyError, match="holds test_logits twice, once as logits"):
        read(path, CLASSES)


def test_an_archive_with_a_password_is_one_line(tmp_path: Path) -> None:
    path = _npz(tmp_path, labels=[0, 1], predicted=[0, 1])
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + flags] |= 1  # "encrypted"
            at = content.find(signature, at + 1)
    path.write_bytes(content)
    with pytest.raises(StudyError, match="mine.npz cannot be read"):
        read(path, CLASSES)
