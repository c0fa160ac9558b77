"""Which experiments are compared, with what, and how p-values are adjusted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
from statsmodels.stats.multitest import multipletests

from analysis.results import SEED_SD, Results, _seeds, control_of, results_of
from analysis.statistics.comparison import mcnemar, seeds_needed
from analysis.view import view_study
from study.kinds import Vote
from tests.fabricate import fabricate


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


def test_p_values_of_the_family_are_holm_adjusted_mcnemar(results: Results) -> None:
    raw = []
    for judged in results.judged.values():
        (treated,), (control,) = results.view.paired(judged.key, judged.control)
        raw.append(mcnemar(treated.correct, control.correct)[-1])
    adjusted = multipletests(raw, method="holm")[1]
    np.testing.assert_allclose([judged.p for judged in results.judged.values()], adjusted)


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


def test_comparison_does_not_change_when_other_runs_come_in(tmp_path: Path) -> None:
    part = results_of(view_study(fabricate(tmp_path / "part", seeds=(0, 1), images=80, skip=["level3/scratch-cnn"])))
    whole = results_of(view_study(fabricate(tmp_path / "whole", seeds=(0, 1), images=80)))
    fewer, more = (results.judged["level2/augmented"].comparison for results in (part, whole))
    assert dataclasses.replace(fewer, detectable=more.detectable) == more
    assert fewer.detectable < more.detectable, "a larger family asks for stronger evidence"


def test_study_without_runs_has_empty_results(empty: Results) -> None:
    assert empty.accuracies == {} and empty.judged == {} and empty.best == {}
    assert empty.ensemble is None and empty.trust is None and empty.deployment.empty


def test_seeds_needed_follow_the_spread_over_seeds(fabricated: Callable[..., Results], results: Results) -> None:
    three = fabricated(seeds=(0, 1, 2), images=300)
    one, several = (each.judged["level2/augmented"] for each in (results, three))
    assert one.seeds_needed == seeds_needed(one.comparison.difference, SEED_SD)
    treated, control = three.view.paired("level2/augmented", several.control)
    spread = np.std([a.accuracy - b.accuracy for a, b in zip(treated, control, strict=True)], ddof=1)
    assert several.seeds_needed == seeds_needed(several.comparison.difference, float(spread))


def test_quantising_needs_no_seeds(results: Results) -> None:
    assert results.judged["level5/int8-static"].seeds_needed is None


def test_equal_accuracies_over_seeds_ask_for_no_number_of_seeds(results: Results) -> None:
    (first,), (second,) = results.view.paired("level2/augmented", "level2/plain")
    assert _seeds([first, second], [second, first]) is None
