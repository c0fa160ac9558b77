"""What is said of calibration, uncertainty and out-of-distribution images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from analysis.results import Results
from analysis.statistics.comparison import BootstrapResult
from analysis.statistics.trust import OodScores
from analysis.subjects.trust import (
    calibration_facts,
    calibration_finding,
    ood_facts,
    plan_facts,
    reliability,
    risk_coverage,
    trust,
    trust_findings,
    uncertainty_facts,
    uncertainty_finding,
)


def test_passes_are_known_before_any_run(empty: Results) -> None:
    assert {fact.name: fact.text for fact in plan_facts(empty)} == {"mc-dropout/level5/mc-dropout/passes": "30"}
    assert list(calibration_facts(empty)) == list(uncertainty_facts(empty)) == list(trust_findings(empty)) == []
    assert trust(empty, {}) is reliability(empty, {}) is risk_coverage(empty, {}) is None


def test_calibration_and_uncertainty_are_reported_for_the_test_images(results: Results, named: Callable) -> None:
    assert named(calibration_facts(results))["calibration/ece-before"].unit == "percent"
    facts = named(uncertainty_facts(results))
    assert results.trust is not None
    assert facts["uncertainty/best-auroc"].value == facts[f"uncertainty/auroc-{results.trust.chosen}"].value
    assert facts["selective/risk"].value < facts["selective/risk-of-all"].value


def test_ood_images_are_named_or_the_reason_why_there_are_none(results: Results, named: Callable) -> None:
    assert named(ood_facts(results))["ood/images"].value == 150
    assert results.trust is not None
    without = replace(results, trust=replace(results.trust, ood=OodScores("", 0, {}, "no files")))
    assert {name: fact.text for name, fact in named(ood_facts(without)).items()} == {"ood/skipped": "no files"}
    table = trust(without, {})
    assert table is not None and "OOD AUROC" not in table.header


def test_trust_has_a_row_per_uncertainty(results: Results) -> None:
    table = trust(results, {})
    assert table is not None and results.trust is not None
    assert [row[0] for row in table.rows] == [u.title for u in results.trust.uncertainties.values()]


@pytest.mark.parametrize(
    ("sign", "p", "verdict", "word"),
    [(1, 0.001, "supported", "lowers"), (-1, 0.001, "contradicted", "raises"),
     (1, 0.5, "inconclusive", "does not detectably change")],
)  # fmt: skip
def test_temperature_scaling_is_judged_by_likelihood(
    results: Results, sign: int, p: float, verdict: str, word: str
) -> None:
    assert results.trust is not None
    better, worse = sorted(
        (results.trust.before, results.trust.after), key=lambda uncertainty: uncertainty.calibration.nll
    )
    before, after = (worse, better) if sign > 0 else (better, worse)
    drop = before.calibration.nll - after.calibration.nll
    gain = BootstrapResult(drop - 0.01, drop + 0.01, p, 0.005)
    told = {"entropy": before, "temperature-entropy": after}
    finding = calibration_finding(replace(results.trust, uncertainties=told, nll_gain=gain))
    assert finding.verdict == verdict
    assert word in finding.sentence


@pytest.mark.parametrize(
    ("aurc", "p", "verdict", "word"),
    [
        (0.005, 0.01, "supported", "fewer"),
        (0.011, 0.01, "contradicted", "more"),
        (0.005, 0.4, "inconclusive", "no diff"),
    ],
)
def test_uncertainty_is_judged_against_the_models_own_entropy(aurc: float, p: float, verdict: str, word: str) -> None:
    bootstrap = BootstrapResult(0.002, 0.004, p, 0.001)
    finding = uncertainty_finding("Entropy of the ensemble", aurc, 0.008, bootstrap, "ensemble-entropy")
    assert finding.verdict == verdict
    assert word in finding.sentence
    assert "0.80 %" in finding.sentence and "−0.40 to −0.20" in finding.sentence
