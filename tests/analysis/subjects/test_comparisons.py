"""Comparisons choose their words and verdicts by the evidence and by what they expect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sklearn.metrics import accuracy_score

from analysis import formats
from analysis.results import Judged, Results, results_of
from analysis.statistics.comparison import Comparison, PowerAnalysis
from analysis.statistics.crossed import About
from analysis.subjects.comparisons import (
    accuracy_facts,
    comparison_facts,
    comparison_finding,
    comparison_findings,
    effect,
)
from analysis.subjects.effects import summary_finding
from study.experiment import Expectation
from tests.fabricate import experiments


def judged(
    difference: float,
    p: float,
    seeds: int = 3,
    retrained: bool = True,
    expects: Expectation = "gain",
    within: float = 0.9,
) -> Judged:
    about: About = "recipes" if retrained and seeds >= 3 else "networks"
    low, high = difference - 0.0063, difference + 0.0063
    comparison = Comparison(about, "a test", difference, low, high, p, within, 0.003, seeds, 1000)
    return Judged("level2/a", "level2/b", comparison, p, within, retrained, expects, 17, PowerAnalysis(0.009, 5))


def sentence(each: Judged) -> str:
    return comparison_finding("f", each, "A", "B", ()).sentence


def test_gain_improves_accuracy_and_says_by_how_much() -> None:
    assert effect(judged(0.0084, 0.012), "B") == (
        "improves accuracy by 0.84 points against B (95 % CI 0.21 to 1.47, adjusted p = 0.012)"
    )


def test_loss_lowers_accuracy_with_its_interval_turned_round() -> None:
    assert effect(judged(-0.0084, 0.0001), "B") == (
        "lowers accuracy by 0.84 points against B (95 % CI 0.21 to 1.47, adjusted p < 0.001)"
    )


def test_inconclusive_comparison_says_what_it_had_the_power_to_see() -> None:
    assert sentence(judged(0.002, 0.61)) == (
        "Between A and B the comparison is undecided (difference +0.20 points, 95 % CI −0.43 to +0.83, adjusted "
        "p = 0.61); differences below 0.90 points had less than 80 % power."
    )


def test_equivalence_is_a_result() -> None:
    assert sentence(judged(0.0005, 0.61, within=0.02)) == (
        "Between A and B there is no difference that matters (difference +0.05 points, 95 % CI −0.58 to +0.68; two "
        "one-sided tests against ±0.30 points, adjusted p = 0.020)."
    )


def test_a_gain_that_is_shown_not_to_matter_is_no_improvement() -> None:
    each = judged(0.001, 0.01, within=0.01)
    assert each.verdict == "equivalent" and "there is no difference that matters" in sentence(each)


@pytest.mark.parametrize(
    ("difference", "apart"),
    [(0.0071, "scores 0.71 points above B"), (-0.0071, "scores 0.71 points below B"), (0.0, "scores as high as B")],
)
@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_speak_of_networks_and_decide_nothing(difference: float, apart: str, seeds: int) -> None:
    told = sentence(judged(difference, 0.0001, seeds=seeds))
    low, high = formats.points(difference - 0.0063), formats.points(difference + 0.0063)
    left = "1 seed leaves" if seeds == 1 else "2 seeds leave"
    assert told == f"A {apart} (95 % CI {low} to {high}, adjusted p < 0.001), which {left} undecided."


def test_what_trains_nothing_has_its_verdict_from_one_seed_on() -> None:
    assert sentence(judged(0.0084, 0.012, seeds=1, retrained=False)).startswith("A improves accuracy by 0.84 points")


@pytest.mark.parametrize("expects", ["gain", "loss", "no difference"])
def test_words_tell_what_happened_whatever_was_expected(expects: Expectation) -> None:
    assert sentence(judged(-0.01, 0.01, expects=expects)).startswith("A lowers accuracy by 1.00 points against B")


def test_a_claim_holds_what_the_words_say(three_seeds: Results) -> None:
    findings = list(comparison_findings(three_seeds))
    planned = [key for key in three_seeds.judged if three_seeds.view.experiments[key].control]
    assert [finding.name for finding in findings] == [f"difference/{key}" for key in planned]
    for finding in findings:
        each, claim = three_seeds.judged[finding.name.removeprefix("difference/")], finding.claim
        assert claim is not None
        assert (claim.effect, claim.low, claim.high) == (
            each.comparison.difference, each.comparison.low, each.comparison.high
        )  # fmt: skip
        assert (claim.p, claim.p_equivalence, claim.margin) == (each.p, each.p_equivalence, each.comparison.margin)
        assert (claim.n, claim.seeds, claim.verdict) == (100, 3, finding.verdict)
        assert claim.runs == three_seeds.view.names(each.key, each.control)
        assert claim.family == len(three_seeds.judged)


def test_words_follow_the_accuracies_and_the_verdict_what_is_expected_not_the_title(
    fabricated: Callable[..., Results],
) -> None:
    accuracies, key = {"level2/augmented": 0.95, "level3/se-head": 0.80, "level2/plain": 0.80}, "level3/se-head"
    results = fabricated(seeds=(0, 1, 2), images=200, accuracies=accuracies, planned=experiments(1, 2, 3))
    told = {finding.name: finding for finding in comparison_findings(results)}
    assert told[f"difference/{key}"].sentence.startswith("The network with the SE head lowers accuracy by")
    verdicts = {name: finding.verdict for name, finding in told.items()}
    assert (verdicts[f"difference/{key}"], verdicts["difference/level2/plain"]) == ("contradicted", "supported")
    view = results.view
    renamed = replace(view.experiments[key], title="Without plain pooling", phrase="the network without plain pooling")
    again = results_of(replace(view, experiments={**view.experiments, key: renamed}))
    (finding,) = (each for each in comparison_findings(again) if each.name == f"difference/{key}")
    assert finding.sentence.startswith("The network without plain pooling lowers") and finding.verdict == "contradicted"


def test_finding_names_the_facts_it_rests_on(three_seeds: Results, named: Callable) -> None:
    known = named(comparison_facts(three_seeds))
    findings = list(comparison_findings(three_seeds))
    assert findings and all(len(each.facts) == 6 and set(each.facts) <= set(known) for each in findings)


def test_summary_names_what_is_decided_and_counts_the_rest() -> None:
    family = [
        judged(0.01, 0.01), judged(-0.01, 0.01), judged(0.01, 0.5), judged(0.02, 0.3),
        judged(0.0, 0.9, within=0.01), judged(0.02, 0.01, seeds=1),
    ]  # fmt: skip
    finding = summary_finding("s", family, ["A", "B", "C", "D", "E", "F"])
    assert finding.verdict == "contradicted"
    assert finding.sentence == (
        "Of 6 comparisons with a control, 1 lowers accuracy (B), 1 improves accuracy (A), 1 makes no difference that "
        "matters (E), 1 has fewer than 3 seeds and no verdict and 2 are undecided."
    )


def test_summary_of_expected_losses_is_supported() -> None:
    family = [judged(-0.01, 0.01, expects="loss"), judged(0.01, 0.5, expects="loss")]
    finding = summary_finding("s", family, ["A", "B"])
    assert finding.verdict == "supported"
    assert finding.sentence.startswith("Of 2 comparisons with a control, 1 lowers accuracy (A) and")


def test_summary_of_too_few_seeds_tells_how_far_apart_networks_are() -> None:
    family = [judged(0.02, 0.01, seeds=1), judged(-0.01, 0.5, seeds=1), judged(0.0, 0.5, seeds=1)]
    told = summary_finding("s", family, ["A", "B", "C"])
    assert told.sentence == (
        "With 1 seed no recipe has a verdict; the differences of networks from their controls reach from −1.00 points "
        "(B) to +2.00 points (A)."
    )
    assert told.verdict == "inconclusive"
    assert summary_finding("s", family[:1], ["A"]).sentence.endswith("from its control by +2.00 points (A).")


def test_summary_without_effects_says_so() -> None:
    finding = summary_finding("s", [judged(0.01, 0.5), judged(0.01, 0.5)], ["A", "B"])
    assert finding.sentence == "Of 2 comparisons with a control, 2 are undecided."
    assert finding.verdict == "inconclusive"


def test_accuracy_is_kept_as_a_fraction_and_printed_in_percent(two_seeds: Results, named: Callable) -> None:
    facts, key = named(accuracy_facts(two_seeds)), "level2/plain"
    mean = sum(run.metrics["test_accuracy"] for run in two_seeds.view.runs_of(key)) / 2
    fact = facts[f"accuracy/{key}"]
    assert fact.value == pytest.approx(mean)
    assert fact.text == f"{100 * mean:.2f} %"
    assert fact.runs == (f"{key}/seed-0", f"{key}/seed-1")
    told = facts[f"validation-accuracy/{key}"]
    recorded = [accuracy_score(p.labels, p.predicted) for p in two_seeds.view.predictions(key, "validation")]
    assert told.function == "study.records.Predictions.accuracy" and told.value == pytest.approx(sum(recorded) / 2)
    assert told.value != fact.value


def test_both_tests_of_a_comparison_are_told(three_seeds: Results, named: Callable) -> None:
    facts = named(comparison_facts(three_seeds))
    for key, each in three_seeds.judged.items():
        assert facts[f"p/{key}"].text == formats.p_value(each.p)
        assert facts[f"p-equivalence/{key}"].text == formats.p_value(each.p_equivalence)
    assert any(each.p != each.p_equivalence for each in three_seeds.judged.values())


def test_difference_rests_on_the_runs_of_both_sides(two_seeds: Results, named: Callable) -> None:
    fact = named(comparison_facts(two_seeds))["difference/level2/plain"]
    assert set(fact.runs) == {f"level2/{name}/seed-{seed}" for name in ("plain", "augmented") for seed in (0, 1)}
    assert fact.text.endswith(" points")


def test_verdicts_are_counted_over_comparisons_alone(three_seeds: Results, named: Callable) -> None:
    same = {key: replace(each, p_equivalence=0.01) for key, each in three_seeds.judged.items()}
    facts = named(comparison_facts(replace(three_seeds, judged=same)))
    counts = {name: fact.value for name, fact in facts.items() if name.startswith("verdicts/")}
    expected = {"supported": 0, "contradicted": 0, "equivalent": len(same), "inconclusive": 0}
    assert counts == {f"verdicts/{verdict}": count for verdict, count in expected.items()}
    assert facts["comparisons/count"].value == len(same) and "comparisons/undecidable" not in facts
    assert facts["comparisons/recipes"].value == sum(judged.retrained for judged in same.values()) > 0


def test_comparisons_with_too_few_seeds_are_counted_apart_from_those_with_a_verdict(
    results: Results, named: Callable
) -> None:
    facts, retrained = named(comparison_facts(results)), sum(judged.retrained for judged in results.judged.values())
    assert "comparisons/recipes" not in facts and facts["comparisons/undecidable"].value == retrained > 0
    decidable = sum(fact.value for name, fact in facts.items() if name.startswith("verdicts/"))
    assert decidable == facts["comparisons/decidable"].value == len(results.judged) - retrained
