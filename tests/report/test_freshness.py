"""A report that is left alone until something that it is made of changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from report import pdf
from report.build import build, stale
from study.errors import StudyError
from tests.evidence_samples import blank_drawing
from tests.fabricate import experiments, fabricate


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of level 1 and its report, by Typst, its figures left blank."""
    study = fabricate(tmp_path_factory.mktemp("study"), planned=experiments(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "has_latex", lambda: False)
        patch.setattr("report.figures.draw", blank_drawing)
        assert stale(study) == ["no report was written yet"]
        build(study)
    return study


@pytest.fixture
def study(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of both, on a machine like that on which the report was written."""
    monkeypatch.setattr(pdf, "has_latex", lambda: False)
    monkeypatch.setattr("report.figures.draw", blank_drawing)
    return shutil.copytree(written, tmp_path / "study")


def test_a_second_report_writes_nothing(study: Path) -> None:
    pdf_file = study / "report" / "report.pdf"
    before = pdf_file.stat().st_mtime_ns
    assert build(study) == [] and stale(study) == []
    assert pdf_file.stat().st_mtime_ns == before


def test_settings_make_it_stale(study: Path) -> None:
    path = study / "paper.toml"
    path.write_text('title = "Another"')
    assert stale(study) == ["settings"]
    path.unlink()
    assert stale(study) == []


def test_settings_that_are_not_there_are_refused_where_the_report_is_fresh(study: Path, tmp_path: Path) -> None:
    for asked in (build, stale):
        with pytest.raises(StudyError, match="cannot read the settings in .*nowhere.toml"):
            asked(study, settings=tmp_path / "nowhere.toml")


def test_another_engine_makes_it_stale(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "has_latex", lambda: True)
    assert stale(study) == ["PDF engine"]


def test_a_file_of_the_report_that_was_edited_makes_it_stale_and_is_written_again(study: Path) -> None:
    page = study / "report" / "report.html"
    before = page.read_bytes()
    page.write_bytes(before + b" ")
    assert stale(study) == ["report.html"]
    assert build(study) and page.read_bytes() == before


def test_what_a_kill_left_half_written_goes_with_the_next_report(study: Path) -> None:
    left = study / "report" / ".report.pdf.7.partial"
    left.write_bytes(b"%PDF")
    assert build(study) and not left.exists() and stale(study) == []


def test_changed_templates_make_it_stale(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "paper.jinja").write_text("")
    monkeypatch.setattr("report.freshness.TEMPLATES", tmp_path / "templates")
    assert stale(study) == ["templates"]


def test_a_damaged_note_of_what_it_was_made_of_makes_it_stale(study: Path) -> None:
    (study / "report" / "build.json").write_bytes(b"{")
    assert stale(study) == ["build.json is damaged"]


def test_a_run_that_changes_makes_it_stale(study: Path) -> None:
    result = study / "level1" / "finetuned" / "seed-0" / "result.json"
    before = result.read_text()
    result.write_text(before.replace("{", "{ ", 1))
    assert stale(study) == ["records"]
    result.write_text(before)
    assert stale(study) == []
