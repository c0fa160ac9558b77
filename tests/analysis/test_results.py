"""Which experiments are compared, with what, and how p-values are adjusted."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.results import Judged, Results, control_of, results_of
from analysis.statistics.comparison import Comparison, compare, mcnemar
from analysis.statistics.crossed import MeanSquares
from analysis.view import view_study
from study.experiment import Expectation
from study.kinds import Vote
from tests.fabricate import experiments, fabricate


def test_planned_controls_are_compared(results: Results) -> None:
    planned = {key: experiment.control for key, experiment in results.view.experiments.items() if experiment.control}
    assert {key: results.judged[key].control for key in planned} == planned


def test_quantised_model_is_compared_with_its_source(results: Results) -> None:
    judged = results.judged["level5/int8-static-compact"]
    assert judged.control == "level5/compact-student"
    assert not judged.retrained


def test_only_the_vote_chosen_on_validation_is_compared_with_the_best_member(results: Results) -> None:
    assert results.ensemble is not None
    votes = {vote.key for vote in results.view.of_kind(Vote)} & set(results.judged)
    assert votes == {results.ensemble.best_vote}
    assert control_of(results.view, results.ensemble.best_vote, results.ensemble) == results.ensemble.best_member


def test_p_values_of_the_family_are_adjusted_mcnemar(results: Results) -> None:
    raw = []
    for judged in results.judged.values():
        (treated,), (control,) = results.view.paired(judged.key, judged.control)
        raw.append(mcnemar(treated.correct, control.correct))
        assert judged.comparison.p == raw[-1]
    least = min(results.judged.values(), key=lambda judged: judged.comparison.p)
    assert least.p == pytest.approx(min(1.0, min(raw) * len(raw)))
    assert all(judged.p >= p for judged, p in zip(results.judged.values(), raw, strict=True))


def test_recipes_share_what_they_tell_of_chance_in_training(three_seeds: Results) -> None:
    chance = three_seeds.chance
    assert chance is not None and chance.degrees > 2
    for judged in three_seeds.judged.values():
        assert judged.comparison.about == ("recipes" if judged.retrained else "networks")
        sides = [np.stack([p.correct for p in side]) for side in three_seeds.view.paired(judged.key, judged.control)]
        again = compare(*sides, judged.retrained, chance, judged.comparison.margin)
        assert judged.comparison == again


def test_an_experiment_repeated_alone_tells_of_chance_in_training(tmp_path: Path) -> None:
    """Only level 1's networks have a second seed, and no comparison is theirs alone."""
    folder = fabricate(tmp_path, images=100, seeds=(0, 1), planned=experiments(1, 2))
    for run in folder.glob("level*/*/seed-1"):
        if run.parent.name != "head-only":
            shutil.rmtree(run)
    found = results_of(view_study(folder))
    head = np.stack([p.correct for p in found.view.predictions("level1/head-only")])
    assert found.chance is not None
    assert found.chance.overdispersion == pytest.approx(MeanSquares.of(head).own.overdispersion)


def test_a_vote_against_a_network_that_is_no_member_was_trained_apart(fabricated: Callable[..., Results]) -> None:
    results = fabricated(images=300, accuracies={"level3/single-task": 0.97})
    assert results.progress[4].control == "level3/single-task"
    assert results.progress[4].retrained
    assert results.ensemble is not None and not results.judged[results.ensemble.best_vote].retrained


def test_progress_compares_each_marked_level_with_the_one_before(results: Results) -> None:
    assert {level: judged.control for level, judged in results.progress.items()} == {
        2: results.best[1], 3: results.best[2], 4: results.best[3]
    }  # fmt: skip
    assert {judged.expects for judged in results.progress.values()} == {"gain"}


def test_a_step_between_levels_that_is_a_comparison_anyway_is_judged_once(fabricated: Callable[..., Results]) -> None:
    results = fabricated(images=300, accuracies={"level3/se-head": 0.97})
    step = results.progress[4]
    assert step.control == results.best[3] == "level3/se-head"
    assert step == results.judged[step.key]


