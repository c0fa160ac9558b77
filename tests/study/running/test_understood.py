"""What a dry run says of the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from study.data import datasets
from study.running.understood import SHOWN_CLASSES, understood
from tests.study.data.albums import album


def test_classes_splits_sizes_and_what_was_left_out_are_said(tmp_path: Path) -> None:
    root = album(tmp_path / "album", {"cat": 60, "dog": 30})
    (root / "notes.txt").write_text("x")
    lines = understood(datasets.load(str(root)).describe()).splitlines()
    assert lines[0] == f"data: album from {root}, 2 classes"
    assert [line.split() for line in lines[3:6]] == [
        ["cat", "40", "10", "10"], ["dog", "20", "5", "5"], ["all", "60", "15", "15"],
    ]  # fmt: skip
    assert "splits: a stratified sixth of the images for testing, and a stratified fifth of the remaining" in lines[6]
    assert lines[7] == "images: 20×16 px, stored as central squares of 32×32 px"
    assert lines[8] == "note: 1 file left out: outside any class folder"
    assert "no super-classes are described" in lines[9]


def test_many_classes_are_counted(digits: datasets.Dataset) -> None:
    data = digits.describe()
    many = [f"c{number}" for number in range(SHOWN_CLASSES + 5)]
    text = understood(
        replace(data, classes=tuple(many), counts={"train": (1,) * len(many)}, sizes={"train": len(many)})
    )
    assert "... and 5 more classes" in text and many[SHOWN_CLASSES - 1] in text and many[-1] not in text
