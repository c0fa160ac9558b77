"""The ensemble as recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.statistics.ensemble import ensemble_of
from analysis.view import StudyView, view_study
from tests.fabricate import fabricate
from tests.fabricated_experiments import MEMBERS


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> StudyView:
    return view_study(fabricate(tmp_path_factory.mktemp("study"), seeds=(0, 1), images=200))


def test_members_are_those_of_the_votes_and_the_best_is_chosen_on_validation(view: StudyView) -> None:
    ensemble = ensemble_of(view)
    assert ensemble is not None
    assert ensemble.members == MEMBERS
    assert ensemble.best_member == max(MEMBERS, key=lambda key: view.metric(key, "validation_accuracy"))


def test_fixed_less_broken_is_the_gain_in_images_of_that_seed(view: StudyView) -> None:
    ensemble = ensemble_of(view)
    assert ensemble is not None
    vote, member = (
        view.runs[key][ensemble.seed].predictions("test") for key in (ensemble.best_vote, ensemble.best_member)
    )
    assert ensemble.fixed - ensemble.broken == vote.correct.sum() - member.correct.sum()


def test_oracle_leaves_only_the_images_all_members_have_wrong(view: StudyView) -> None:
    ensemble = ensemble_of(view)
    assert ensemble is not None
    all_wrong = ensemble.overlap[[len(names) == len(MEMBERS) for names in ensemble.overlap.index]].sum()
    assert ensemble.oracle == pytest.approx(1 - all_wrong / 200)


def test_weights_of_a_vote_sum_to_one(view: StudyView) -> None:
    ensemble = ensemble_of(view)
    assert ensemble is not None
    for weights in ensemble.weights.values():
        assert np.isclose(sum(weights.values()), 1)


def test_no_ensemble_while_a_member_is_pending(tmp_path: Path) -> None:
    assert ensemble_of(view_study(fabricate(tmp_path, images=60, skip=["level4/partner"]))) is None
