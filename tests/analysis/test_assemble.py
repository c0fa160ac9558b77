"""From a study's records to everything the paper may say."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from analysis import subjects
from analysis.assemble import assemble
from analysis.evidence import Evidence
from study.description import Level
from study.errors import StudyError
from study.kinds import Training
from study.records import current_runs, read_plan, write_plan
from tests.fabricate import experiments, fabricate

FIGURES = {
    "levels", "curves", "search", "architecture", "errors", "overlap", "pareto", "confidence", "gradcam", "samples",
}  # fmt: skip
TABLES = {
    "effects", "experiments", "accuracies", "recipes", "per_class", "members", "diversity", "deployment", "trust",
    "environment", "runs",
}  # fmt: skip
FROM_THE_PLAN = {"experiments", "recipes"}
SUBJECT = '''
"""A subject of its own."""
from analysis.evidence import Finding, Origin, Table, facts, figure, findings, table
from analysis.subjects.training import accuracies  # another subject's, which must not count twice

@facts
def weather_facts(results):
    yield Origin(weather_facts).text("weather/name", "sunny")

@findings
def weather_findings(results):
    yield Finding("weather", "It is sunny.", "supported", ("weather/name",))

@table
def weather(results):
    return Table("weather", "It is blue.", ("Sky",), (("blue",),), "l")

@figure
def sky(results):
    return None
'''


def test_complete_study_yields_every_table_and_figure(evidence: Evidence) -> None:
    assert set(evidence.tables) == TABLES
    assert set(evidence.figures) == FIGURES
    assert evidence.pending == ()


def test_tables_and_figures_bear_the_names_they_are_looked_up_by(evidence: Evidence) -> None:
    for shelf in (evidence.facts, evidence.findings, evidence.tables, evidence.figures):
        assert {name: each.name for name, each in shelf.items()} == {name: name for name in shelf}


def test_facts_carry_names_of_runs_that_exist(fabricated_study: Path, evidence: Evidence) -> None:
    names = set(current_runs(fabricated_study, read_plan(fabricated_study)))
    measured = (
        "accuracy", "difference", "p/", "best", "ensemble", "calibration", "uncertainty", "int8", "latency", "road",
        "teacher",
    )  # fmt: skip
    for fact in evidence.facts.values():
        assert set(fact.runs) <= names
        assert fact.runs or not fact.name.startswith(measured)


def test_every_fact_names_a_function_that_exists(evidence: Evidence) -> None:
    for function in {fact.function for fact in evidence.facts.values()}:
        assert function.startswith(("analysis.", "study."))
        assert _found(function) is not None, function


def _found(function: str) -> object:
    """What a full name names: a function in a module, or in a class in a module."""
    module, _, name = function.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError:
        return getattr(_found(module), name)


def test_findings_rest_on_facts_that_exist(evidence: Evidence) -> None:
    for finding in evidence.findings.values():
        assert set(finding.facts) <= set(evidence.facts)


def test_tables_print_accuracies_and_differences_as_the_facts_do(evidence: Evidence) -> None:
    names = ("accuracy", "accuracy-interval", "difference", "p")
    accuracy, interval, difference, p = (evidence.facts[f"{name}/level2/augmented"].text for name in names)
    (row,) = (row for row in evidence.tables["accuracies"].rows if row[0] == "Full recipe")
    assert [f"{row[3]} %", f"{row[4]} %"] == [accuracy, interval]
    (row,) = (row for row in evidence.tables["effects"].rows if row[0] == "Full recipe")
    assert [f"{str(row[3]).split(' (')[0]} points", row[5]] == [difference, p]


def test_every_row_of_every_table_has_a_cell_per_column(evidence: Evidence) -> None:
    for table in evidence.tables.values():
        assert {len(row) for row in table.rows if len(row) > 1} == {len(table.header)} == {len(table.align)}


def test_captions_open_with_a_sentence_and_say_n(evidence: Evidence) -> None:
    for shown in (*evidence.figures.values(), *evidence.tables.values()):
        assert re.match(r"\w.+?\. ", f"{shown.caption} ") and shown.caption.endswith("."), shown.name
    for name in FIGURES - {"architecture", "search", "curves", "gradcam", "samples"}:
        assert "200 test images" in evidence.figures[name].caption


@pytest.mark.parametrize("done", (0, 1, 9, 16, 20, 27))
def test_study_in_the_middle_assembles(tmp_path: Path, done: int) -> None:
    keys = [experiment.key for experiment in experiments()]
    evidence = assemble(fabricate(tmp_path, images=60, skip=keys[done:]))
    assert {f"{key}/seed-0" for key in keys[done:]} <= set(evidence.pending)
    for finding in evidence.findings.values():
        assert (finding.facts or finding.claim) and set(finding.facts) <= set(evidence.facts)
    for table in evidence.tables.values():
        assert {len(row) for row in table.rows if len(row) > 1} == {len(table.header)}


def test_study_without_runs_has_the_tables_of_its_plan_and_waits_for_the_others(tmp_path: Path) -> None:
    evidence = assemble(fabricate(tmp_path, seeds=()))
    assert set(evidence.tables) == FROM_THE_PLAN and not evidence.figures
    waiting = {f"table/{name}" for name in TABLES - FROM_THE_PLAN} | {f"figure/{name}" for name in FIGURES}
    assert set(evidence.pending) == waiting


def test_second_seed_still_missing_is_pending(tmp_path: Path) -> None:
    study = fabricate(tmp_path, seeds=(0, 1), images=60)
    for file in (study / "level3" / "se-head" / "seed-1").iterdir():
        file.unlink()
    evidence = assemble(study)
    assert "level3/se-head/seed-1" in evidence.pending
    assert "accuracy-sd/level3/se-head" not in evidence.facts
    assert "accuracy-sd/level3/scratch-cnn" in evidence.facts


def test_stand_in_data_is_named_in_every_caption(tmp_path: Path) -> None:
    evidence = assemble(fabricate(tmp_path, images=60, stand_in=True))
    notice = evidence.facts["study/notice"].text
    assert notice
    captions = [table.caption for table in evidence.tables.values()]
    captions += [figure.caption for figure in evidence.figures.values()]
    assert captions and all(caption.endswith(notice) for caption in captions)


def test_assembling_twice_gives_the_same_evidence(fabricated_study: Path, evidence: Evidence) -> None:
    again = assemble(fabricated_study)
    assert (again.facts, again.findings, again.tables) == (evidence.facts, evidence.findings, evidence.tables)
    captions, before = ({f.name: f.caption for f in each.figures.values()} for each in (again, evidence))
    assert captions == before


def test_altered_run_counts_as_missing(tmp_path: Path) -> None:
    study = fabricate(tmp_path, images=60)
    (study / "level1" / "finetuned" / "seed-0" / "epochs.jsonl").write_text("{}\n")
    evidence = assemble(study)
    assert "level1/finetuned/seed-0" in evidence.pending
    assert "accuracy/level1/finetuned" not in evidence.facts


def test_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study"):
        assemble(tmp_path)


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a file where the subjects are."""

    def write(name: str, content: str) -> None:
        (tmp_path / f"{name}.py").write_text(content)
        monkeypatch.setattr(subjects, "__path__", [*subjects.__path__, str(tmp_path)])
        monkeypatch.delitem(sys.modules, f"{subjects.__name__}.{name}", raising=False)

    return write


