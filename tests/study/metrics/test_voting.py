from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.metrics import accuracy_score, log_loss
from sklearn.preprocessing import LabelEncoder

from study.metrics import voting
from study.metrics.voting import VotingRule

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 200, 10))


class Fixed(DummyClassifier):
    """A classifier whose probabilities are looked up by row number."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.logits = logits
        self.classes_ = np.arange(10)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return softmax(self.logits[X[:, 0]], axis=1)

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.logits[X[:, 0]].argmax(1)


def sklearn_vote(kind: str, weights: np.ndarray | None = None) -> np.ndarray:
    ensemble = VotingClassifier([(str(i), None) for i in range(5)], voting=kind, weights=weights)  # type: ignore[arg-type]
    ensemble.estimators_ = [Fixed(member) for member in LOGITS]
    ensemble.le_ = LabelEncoder().fit(np.arange(10))
    ensemble.classes_ = np.arange(10)
    return ensemble.predict(np.arange(200)[:, None])


EQUAL = np.full(5, 0.2)


def test_soft_vote_agrees_with_sklearn() -> None:
    assert (voting.combine("soft-probabilities", LOGITS, EQUAL).argmax(1) == sklearn_vote("soft")).all()


def test_weighted_vote_agrees_with_sklearn() -> None:
    weights = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
    assert (voting.combine("weighted", LOGITS, weights).argmax(1) == sklearn_vote("soft", weights)).all()


def test_hard_vote_agrees_with_sklearn_where_there_is_no_tie() -> None:
    counts = np.eye(10)[LOGITS.argmax(2)].sum(0)
    clear = (counts == counts.max(1, keepdims=True)).sum(1) == 1
    assert clear.sum() > 80
    assert (voting.combine("hard", LOGITS, EQUAL).argmax(1) == sklearn_vote("hard"))[clear].all()


def test_hard_vote_breaks_ties_by_mean_probability() -> None:
    logits = np.log(np.array([[[0.6, 0.3, 0.1]], [[0.1, 0.8, 0.1]]]))
    assert voting.combine("hard", logits, np.full(2, 0.5)).argmax() == 1


def test_soft_vote_on_logits_is_the_normalised_geometric_mean() -> None:
    expected = log_softmax(LOGITS.mean(0), axis=1)
    assert np.allclose(voting.combine("soft-logits", LOGITS, EQUAL), expected)


@pytest.mark.parametrize("rule", ["soft-probabilities", "soft-logits", "hard", "weighted", "greedy"])
def test_every_rule_gives_probabilities_and_weights_that_sum_to_one(rule: VotingRule) -> None:
    labels = RNG.integers(0, 10, 200)
    weights = voting.weights(rule, LOGITS, labels)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    assert np.allclose(np.exp(voting.combine(rule, LOGITS, weights)).sum(1), 1)


def test_weights_follow_validation_accuracy_above_chance() -> None:
    labels = np.arange(100) % 10
    right, half = np.eye(10)[labels] * 9, np.eye(10)[np.where(np.arange(100) < 55, labels, (labels + 1) % 10)] * 9
    weights = voting.weights("weighted", np.stack([right, half]), labels)
    assert weights == pytest.approx(np.array([0.9, 0.45]) / 1.35)


def test_greedy_selection_leaves_out_a_useless_member() -> None:
    labels = np.arange(100) % 10
    good, useless = np.eye(10)[labels] * 5, np.zeros((100, 10))
    assert voting.greedy_weights(softmax(np.stack([useless, good]), axis=2), labels).tolist() == [0.0, 1.0]


def test_greedy_selection_never_loses_to_the_best_member_on_validation() -> None:
    labels = RNG.integers(0, 10, 200)
    probabilities = softmax(LOGITS, axis=2)
    weights = voting.greedy_weights(probabilities, labels)
    best_single = max(accuracy_score(labels, p.argmax(1)) for p in probabilities)
    assert accuracy_score(labels, np.tensordot(weights, probabilities, axes=1).argmax(1)) >= best_single


def test_greedy_selection_prefers_accurate_members_to_confident_ones() -> None:
    labels = np.arange(100) % 10
    slightly_wrong = np.where(np.arange(100) < 5, (labels + 1) % 10, labels)
    accurate, confident = np.eye(10)[labels], np.eye(10)[slightly_wrong] * 6
    members = softmax(np.stack([accurate, confident]), axis=2)
    assert log_loss(labels, members[0]) > log_loss(labels, members[1])
    chosen = np.tensordot(voting.greedy_weights(members, labels), members, axes=1)
    assert accuracy_score(labels, chosen.argmax(1)) == 1.0


@pytest.mark.parametrize("rule", ["weighted", "greedy"])
def test_no_image_is_voted_on_with_weights_from_its_own_label(rule: VotingRule) -> None:
    labels = RNG.integers(0, 10, 200)
    votes = voting.cross_fitted(rule, LOGITS, labels)
    held_out = np.arange(200) % voting.FOLDS == 3
    changed = np.where(held_out, (labels + 1) % 10, labels)
    again = voting.cross_fitted(rule, LOGITS, changed)
    np.testing.assert_array_equal(again[held_out], votes[held_out])
    weights = voting.weights(rule, LOGITS[:, ~held_out], labels[~held_out])
    np.testing.assert_allclose(votes[held_out], voting.combine(rule, LOGITS[:, held_out], weights))


@pytest.mark.parametrize("rule", ["soft-probabilities", "soft-logits", "hard"])
def test_rules_that_fit_nothing_vote_on_validation_as_on_test(rule: VotingRule) -> None:
    labels = RNG.integers(0, 10, 200)
    np.testing.assert_array_equal(voting.cross_fitted(rule, LOGITS, labels), voting.combine(rule, LOGITS, EQUAL))


def test_greedy_selection_does_not_flatter_itself() -> None:
    """Members that all guess: fitted to the labels the vote seems better than chance, cross-fitted it does not."""
    rng, fitted, honest = np.random.default_rng(1), [], []
    for _ in range(20):
        logits, labels = rng.normal(size=(8, 150, 4)), rng.integers(0, 4, 150)
        vote = voting.combine("greedy", logits, voting.weights("greedy", logits, labels))
        fitted.append((vote.argmax(1) == labels).mean())
        honest.append((voting.cross_fitted("greedy", logits, labels).argmax(1) == labels).mean())
    assert np.mean(fitted) > 0.29
    assert np.mean(honest) == pytest.approx(0.25, abs=0.02)  # three standard errors


def test_near_ties_are_not_broken_by_rounding() -> None:
    """The same three members in another order, and in float32, are taken as often."""
    labels = np.arange(120) % 4
    logits = np.random.default_rng(2).normal(size=(3, 120, 4)).astype(np.float32)
    weights = voting.weights("greedy", logits, labels)
    for order in ([1, 2, 0], [2, 1, 0]):
        np.testing.assert_array_equal(voting.weights("greedy", logits[order], labels), weights[order])
    twins = voting.weights("greedy", np.concatenate([logits, logits]), labels)
    np.testing.assert_array_equal(twins, np.append(weights, [0, 0, 0]))  # of equals the first is taken
