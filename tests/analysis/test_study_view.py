"""The plan beside the runs that are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.statistics.ensemble import ensemble_of
from analysis.view import StudyView, view_study
from study.experiment import run_name
from study.kinds import Quantization, Vote
from study.records import SUPERSEDED, Outcome, Run, current_runs, finish, load_run, read_plan, write_plan
from study.status import summary
from tests.fabricate import experiments, fabricate


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> StudyView:
    return view_study(fabricate(tmp_path_factory.mktemp("study"), seeds=(0, 1), images=60, skip=["level1/head-only"]))


def test_runs_that_are_missing_are_pending_by_name(view: StudyView) -> None:
    assert view.pending == ("level1/head-only/seed-0", "level1/head-only/seed-1")
    assert view.runs_of("level1/head-only") == []


def test_experiments_come_by_kind_planned_or_run(view: StudyView) -> None:
    assert {int8.source for int8 in view.of_kind(Quantization)} == {"level5/student", "level5/compact-student"}
    planned = {experiment.key for experiment in view.experiments.values() if experiment.trained}
    assert {experiment.key for experiment in view.trained} == planned - {"level1/head-only"}


def test_best_has_the_highest_mean_validation_accuracy(view: StudyView) -> None:
    keys = ["level2/plain", "level2/augmented", "level2/search"]
    means = [np.mean([p.accuracy for p in view.predictions(key, "validation")]) for key in keys]
    assert view.best(keys) == keys[int(np.argmax(means))]
    assert view.best(["level1/head-only"]) is None


def test_selection_reads_validation_and_never_test(tmp_path: Path) -> None:
    view = view_study(fabricate(tmp_path))
    for run in filter(Run.predicts, view.all_runs):
        run.metrics["validation_accuracy"] = 1 - run.metrics["test_accuracy"]

    def worst(keys: Iterable[str]) -> str:
        return min(keys, key=lambda key: view.metric(key, "test_accuracy"))

    networks, ensemble = [each.key for each in view.models(3)], ensemble_of(view)
    assert ensemble is not None
    assert view.best(networks) == view.selected(3) == worst(networks)
    assert (ensemble.best_member, ensemble.best_vote) == (worst(ensemble.members), worst(ensemble.votes))


def test_of_equals_on_validation_the_first_planned_is_selected(tmp_path: Path) -> None:
    view = view_study(fabricate(tmp_path, planned=experiments(1)))
    for run in view.all_runs:
        run.metrics["validation_accuracy"] = 0.8
    first, second = view.experiments
    assert view.metric(first, "test_accuracy") < view.metric(second, "test_accuracy")
    assert view.best([first, second]) == view.selected(1) == first


def test_level_that_votes_is_represented_by_a_vote(view: StudyView) -> None:
    assert view.selected(4) in {vote.key for vote in view.of_kind(Vote)}


def test_pairing_keeps_only_shared_seeds(tmp_path: Path) -> None:
    study = fabricate(tmp_path, seeds=(0, 1), images=60, planned=experiments(1, 2))
    (study / "level2" / "plain" / "seed-0" / "result.json").unlink()
    treated, control = view_study(study).paired("level2/augmented", "level2/plain")
    (expected,) = view_study(study).runs_of("level2/plain")
    assert expected.seed == 1
    assert len(treated) == len(control) == 1
    np.testing.assert_array_equal(control[0].logits, expected.predictions("test").logits)
    right = view_study(study).correct("level2/augmented", "level2/plain")
    np.testing.assert_array_equal(right, [[treated[0].correct], [control[0].correct]])


def test_runs_built_on_a_result_that_was_replaced_are_pending(tmp_path: Path) -> None:
    study = fabricate(tmp_path, images=60)
    assert view_study(study).pending == ()
    member = study / run_name("level3/se-head", 0)
    before = load_run(member)
    arrays = {name: np.roll(array, 1) for name, array in before.arrays.items()}
    finish(member, Outcome(before.metrics, arrays, before.durations))
    pending = view_study(study).pending
    assert {"level4/hard/seed-0", "level5/mc-dropout/seed-0", "level5/int8-static/seed-0"} <= set(pending)
    assert "level3/se-head/seed-0" not in pending and "level2/search/seed-0" not in pending
    plan = read_plan(study)
    states = {row["run"]: row["state"] for row in summary(study, plan, current_runs(study, plan), {})}
    assert states["level4/hard/seed-0"] == "out of date" and states["level3/se-head/seed-0"] == "complete"


def test_predictions_that_newer_runs_superseded_are_counted(tmp_path: Path) -> None:
    study = fabricate(tmp_path, planned=experiments(1))
    assert view_study(study).superseded == 0
    (study / SUPERSEDED / "level1").mkdir(parents=True)
    (study / "level1" / "finetuned" / "seed-0").rename(study / SUPERSEDED / "level1" / "finetuned")
    assert view_study(study).superseded == 1


def test_run_the_plan_does_not_name_is_left_out(tmp_path: Path) -> None:
    study = fabricate(tmp_path, images=60, planned=experiments(1, 2))
    plan = read_plan(study)
    write_plan(study, replace(plan, experiments=plan.experiments[:3]))
    assert set(view_study(study).runs) == {experiment.key for experiment in plan.experiments[:3]}


def test_metric_of_a_pending_experiment_is_an_error(view: StudyView) -> None:
    with pytest.raises(KeyError, match="head-only"):
        view.metric("level1/head-only", "test_accuracy")
