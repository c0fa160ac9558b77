"""From a study's records to everything the paper may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.assemble import assemble
from analysis.evidence import Evidence
from study.errors import StudyError
from study.records import load_runs
from tests.fabricate import fabricate
from tests.fabricated_experiments import experiments

FIGURES = {
    "levels", "curves", "forest", "search", "architecture", "confusion", "overlap", "pareto", "reliability",
    "risk_coverage",
}  # fmt: skip
TABLES = {
    "headline", "experiments", "level1", "ablation", "level2", "level3", "level5", "recipes", "per_class", "members",
    "diversity", "deployment", "trust", "environment", "runs",
}  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def evidence(study: Path) -> Evidence:
    return assemble(study)


def test_complete_study_yields_every_table_and_figure_but_the_images(evidence: Evidence) -> None:
    assert set(evidence.tables) == TABLES
    assert set(evidence.figures) == FIGURES
    assert evidence.pending == ("figure/gradcam",)


def test_facts_carry_names_of_runs_that_exist(study: Path, evidence: Evidence) -> None:
    names = {run.name for run in load_runs(study)}
    measured = (
        "accuracy",
        "difference",
        "p/",
        "best",
        "ensemble",
        "calibration",
        "uncertainty",
        "int8",
        "latency",
    )
    for fact in evidence.facts.values():
        assert set(fact.runs) <= names
        assert fact.runs or not fact.name.startswith(measured)
        assert fact.function.startswith(("analysis.", "study."))


def test_findings_rest_on_facts_that_exist(evidence: Evidence) -> None:
    for finding in evidence.findings.values():
        assert set(finding.facts) <= set(evidence.facts)


def test_tables_print_accuracies_and_differences_as_the_facts_do(evidence: Evidence) -> None:
    (row,) = (row for row in evidence.tables["level2"].rows if row[0] == "Augmented")
    key = "level2/augmented"
    facts = [evidence.facts[f"{name}/{key}"].text for name in ("accuracy", "accuracy-interval", "difference", "p")]
    assert [f"{row[2]} %", f"{row[3]} %", f"{row[4]} points", row[6]] == facts


def test_every_row_of_every_table_has_a_cell_per_column(evidence: Evidence) -> None:
    for table in evidence.tables.values():
        assert {len(row) for row in table.rows} == {len(table.header)} == {len(table.align)}


def test_captions_open_with_a_sentence_and_say_n(evidence: Evidence) -> None:
    for name in FIGURES - {"architecture", "search", "curves"}:
        assert "200 test images" in evidence.figures[name].caption


@pytest.mark.parametrize("done", (0, 1, 9, 16, 20, 27))
def test_study_in_the_middle_assembles(tmp_path: Path, done: int) -> None:
    keys = [experiment.key for experiment in experiments()]
    evidence = assemble(fabricate(tmp_path, images=60, skip=keys[done:]))
    assert {f"{key}/seed-0" for key in keys[done:]} <= set(evidence.pending)
    assert all(finding.facts and set(finding.facts) <= set(evidence.facts) for finding in evidence.findings.values())
    for table in evidence.tables.values():
        assert {len(row) for row in table.rows} == {len(table.header)}


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


def test_assembling_twice_gives_the_same_evidence(study: Path, evidence: Evidence) -> None:
    again = assemble(study)
    assert again.facts == evidence.facts
    assert again.findings == evidence.findings
    assert again.tables == evidence.tables


def test_words_follow_the_accuracies(tmp_path: Path) -> None:
    worse = {"level3/plain-head": 0.95, "level3/se-head": 0.80}
    evidence = assemble(fabricate(tmp_path, images=400, accuracies=worse))
    finding = evidence.findings["difference/level3/se-head"]
    assert finding.verdict == "contradicted"
    assert finding.sentence.startswith("SE head lowers accuracy by")


def test_altered_run_counts_as_missing(tmp_path: Path) -> None:
    study = fabricate(tmp_path, images=60)
    (study / "level1" / "finetuned" / "seed-0" / "epochs.jsonl").write_text("{}\n")
    evidence = assemble(study)
    assert "level1/finetuned/seed-0" in evidence.pending
    assert "accuracy/level1/finetuned" not in evidence.facts


def test_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="no study"):
        assemble(tmp_path)