def test_a_subject_is_found_by_its_file(
    fabricated_study: Path, evidence: Evidence, subject: Callable[[str, str], None]
) -> None:
    subject("weather", SUBJECT)
    found = assemble(fabricated_study)
    assert found.facts["weather/name"].function == "analysis.subjects.weather.weather_facts"
    assert found.findings["weather"].sentence == "It is sunny." and found.tables["weather"].caption == "It is blue."
    assert found.pending == ("figure/sky",)
    assert set(found.tables) == {*evidence.tables, "weather"}
    sys.modules.pop("analysis.subjects.weather")


def test_a_new_level_has_its_table_and_summary_without_being_registered(tmp_path: Path) -> None:
    """A level 6 of one experiment, compared with one of level 2, with a pass mark of its own."""
    base = next(e for e in experiments() if e.key == "level2/augmented")
    assert isinstance(base, Training)
    new = replace(base, level=6, name="larger", title="Larger", control=base.key, differs="more channels")
    study = fabricate(tmp_path, images=60, planned=[*experiments(), new])
    plan = read_plan(study)
    write_plan(study, replace(plan, levels=(*plan.levels, Level(6, "size", step=True, pass_mark=0.5))))
    evidence = assemble(study)
    assert evidence.tables["effects"].rows[-2][0] == "Level 6: size"
    assert evidence.tables["effects"].rows[-1][:2] == ("Larger", "Full recipe")
    assert {"pass-mark/level6", "open/level6", "difference/level6/larger"} <= set(evidence.findings)
