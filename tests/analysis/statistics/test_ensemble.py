"""The ensemble as recorded, and how differently its members err."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import jaccard_score
from statsmodels.stats.contingency_tables import Table2x2
from statsmodels.stats.inter_rater import cohens_kappa

from analysis.statistics.ensemble import (
    ensemble_of,
    error_overlap,
    fixed_and_broken,
    oracle_accuracy,
    pairwise,
)
from analysis.subjects.ensemble import voters
from analysis.view import StudyView, view_study
from study.design.levels.level4_ensemble import members as voting
from tests.fabricate import PRESET, fabricate

MEMBERS = voting(PRESET)
LABELS = np.repeat(np.arange(4), 100)


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
    all_wrong = sum(images for names, images in ensemble.overlap.items() if len(names) == len(MEMBERS))
    assert ensemble.oracle == pytest.approx(1 - all_wrong / 200)


def test_weights_of_a_vote_sum_to_one(view: StudyView) -> None:
    ensemble = ensemble_of(view)
    assert ensemble is not None
    for weights in ensemble.weights.values():
        assert np.isclose(sum(weights.values()), 1)


def test_weights_are_means_over_seeds_and_voters_the_fewest_and_most_with_one(
    view: StudyView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One seed weighs two members, the other the first alone."""
    for run, told in zip(view.runs_of("level4/greedy"), ([0.5, 0.5], [1.0, 0.0]), strict=True):
        monkeypatch.setitem(run.metrics, "weights", told + [0.0] * (len(MEMBERS) - 2))
        monkeypatch.setitem(run.metrics, "validation_accuracy", 1.0)
    ensemble = ensemble_of(view)
    assert ensemble is not None and ensemble.best_vote == "level4/greedy"
    assert list(ensemble.weights["level4/greedy"].values()) == [0.75, 0.25] + [0.0] * (len(MEMBERS) - 2)
    assert ensemble.voters == (1, 2) and voters(ensemble) == "1 to 2 networks"


def test_no_ensemble_while_a_member_is_pending(tmp_path: Path) -> None:
    assert ensemble_of(view_study(fabricate(tmp_path, images=60, skip=["level4/partner"]))) is None


def members(*accuracies: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Correctness and predictions of random members a, b, ... on the same labels."""
    rng = np.random.default_rng(5)
    hard = rng.random(400)
    predicted = {}
    for name, accuracy in zip("abcdef", accuracies, strict=False):
        wrong = (hard + rng.random(400)) / 2 > accuracy
        predicted[name] = np.where(wrong, (LABELS + rng.integers(1, 4, 400)) % 4, LABELS)
    return {name: values == LABELS for name, values in predicted.items()}, predicted


def bits(text: str) -> np.ndarray:
    return np.array([bit == "1" for bit in text])


def test_every_pair_of_members_has_a_row() -> None:
    frame = pairwise(*members(0.9, 0.8, 0.7))
    assert list(zip(frame["a"], frame["b"], strict=True)) == [("a", "b"), ("a", "c"), ("b", "c")]


def test_measures_agree_with_independent_libraries() -> None:
    correct, predicted = members(0.8, 0.6)
    row = pairwise(correct, predicted).iloc[0]
    a, b = correct["a"], correct["b"]
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    odds = Table2x2(np.array(table, dtype=float)).oddsratio
    counts = np.zeros((4, 4))
    np.add.at(counts, (predicted["a"], predicted["b"]), 1)
    assert row["q_statistic"] == pytest.approx((odds - 1) / (odds + 1))  # Yule's Q of the odds ratio
    assert row["kappa"] == pytest.approx(cohens_kappa(counts, return_results=False))
    assert row["error_jaccard"] == pytest.approx(jaccard_score(~a, ~b))
    assert row["disagreement"] == pytest.approx(np.mean(a != b))


def test_measures_of_five_images_by_hand() -> None:
    correct = {"a": bits("11100"), "b": bits("11010")}
    predicted = {"a": np.array([0, 0, 0, 1, 1]), "b": np.array([0, 0, 1, 0, 1])}
    row = pairwise(correct, predicted).iloc[0]
    assert row["disagreement"] == pytest.approx(2 / 5)
    assert row["double_fault"] == pytest.approx(1 / 5)
    assert row["q_statistic"] == pytest.approx((2 * 1 - 1 * 1) / (2 * 1 + 1 * 1))
    assert row["error_jaccard"] == pytest.approx(1 / 3)
    assert row["kappa"] == pytest.approx((3 / 5 - 13 / 25) / (1 - 13 / 25))


def test_members_without_errors_leave_ratios_open() -> None:
    correct = {"a": bits("111"), "b": bits("111")}
    row = pairwise(correct, {"a": np.zeros(3), "b": np.zeros(3)}).iloc[0]
    assert (row["disagreement"], row["double_fault"]) == (0, 0)
    assert np.isnan([row["q_statistic"], row["error_jaccard"], row["kappa"]]).all()


def test_one_member_alone_makes_no_pairs() -> None:
    frame = pairwise({"a": bits("10")}, {"a": np.array([0, 1])})
    assert frame.empty
    assert "q_statistic" in frame.columns


def test_kappa_is_one_for_equal_and_zero_for_independent_predictions() -> None:
    predicted = {"a": np.array([0, 0, 1, 1]), "b": np.array([0, 0, 1, 1]), "c": np.array([0, 1, 0, 1])}
    frame = pairwise(dict.fromkeys(predicted, bits("1111")), predicted)
    assert frame["kappa"].tolist() == pytest.approx([1, 0, 0])


def test_oracle_needs_one_member_to_be_right() -> None:
    assert oracle_accuracy({"a": bits("1100"), "b": bits("0110")}) == pytest.approx(3 / 4)


def test_fixed_and_broken_add_up_to_the_gain() -> None:
    ensemble, best = bits("1110010"), bits("1001100")
    fixed, broken = fixed_and_broken(ensemble, best)
    assert (fixed, broken) == (3, 2)
    assert fixed - broken == ensemble.sum() - best.sum()


def test_error_overlap_counts_each_wrong_image_once() -> None:
    # image 1 is right for all, image 2 wrong for a alone, the others wrong for a and b
    overlap = error_overlap({"a": bits("01000"), "b": bits("01100"), "c": bits("11111")})
    assert list(overlap.items()) == [(("a", "b"), 3), (("a",), 1)]


def test_error_overlap_of_faultless_members_is_empty() -> None:
    assert error_overlap({"a": bits("11"), "b": bits("11")}) == {}
