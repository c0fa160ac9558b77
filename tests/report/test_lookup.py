"""Looking up facts, findings, tables and figures by name."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace

import pytest

from analysis.evidence import Finding
from report.lookup import Lookup
from study.description import Level
from study.errors import StudyError
from study.experiment import Expectation
from tests.evidence_samples import KEYS, sample_evidence, sample_fact, sample_plan

KEY = KEYS[1]


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
    assert lookup.printed_in == {"accuracy/level1/finetuned": "finding"}


def test_fact_of_a_pending_experiment_is_none_and_unused() -> None:
    lookup = _lookup("level2/augmented/seed-0")
    assert lookup.fact("accuracy/level2/augmented") is None
    assert not lookup.used


def test_what_names_a_failed_experiment_is_missing_because_it_failed() -> None:
    lookup = _lookup("level2/augmented/seed-0", "level1/finetuned/seed-0")
    lookup.evidence = replace(lookup.evidence, failed=("level2/augmented/seed-0",))
    assert lookup.missing("accuracy/level2/augmented") == "failed"
    assert lookup.missing("accuracy/level1/finetuned") == lookup.missing("oracle/accuracy") == "pending"


def test_misspelt_fact_of_a_complete_experiment_fails_although_others_are_pending() -> None:
    with pytest.raises(StudyError, match="accuracy/level1/finetuned"):
        _lookup("level2/augmented/seed-0").fact("acuracy/level1/finetuned")


@pytest.mark.parametrize("kind", ["fact", "finding", "table", "figure"])
def test_misspelt_name_fails_in_a_complete_study(kind: str) -> None:
    with pytest.raises(StudyError, match=f"{kind} 'nonsense'"):
        getattr(_lookup(), kind)("nonsense")


def test_name_without_an_experiment_waits_while_any_run_is_missing() -> None:
    assert _lookup("level2/augmented/seed-0").fact("oracle/accuracy") is None


def test_what_a_complete_level_or_a_subject_told_of_lacks_will_not_come() -> None:
    lookup = _lookup("level2/augmented/seed-0")
    assert [lookup.tellable(f"open/level{level}") for level in (1, 2)] == [False, True]
    assert [lookup.tellable(name) for name in ("pass-mark/study", "oracle/gain")] == [False, True]


def test_figure_listed_as_pending_waits_though_all_runs_are_there() -> None:
    lookup = _lookup("figure/gradcam")
    assert lookup.figure("gradcam") is None
    assert not lookup.unfinished


def test_planned_and_pending_know_levels_and_experiments() -> None:
    lookup = _lookup("level2/augmented/seed-0")
    assert lookup.planned("level2") and lookup.planned("level2/augmented") and not lookup.planned("level3")
    assert lookup.pending("level2") and not lookup.pending("level1")
    assert not lookup.planned("level2/aug")


def test_comparisons_are_chosen_by_level_and_group() -> None:
    lookup = _lookup()
    assert lookup.compared(2, "transfer", "ingredients") == ["level2/augmented"]
    assert lookup.compared(1, "ingredients") == lookup.compared(2) == lookup.compared(2, "search") == []


def test_what_no_named_group_has_is_among_the_others() -> None:
    lookup = _lookup()
    assert lookup.others(2) == lookup.others(2, "search") == ["level2/augmented"]
    assert lookup.others(2, "ingredients") == lookup.others(1) == []


def test_levels_are_those_with_experiments() -> None:
    lookup = _lookup()
    more = replace(lookup.plan, levels=(*lookup.plan.levels, Level(3, "architecture")))
    assert [level.title for level in Lookup(lookup.evidence, more).levels] == ["transfer", "regularisation"]


def test_of_comparisons_with_the_same_verdict_the_smallest_p_comes_first() -> None:
    lookup = _lookup()
    for key, text, p in zip(KEYS, ("0.040", "< 0.001"), (0.04, 0.001), strict=True):
        lookup.evidence.facts[f"p/{key}"] = sample_fact(f"p/{key}", text, p)
        lookup.evidence.findings[f"difference/{key}"] = Finding(f"difference/{key}", "It helps.", "supported", ())
    assert lookup.ranked("supported") == [KEYS[1], KEYS[0]] and lookup.ranked("contradicted") == []


def test_the_list_of_facts_counts_as_printed_what_provenance_does() -> None:
    lookup = _lookup()
    lookup.evidence.facts.update((name, sample_fact(name)) for name in ("oracle/accuracy", "ensemble/fixed"))
    lookup.finding("pass-mark/level1")
    lookup.fact("oracle/accuracy")
    listed, places = lookup.fact_list(), [fact["printed in"] for fact in lookup.provenance["facts"]]
    assert listed.caption.startswith("The paper prints 2 of 3 facts;")
    assert [row[2] for row in listed.rows] == places == ["finding", "", "text"]


@pytest.mark.parametrize(("expects", "undecided"), [("gain", [KEY]), ("loss", [KEY]), ("no difference", [])])
def test_an_open_claim_that_nothing_is_lost_is_not_told_as_no_difference(
    expects: Expectation, undecided: list[str]
) -> None:
    lookup = _lookup()
    p = sample_fact(f"p/{KEY}", "0.40", 0.4)
    finding = Finding(f"difference/{KEY}", "It may lose too much.", "inconclusive", (p.name,))
    evidence = replace(lookup.evidence, facts={p.name: p}, findings={finding.name: finding})
    first, compared = lookup.plan.experiments
    plan = replace(lookup.plan, experiments=(first, replace(compared, expects=expects)))
    assert Lookup(evidence, plan).undecided([KEY]) == undecided


def test_the_commands_name_every_flag_that_a_rerun_needs_as_a_shell_reads_them() -> None:
    lookup = _lookup()
    asked = {"source": "my $photos/o'clock", "described_by": "what is known.json", "ood_from": "/data/others; ls"}
    lookup.plan = replace(lookup.plan, study="a study", seeds=(0, 2), dataset=replace(lookup.plan.dataset, **asked))
    lookup.evidence.facts["study/switches"] = sample_fact("study/switches", "--deterministic")
    study, report = map(shlex.split, lookup.commands)
    assert study == [
        *("invoke", "study", "--preset", "cpu", "--seeds", "0,2", "--dataset", "my $photos/o'clock"),
        *("--description", "what is known.json", "--ood", "/data/others; ls", "--device", "cpu"),
        *("--study", "a study", "--deterministic"),
    ]
    assert report == ["invoke", "report", "--study", "a study"]
    as_printed = "\n".join(lookup.command_lines).replace("invoke", "printf '%s\\0'")
    read = subprocess.run(["bash", "-c", as_printed], capture_output=True, text=True, check=True).stdout.split("\0")
    assert read == [*study[1:], *report[1:], ""] and max(map(len, lookup.command_lines)) < 80


def test_the_commands_name_no_flag_that_was_not_given() -> None:
    lookup = _lookup()
    lookup.plan = replace(lookup.plan, dataset=replace(lookup.plan.dataset, source="cifar10"))
    expected = "invoke study --preset cpu --seeds 0 --dataset cifar10 --device cpu --study sample"
    assert lookup.commands == [expected, "invoke report --study sample"]
