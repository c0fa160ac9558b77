"""Comparisons choose their words and verdicts by the evidence and by what they expect."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from analysis.formats import MISSING
from analysis.results import Judged, Results
from analysis.statistics.comparison import Comparison
from analysis.subjects.comparisons import (
    ablation,
    accuracy_facts,
    comparison_facts,
    comparison_finding,
    comparison_findings,
    effect,
    forest,
    level_table,
    level_tables,
    summaries,
    summary_finding,
)
from study.experiment import Expectation


def judged(
    difference: float,
    p: float,
    seeds: int = 1,
    retrained: bool = True,
    expects: Expectation = "gain",
    margin: float = 0,
) -> Judged:
    comparison = Comparison(difference, difference - 0.0063, difference + 0.0063, p, seeds, 0.009)
    return Judged("level2/a", "level2/b", comparison, p, retrained, expects=expects, margin=margin)


def test_gain_improves_accuracy_and_says_by_how_much() -> None:
    assert effect(judged(0.0084, 0.012), "B") == (
        "improves accuracy by 0.84 points against B (95 % CI 0.21 to 1.47, p = 0.012, n = 1 seed)"
    )


def test_loss_lowers_accuracy_with_its_interval_turned_round() -> None:
    assert effect(judged(-0.0084, 0.0001, seeds=3), "B") == (
        "lowers accuracy by 0.84 points against B (95 % CI 0.21 to 1.47, p < 0.001, n = 3 seeds)"
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
        (0.0, 0.01, "inconclusive"),
    ],
)
def test_verdict_follows_adjusted_p_and_sign(difference: float, p: float, verdict: str) -> None:
    assert judged(difference, p).verdict == verdict


def test_small_difference_of_one_seed_is_noise_unless_nothing_was_retrained() -> None:
    assert judged(0.003, 0.001).verdict == "inconclusive"
    assert judged(0.003, 0.001, retrained=False).verdict == "supported"
    assert judged(0.003, 0.001, seeds=3).verdict == "supported"
    assert "may be chance in training" in comparison_finding("f", judged(0.003, 0.001), "A", "B", "k").sentence


@pytest.mark.parametrize(
    ("expects", "margin", "difference", "p", "verdict"),
    [
        ("loss", 0.0, -0.01, 0.01, "supported"),
        ("loss", 0.0, 0.01, 0.01, "contradicted"),
        ("loss", 0.0, -0.01, 0.2, "inconclusive"),
        ("no loss", 0.01, 0.0, 0.9, "supported"),  # interval from -0.0063 to 0.0063
        ("no loss", 0.01, -0.01, 0.001, "inconclusive"),  # from -0.0163 to -0.0037
        ("no loss", 0.01, -0.02, 0.001, "contradicted"),  # from -0.0263 to -0.0137
        ("no loss", 0.0, 0.02, 0.001, "supported"),
    ],
)
def test_verdict_is_on_what_the_comparison_expects(
    expects: Expectation, margin: float, difference: float, p: float, verdict: str
) -> None:
    assert judged(difference, p, expects=expects, margin=margin).verdict == verdict


@pytest.mark.parametrize("expects", ["gain", "loss", "no loss"])
def test_words_tell_what_happened_whatever_was_expected(expects: Expectation) -> None:
    told = comparison_finding("f", judged(-0.01, 0.01, expects=expects), "Without cosine", "Full", "k")
    assert told.sentence.startswith("Without cosine lowers accuracy by 1.00 points against Full")


def test_expectations_are_the_experiments_and_no_title_changes_them(results: Results) -> None:
    view = results.view
    for key, each in results.judged.items():
        assert (each.expects, each.margin) == (view.experiments[key].expects, view.experiments[key].margin)
    key, before = "level3/se-head", results.judged["level3/se-head"]
    renamed = {**view.experiments, key: replace(view.experiments[key], title="Without plain pooling", name=key[7:])}
    told = {f.name: f for f in comparison_findings(replace(results, view=replace(view, experiments=renamed)))}
    assert told[f"difference/{key}"].verdict == before.verdict
    assert results.judged["level2/plain"].expects == results.judged["level5/int8-static"].expects == "loss"


def test_words_follow_the_accuracies(fabricated: Callable[..., Results]) -> None:
    told = {
        finding.name: finding
        for finding in comparison_findings(
            fabricated(images=400, accuracies={"level2/augmented": 0.95, "level3/se-head": 0.80})
        )
    }
    finding = told["difference/level3/se-head"]
    assert finding.verdict == "contradicted"
    assert finding.sentence.startswith("SE head lowers accuracy by")


def test_finding_names_the_facts_it_rests_on() -> None:
    finding = comparison_finding("f", judged(0.01, 0.01), "A", "B", "level2/a")
    assert finding.facts == (
        "difference/level2/a", "difference-interval/level2/a", "p/level2/a", "detectable/level2/a"
    )  # fmt: skip


def test_summary_names_what_has_an_effect_and_counts_the_rest() -> None:
    family = [judged(0.01, 0.01), judged(-0.01, 0.01), judged(0.01, 0.5), judged(0.02, 0.3)]
    finding = summary_finding("s", family, ["A", "B", "C", "D"])
    assert finding.verdict == "contradicted"
    assert finding.sentence == (
        "Of 4 comparisons with a control, 1 lowers accuracy (B), 1 improves accuracy (A) "
        "and for 2 no difference was detected."
    )


def test_summary_of_expected_losses_is_supported() -> None:
    family = [judged(-0.01, 0.01, expects="loss"), judged(0.01, 0.5, expects="loss")]
    finding = summary_finding("s", family, ["A", "B"])
    assert finding.verdict == "supported"
    assert finding.sentence.startswith("Of 2 comparisons with a control, 1 lowers accuracy (A) and")


def test_summary_without_effects_says_so() -> None:
    finding = summary_finding("s", [judged(0.01, 0.5), judged(0.01, 0.5)], ["A", "B"])
    assert finding.sentence == "In none of 2 comparisons with a control was a difference detected."
    assert finding.verdict == "inconclusive"


def test_accuracy_is_kept_as_a_fraction_and_printed_in_percent(two_seeds: Results, named: Callable) -> None:
    facts, key = named(accuracy_facts(two_seeds)), "level2/plain"
    mean = sum(run.metrics["test_accuracy"] for run in two_seeds.view.runs_of(key)) / 2
    fact = facts[f"accuracy/{key}"]
    assert fact.value == pytest.approx(mean)
    assert fact.text == f"{100 * mean:.2f} %"
    assert fact.runs == (f"{key}/seed-0", f"{key}/seed-1")
    assert facts[f"validation-accuracy/{key}"].function == "study.records.Predictions.accuracy"


def test_difference_rests_on_the_runs_of_both_sides(two_seeds: Results, named: Callable) -> None:
    fact = named(comparison_facts(two_seeds))["difference/level2/plain"]
    assert set(fact.runs) == {f"level2/{name}/seed-{seed}" for name in ("plain", "augmented") for seed in (0, 1)}
    assert fact.text.endswith(" points")


def test_verdicts_are_counted_over_comparisons_alone(results: Results, named: Callable) -> None:
    all_supported = {key: replace(each, expects="no loss", margin=1.0) for key, each in results.judged.items()}
    facts = named(comparison_facts(replace(results, judged=all_supported)))
    counts = {name: fact.value for name, fact in facts.items() if name.startswith("verdicts/")}
    expected = {"supported": len(results.judged), "contradicted": 0, "inconclusive": 0}
    assert counts == {f"verdicts/{verdict}": count for verdict, count in expected.items()}
    assert facts["comparisons/count"].value == len(results.judged)


@pytest.fixture
def clear(fabricated: Callable[..., Results]) -> Results:
    """A study in which one experiment of level 2 is far better than all others."""
    return fabricated(images=300, accuracies={"level2/augmented": 0.99, "level2/plain": 0.70})


def test_best_is_marked_when_it_differs_from_the_next_by_a_test(clear: Results) -> None:
    table = level_table(clear, {}, 2)
    assert table is not None
    ((row, column),) = table.best
    assert (table.rows[row][0], table.header[column]) == ("Full recipe", "Accuracy, %")


def test_best_is_not_marked_when_the_next_is_as_good(fabricated: Callable[..., Results]) -> None:
    same = dict.fromkeys(("level3/se-head", "level3/scratch-cnn", "level3/single-task"), 0.9)
    table = level_table(fabricated(images=100, accuracies=same), {}, 3)
    assert table is not None
    assert table.best == frozenset()


def test_experiment_without_control_has_no_difference(results: Results) -> None:
    table = level_table(results, {}, 2)
    assert table is not None
    (single,) = (row for row in table.rows if row[0] == "Single-stage MixUp")
    assert single[1] == MISSING and single[4:] == (MISSING,) * 3


def test_every_level_of_the_plan_has_a_table_and_waits_for_its_runs(results: Results, empty: Results) -> None:
    made = dict(level_tables(results, {}))
    assert list(made) == [f"level{level}" for level in range(1, 6)] and None not in made.values()
    assert dict(level_tables(empty, {})) == dict.fromkeys(made)


def test_ablation_has_a_row_per_comparison_of_level_2(results: Results) -> None:
    told = {finding.name: finding for finding in summaries(results)}
    table = ablation(results, told)
    assert table is not None
    assert [row[0] for row in table.rows] == [results.view.experiments[j.key].differs for j in results.judged_at(2)]
    assert table.caption.startswith(told["summary/level2"].sentence)


def test_forest_opens_with_the_summary_of_all_comparisons(results: Results, empty: Results) -> None:
    figure = forest(results, {})
    assert figure is not None and forest(empty, {}) is None
    assert figure.caption.startswith(f"Of {len(results.judged)} comparisons with a control, ")
