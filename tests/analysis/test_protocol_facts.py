"""Facts of the methods text."""

from __future__ import annotations

import pytest

from analysis.evidence import Finding
from analysis.protocol_facts import protocol_facts, spec_facts, verdict_facts
from analysis.results import Results, results_of
from analysis.view import view_study
from tests.fabricate import fabricate


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Statistics of a complete fabricated study."""
    return results_of(view_study(fabricate(tmp_path_factory.mktemp("study"))))


def test_constants_print_as_a_reader_expects(results: Results) -> None:
    printed = {fact.name: fact.text for fact in protocol_facts(results)}
    assert printed["protocol/level"] == "95 %" and printed["protocol/power"] == "80 %"
    assert printed["protocol/alpha"] == "0.05" and printed["protocol/bins"] == "15"


def test_specs_give_teaching_ranges_and_passes_where_an_experiment_has_them(results: Results) -> None:
    printed = {fact.name: fact.text for fact in spec_facts(results)}
    student = results.view.experiments["level5/student"].spec["distillation"]
    assert float(printed["recipe/level5/student/temperature"]) == student["temperature"]
    assert "recipe/level5/student-alone/temperature" not in printed
    assert printed["recipe/level5/student/heard"] == "in all epochs"
    assert printed["recipe/level5/compact-student/heard"] == (
        "in the last 2 epochs and learns from labels alone before"
    )
    assert printed["recipe/level5/compact-student/shared-epochs"] == "3"
    assert "recipe/level5/student/shared-epochs" not in printed
    assert printed["recipe/level5/student/arithmetic"] == "floating point"
    assert printed["recipe/level5/compact-student/arithmetic"] == "eight-bit integers"
    assert printed["search/level2/search/range-label-smoothing"] == "0 to 0.2"
    assert printed["mc-dropout/level5/mc-dropout/passes"] == "10"
    assert printed["recipe/level3/se-head/dropout"] == "0.2" and "recipe/level1/finetuned/dropout" not in printed


def test_verdicts_are_counted_over_comparisons_alone(results: Results) -> None:
    findings = {f"difference/{key}": Finding("", "", "supported", ()) for key in results.judged}
    findings["calibration/temperature"] = Finding("", "", "contradicted", ())
    counts = {fact.name: fact.value for fact in verdict_facts(results, findings)}
    expected = {"supported": len(results.judged), "contradicted": 0, "inconclusive": 0}
    assert counts == {f"verdicts/{verdict}": count for verdict, count in expected.items()}