def test_comparison_of_networks_does_not_change_when_other_runs_come_in(tmp_path: Path) -> None:
    whole = fabricate(tmp_path / "whole", seeds=(0, 1), images=80)
    part = shutil.copytree(whole, tmp_path / "part")
    shutil.rmtree(part / "level3" / "multi-task-rotation")
    part, whole = (results_of(view_study(folder)) for folder in (part, whole))
    fewer, more = (results.judged["level2/augmented"] for results in (part, whole))
    assert fewer.comparison == more.comparison
    fewer, more = (results.judged["level5/int8-static"] for results in (part, whole))
    assert fewer.comparison == more.comparison and fewer.family < more.family
    assert fewer.power is not None and more.power is not None
    assert fewer.power.detectable < more.power.detectable, "a larger family asks for stronger evidence"


def test_study_without_runs_has_empty_results(empty: Results) -> None:
    assert empty.accuracies == {} and empty.judged == {} and empty.best == {}
    assert empty.ensemble is None and empty.trust is None and empty.deployment.empty


def test_quantising_needs_no_seeds(results: Results) -> None:
    judged = results.judged["level5/int8-static"]
    assert judged.power is not None and judged.power.seeds is None


def judged(difference: float, half: float, expects: Expectation, p: float = 0.5, within: float = 0.5) -> Judged:
    low, high = difference - half, difference + half
    comparison = Comparison("recipes", "a test", difference, low, high, p, within, 0.003, 3, 1000)
    return Judged("level2/a", "level2/b", comparison, p, within, True, expects)


@pytest.mark.parametrize(
    ("expects", "difference", "p", "within", "verdict"),
    [
        ("gain", 0.01, 0.01, 0.9, "supported"),
        ("gain", -0.01, 0.01, 0.9, "contradicted"),
        ("gain", 0.01, 0.05, 0.9, "inconclusive"),
        ("gain", 0.01, math.nan, math.nan, "inconclusive"),
        ("gain", 0.0, 0.01, 0.9, "inconclusive"),
        ("loss", -0.01, 0.01, 0.9, "supported"),
        ("loss", 0.01, 0.01, 0.9, "contradicted"),
        ("loss", -0.001, 0.4, 0.01, "equivalent"),
        ("gain", 0.001, 0.01, 0.01, "equivalent"),  # there is a gain, and it does not matter
        ("no difference", 0.001, 0.4, 0.01, "supported"),
        ("no difference", 0.001, 0.4, 0.4, "inconclusive"),
        ("no difference", 0.010, 0.01, 0.9, "contradicted"),  # interval from 0.0037
        ("no difference", -0.010, 0.01, 0.9, "contradicted"),
        ("no difference", 0.004, 0.01, 0.9, "inconclusive"),  # interval from -0.0023: a difference that may not matter
    ],
)
def test_verdict_follows_adjusted_tests_and_what_is_expected(
    expects: Expectation, difference: float, p: float, within: float, verdict: str
) -> None:
    assert judged(difference, 0.0063, expects, p, within).verdict == verdict


def test_fewer_than_three_seeds_end_in_no_verdict_unless_nothing_was_retrained() -> None:
    sure = judged(0.05, 0.001, "gain", p=0.0001)
    assert sure.verdict == "supported"
    networks = replace(sure, comparison=replace(sure.comparison, about="networks", seeds=1))
    assert (networks.verdict, networks.change, networks.differs) == ("inconclusive", 0, 1)
    assert replace(networks, retrained=False).verdict == "supported"
    same = replace(networks, p=0.9, p_equivalence=0.001)
    assert (same.verdict, replace(same, retrained=False).verdict) == ("inconclusive", "equivalent")


def test_expectation_and_margin_are_the_experiments(results: Results) -> None:
    for key, each in results.judged.items():
        experiment = results.view.experiments[key]
        assert (each.expects, each.comparison.margin) == (experiment.expects, experiment.margin)
        assert each.family == len(results.judged)
