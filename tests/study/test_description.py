"""What is known of a dataset beyond its images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from study import records
from study.data.datasets import Dataset
from study.data.descriptions import shipped
from study.description import Description
from study.errors import StudyError
from study.running.options import Options
from study.running.study import prepare

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def test_super_classes_are_numbered_as_the_classes_meet_them() -> None:
    assert shipped("cifar10").coarse(CIFAR10) == (0, 0, 1, 1, 1, 1, 1, 1, 0, 0)
    assert shipped("digits").coarse(tuple("0123456789")) == (0, 1) * 5
    assert Description().coarse(CIFAR10) == ()


def test_the_order_in_which_super_classes_are_written_does_not_matter() -> None:
    known = shipped("cifar10")
    turned = replace(known, superclasses=dict(reversed(known.superclasses.items())))
    assert turned.coarse(CIFAR10) == known.coarse(CIFAR10)


def test_a_class_in_two_super_classes_is_refused() -> None:
    with pytest.raises(StudyError, match="'b' is there more than once"):
        Description(superclasses={"x": ("a", "b"), "y": ("b",)}).coarse(("a", "b"))


def test_a_plan_read_back_asks_for_the_same_runs(tmp_path: Path, digits: Dataset) -> None:
    options = Options(preset="quick", dataset="digits", device="cpu", runs=tmp_path)
    study = prepare(options)
    records.write_plan(study.folder, study.plan)
    again = prepare(options)
    assert again.data == study.data and again.plan.experiments == study.plan.experiments


def test_a_target_for_a_level_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "told.json"
    path.write_text('{"levels": {"9": {"pass_mark": 0.5}}}')
    with pytest.raises(StudyError, match="asks something of level 9, which does not exist"):
        prepare(Options(preset="quick", dataset="digits", runs=tmp_path, description=str(path))).plan  # noqa: B018


def test_a_study_knows_its_description_when_the_file_is_not_there_any_more(tmp_path: Path) -> None:
    path = tmp_path / "told.json"
    path.write_text(
        '{"title": "Scans", "superclasses": {"few": ["0", "1", "2"], "many": ["3", "4", "5", "6", "7", "8", "9"]}}'
    )
    study = prepare(Options(preset="quick", dataset="digits", runs=tmp_path, description=str(path)))
    path.unlink()
    assert study.dataset.description == study.data.description and study.dataset.title == "Scans"
    assert study.plan.dataset.described_by == str(path)
