"""Two studies beside each other, and a study beside a report of it kept from before."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from report import diff as differ
from report import pdf
from report.build import build
from study.errors import StudyError
from study.records import read_plan, write_plan
from tests.evidence_samples import blank_drawing
from tests.fabricate import ENVIRONMENT, experiments, fabricate

KEY = "level1/finetuned"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of studies of levels 1 and 2: one, and another whose fine-tuned network is worse."""
    folder = tmp_path_factory.mktemp("runs")
    fabricate(folder / "one", planned=experiments(1, 2))
    fabricate(folder / "worse", planned=experiments(1, 2), accuracies={KEY: 0.5})
    return folder


def test_a_study_does_not_differ_from_itself(runs: Path) -> None:
    found = differ.diff(runs / "one", runs / "one")
    assert found.same_results and not found.made_of and found.tables() == {}


def test_changed_numbers_are_told_with_both_values_and_flipped_verdicts(runs: Path) -> None:
    found = differ.diff(runs / "one", runs / "worse")
    accuracy = next(change for change in found.numbers if change.name == f"accuracy/{KEY}")
    first, second = (float(text.split()[0]) for text in (accuracy.first, accuracy.second))
    assert second == pytest.approx(50, abs=5) and accuracy.by == f"−{100 * (1 - second / first):.1f} %"
    assert "pass-mark/level1" in {change.name for change in found.verdicts}
    assert all(change.first != change.second for change in (*found.numbers, *found.verdicts))
    assert not [change.name for change in found.numbers if change.name.startswith("accuracy/level2/plain")]


@pytest.mark.parametrize(
    ("first", "second", "by"),
    [(0.5, 0.75, "+50.0 %"), (-0.2, -0.8, "−300.0 %"), (-0.8, -0.2, "+75.0 %"), (0.0, 1.0, ""), ("a", 1.0, "")],
)
def test_a_number_that_rises_has_risen_by_a_positive_share(first: object, second: object, by: str) -> None:
    assert differ._by(first, second) == by


def test_more_seeds_and_another_revision_are_what_the_studies_were_made_of(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENVIRONMENT, "commit", "1" * 40)
    fabricate(tmp_path / "seeds", seeds=(0, 1), planned=experiments(1))
    found = differ.diff(runs / "one", tmp_path / "seeds")
    told = {differ.part_of(each.name): (each.first, each.second) for each in found.made_of}
    assert told["seeds"] == ("0", "0 and 1") and told["code"] == ("0" * 12, "1" * 12)


def test_a_report_kept_from_before_is_compared_with_its_study_as_it_is_now(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "has_latex", lambda: False)
    monkeypatch.setattr("report.figures.draw", blank_drawing)
    kept = shutil.copytree(build(runs / "one")[0].parent, tmp_path / "kept")
    assert differ.diff(kept, runs / "one").same_results
    assert not differ.diff(kept, runs / "worse").same_results
    claims = json.loads((kept / "claims.json").read_text(encoding="utf-8"))
    told = next(each for each in claims["findings"] if not each["claim"])
    told["sentence"] += " In 17 of 20 cases."
    (kept / "claims.json").write_text(json.dumps(claims), encoding="utf-8")
    assert [each.name for each in differ.diff(kept, runs / "one").numbers] == [told["name"]]


def test_studies_of_different_datasets_are_one_clear_error(runs: Path, tmp_path: Path) -> None:
    fabricate(tmp_path / "digits", planned=experiments(1, 2), stand_in=True)
    with pytest.raises(StudyError, match="is of CIFAR-10 and .* of Digits; only studies of one dataset") as raised:
        differ.diff(runs / "one", tmp_path / "digits")
    assert "\n" not in str(raised.value)


def test_studies_that_plan_nothing_can_be_compared(tmp_path: Path) -> None:
    for name in ("one", "other"):
        fabricate(tmp_path / name, planned=())
    write_plan(tmp_path / "other", replace(read_plan(tmp_path / "other"), seeds=(1,)))
    found = differ.diff(tmp_path / "one", tmp_path / "other")
    assert found.same_results and [(each.first, each.second) for each in found.made_of] == [("0", "1")]


def test_what_is_no_study_is_one_clear_error(runs: Path) -> None:
    with pytest.raises(StudyError, match="nothing is neither a study in"):
        differ.find("nothing", runs)
    with pytest.raises(StudyError, match="reprot is neither a study in"):
        differ.find(f"{runs}/one/reprot", runs)


def test_a_damaged_report_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text("{", encoding="utf-8")
    with pytest.raises(StudyError, match="holds no whole report"):
        differ.read(tmp_path)


def test_page_escapes_what_studies_are_called(runs: Path) -> None:
    page = differ.diff(runs / "one", runs / "worse").page("<one>", "worse").decode()
    assert "&lt;one&gt;" in page and "<one>" not in page and f"accuracy/{KEY}" in page
