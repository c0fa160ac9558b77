"""Findings choose their words and verdicts by the evidence."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.findings import (
    all_findings,
    calibration_finding,
    comparison_finding,
    effect,
    latency_finding,
    loss_finding,
    pass_mark_finding,
    summary_finding,
    uncertainty_finding,
    verdict_of,
)
from analysis.results import Judged, results_of
from analysis.section_facts import Speed
from analysis.statistics.accuracy import Accuracy
from analysis.statistics.comparison import BootstrapResult, Comparison
from analysis.view import view_study
from tests.fabricate import fabricate


def comparison(difference: float, seeds: int = 1, p: float = 0.01) -> Comparison:
    return Comparison(difference, difference - 0.0063, difference + 0.0063, p, seeds, 10_000, 0.009, 0.05)


def judged(difference: float, p: float, seeds: int = 1, retrained: bool = True) -> Judged:
    return Judged("level2/a", "level2/b", comparison(difference, seeds), p, retrained)


def test_supported_comparison_improves_accuracy_and_says_by_how_much() -> None:
    assert effect(comparison(0.0084), 0.012) == (
        "improves accuracy by 0.84 points (95 % CI 0.21 to 1.47, p = 0.012, n = 1 seed)"
    )


def test_contradicted_comparison_lowers_accuracy_with_its_interval_turned_round() -> None:
    assert effect(comparison(-0.0084, seeds=3), 0.0001) == (
        "lowers accuracy by 0.84 points (95 % CI 0.21 to 1.47, p < 0.001, n = 3 seeds)"
    )


def test_inconclusive_comparison_says_what_the_study_would_have_seen() -> None:
    finding = comparison_finding("f", judged(0.002, 0.61), "A", "B", "level2/a")
    assert finding.verdict == "inconclusive"
    assert finding.sentence == (
        "Between A and B no difference was detected (difference +0.20 points, 95 % CI −0.43 to +0.83, "
        "p = 0.61, n = 1 seed); the study would have seen 0.90 points."
    )


@pytest.mark.parametrize(
    ("difference", "p", "verdict"),
    [
        (0.01, 0.01, "supported"),
        (-0.01, 0.01, "contradicted"),
        (0.01, 0.05, "inconclusive"),
        (0.01, math.nan, "inconclusive"),
    ],
)
def test_verdict_follows_adjusted_p_and_sign(difference: float, p: float, verdict: str) -> None:
    assert verdict_of(comparison(difference), p) == verdict


def test_small_difference_of_one_seed_is_noise_unless_nothing_was_retrained() -> None:
    small = comparison(0.003)
    assert verdict_of(small, 0.001) == "inconclusive"
    assert verdict_of(small, 0.001, retrained=False) == "supported"
    assert verdict_of(comparison(0.003, seeds=3), 0.001) == "supported"
    assert "may be chance in training" in comparison_finding("f", judged(0.003, 0.001), "A", "B", "k").sentence


def test_loss_without_an_ingredient_supports_the_ingredient() -> None:
    finding = loss_finding("f", judged(-0.01, 0.01), "Without cosine", "Full", "level2/a")
    assert finding.verdict == "supported"
    assert finding.sentence.startswith("Without cosine lowers accuracy by 1.00 points against Full")
    assert loss_finding("f", judged(0.01, 0.01), "A", "B", "k").verdict == "contradicted"


def test_a_loss_in_eight_bits_is_expected(tmp_path: Path) -> None:
    results = results_of(view_study(fabricate(tmp_path, images=60)))
    key, lost = "level5/int8-static", judged(-0.02, 0.001, retrained=False)
    results = replace(results, judged={key: replace(lost, key=key, control="level5/compact-student")})
    assert all_findings(results)[f"difference/{key}"].verdict == "supported"


def test_finding_names_the_facts_it_rests_on() -> None:
    finding = comparison_finding("f", judged(0.01, 0.01), "A", "B", "level2/a")
    assert finding.facts == (
        "difference/level2/a", "difference-interval/level2/a", "p/level2/a", "detectable/level2/a"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "verdict", "word"),
    [
        (0.91, 0.93, "supported", "meets"),
        (0.86, 0.88, "contradicted", "misses"),
        (0.89, 0.91, "inconclusive", "too close"),
    ],
)
def test_pass_mark_is_met_only_with_the_whole_interval(low: float, high: float, verdict: str, word: str) -> None:
    finding = pass_mark_finding(2, "Augmented", Accuracy((low + high) / 2, None, low, high, 1, 1000), 0.90)
    assert finding.verdict == verdict
    assert word in finding.sentence


def test_summary_names_what_has_an_effect_and_counts_the_rest() -> None:
    family = [judged(0.01, 0.01), judged(-0.01, 0.01), judged(0.01, 0.5), judged(0.02, 0.3)]
    finding = summary_finding("s", family, ["A", "B", "C", "D"])
    assert finding.verdict == "contradicted"
    assert finding.sentence == (
        "Of 4 comparisons with a control, 1 lowers accuracy (B), 1 improves accuracy (A) "
        "and for 2 no difference was detected."
    )


def test_summary_without_effects_says_so() -> None:
    finding = summary_finding("s", [judged(0.01, 0.5), judged(0.01, 0.5)], ["A", "B"])
    assert finding.sentence == "In none of 2 comparisons with a control was a difference detected."
    assert finding.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("drop", "p", "verdict", "word"),
    [(0.02, 0.001, "supported", "lowers"), (-0.02, 0.001, "contradicted", "raises"),
     (0.02, 0.5, "inconclusive", "does not detectably change")],
)  # fmt: skip
def test_temperature_scaling_is_judged_by_likelihood(drop: float, p: float, verdict: str, word: str) -> None:
    finding = calibration_finding(1.5, ("3.00 %", "1.00 %"), drop, BootstrapResult(drop - 0.01, drop + 0.01, p, 0.005))
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


@pytest.mark.parametrize(
    ("full", "int8", "verdict"),
    [(2.0, 1.0, "supported"), (1.0, 2.0, "contradicted"), (1.0, 1.01, "inconclusive")],
)
def test_speed_of_int8_is_judged_by_median_latency(full: float, int8: float, verdict: str) -> None:
    finding = latency_finding([Speed("level5/int8", full, int8)], ["Student"])
    assert finding.verdict == verdict
    assert "Student" in finding.sentence


def test_one_slower_int8_model_contradicts_and_each_is_named() -> None:
    finding = latency_finding([Speed("a", 2.0, 1.0), Speed("b", 1.0, 2.0)], ["One", "Two"])
    assert finding.verdict == "contradicted"
    assert "2.00 times as fast" in finding.sentence and "2.00 times as slow" in finding.sentence
    assert finding.facts == ("latency/a/speedup", "latency/b/speedup")
