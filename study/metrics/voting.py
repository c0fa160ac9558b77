"""Ways of combining the logits of several networks into one answer.

Every rule maps member logits (M, N, C) to class probabilities (N, C); log-probabilities are what a
vote records as its logits.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from study.metrics.calibration import negative_log_likelihood, probabilities

VotingRule = Literal["soft-logits", "soft-probabilities", "hard", "weighted", "greedy"]
FITTED: tuple[VotingRule, ...] = ("weighted", "greedy")  # the rules whose weights come from labels
GREEDY_ROUNDS = 20
FOLDS = 5
TINY = 1e-12
DIGITS = 10  # beyond which sums in another order may differ: what agrees so far is a tie


def weights(rule: VotingRule, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """One weight per member (M,), summing to 1, from member logits (M, N, C) and labels (N,) of validation images.

    "weighted" is proportional to accuracy above chance; "greedy" is how often greedy selection with replacement
    takes a member; the other rules weigh all alike.
    """
    members, _, classes = logits.shape
    if rule == "weighted":
        accuracy = (logits.argmax(2) == labels).mean(axis=1)
        above_chance = np.clip(accuracy - 1 / classes, TINY, None)
        return above_chance / above_chance.sum()
    if rule == "greedy":
        return greedy_weights(probabilities(logits), labels)
    return np.full(members, 1 / members)


def greedy_weights(members: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Greedy ensemble selection with replacement (Caruana et al. 2004, https://doi.org/10.1145/1015330.1015432).

    In each round that of the members' probabilities (M, N, C) is added that makes the mean most accurate, and of
    equally accurate means the one with the lowest negative log-likelihood; the best prefix of the sequence is kept.
    Likelihood alone would prefer members trained without label smoothing, however accurate the others are. Returns how
    often each was taken, as weights (M,). What agrees to ten digits counts as equal, and of equals the first member
    and the shortest sequence win.
    """
    chosen: list[int] = []
    history: list[tuple[float, float]] = []
    total = np.zeros(members.shape[1:])
    for count in range(1, GREEDY_ROUNDS + 1):
        scores = [_score((total + member) / count, labels) for member in members]
        chosen.append(min(range(len(scores)), key=scores.__getitem__))
        history.append(scores[chosen[-1]])
        total = total + members[chosen[-1]]
    kept = chosen[: history.index(min(history)) + 1]
    return np.bincount(kept, minlength=len(members)) / len(kept)


def _score(mean: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Error rate, then negative log-likelihood, of mean probabilities (N, C): the lower the better."""
    wrong = mean.round(DIGITS).argmax(axis=1) != labels
    return float(wrong.mean()), round(float(negative_log_likelihood(mean, labels).mean()), DIGITS)


def cross_fitted(rule: VotingRule, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log-probabilities (N, C) of the vote on the images (M, N, C) that its weights come from.

    Each fold of the images is voted on with weights from the others, lest a rule that fits its weights rank itself by
    the very labels it was fitted to (stacking: Wolpert 1992, https://doi.org/10.1016/S0893-6080(05)80023-1).
    """
    if rule not in FITTED or len(labels) < FOLDS:
        return combine(rule, logits, weights(rule, logits, labels))
    fold, votes = np.arange(len(labels)) % FOLDS, np.empty(logits.shape[1:])
    for held_out in range(FOLDS):
        rest, own = fold != held_out, fold == held_out
        votes[own] = combine(rule, logits[:, own], weights(rule, logits[:, rest], labels[rest]))
    return votes


def combine(rule: VotingRule, logits: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Log-probabilities (N, C) of the vote on member logits (M, N, C) with member weights (M,)."""
    from scipy.special import log_softmax, softmax

    if rule == "soft-logits":
        return log_softmax(np.tensordot(weight, logits, axes=1), axis=1)
    mean = np.tensordot(weight, softmax(logits, axis=2), axes=1)
    if rule == "hard":  # a mean probability is below one vote: it breaks ties and never overturns a majority
        votes = np.eye(logits.shape[2])[logits.argmax(axis=2)].sum(axis=0)
        mean = (votes + mean) / (len(logits) + 1)
    return np.log(mean + TINY)
