"""Looking up facts, findings, tables and figures by name."""

from __future__ import annotations

import pytest

from report.lookup import Lookup
from study.errors import StudyError
from tests.evidence_samples import sample_evidence, sample_plan


def _lookup(*pending: str) -> Lookup:
    return Lookup(sample_evidence(pending), sample_plan())


def test_found_fact_is_remembered_as_used() -> None:
    lookup = _lookup()
    found = lookup.fact("accuracy/level1/finetuned")
    assert found is not None and found.text == "91.34 %"
    assert list(lookup.used) == ["accuracy/level1/finetuned"]


def test_a_finding_brings_its_facts_along() -> None:
    lookup = _lookup()
    lookup.finding("pass-mark/level1")
    assert set(lookup.used) == {"accuracy/level1/finetuned"}


def test_fact_of_a_pending_experiment_is_none_and_unused() -> None:
    lookup = _lookup("level2/augmented/seed-0")
    assert lookup.fact("accuracy/level2/augmented") is None
    assert not lookup.used


def test_misspelt_fact_of_a_complete_experiment_fails_although_others_are_pending() -> None:
    with pytest.raises(StudyError, match="accuracy/level1/finetuned"):
        _lookup("level2/augmented/seed-0").fact("acuracy/level1/finetuned")


@pytest.mark.parametrize("kind", ["fact", "finding", "table", "figure"])
def test_misspelt_name_fails_in_a_complete_study(kind: str) -> None:
    with pytest.raises(StudyError, match=f"{kind} 'nonsense'"):
        getattr(_lookup(), kind)("nonsense")


def test_name_without_an_experiment_waits_while_any_run_is_missing() -> None:
    assert _lookup("level2/augmented/seed-0").fact("oracle/accuracy") is None


def test_figure_listed_as_pending_waits_though_all_runs_are_there() -> None:
    lookup = _lookup("figure/gradcam")
    assert lookup.figure("gradcam") is None
    assert not lookup.unfinished


def test_planned_and_pending_know_levels_and_experiments() -> None:
    lookup = _lookup("level2/augmented/seed-0")
    assert lookup.planned("level2") and lookup.planned("level2/augmented") and not lookup.planned("level3")
    assert lookup.pending("level2") and not lookup.pending("level1")
    assert not lookup.planned("level2/aug")
