"""The ensemble as recorded: its members, its votes, where they agree, and how differently the members err.

Formulas of Kuncheva & Whitaker 2003, https://doi.org/10.1023/A:1022859003006. A ratio without a single image to stand
on is NaN.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, compress

import numpy as np
import pandas as pd

from analysis.view import StudyView
from study.kinds import Vote

PAIR_COLUMNS = ("a", "b", "disagreement", "double_fault", "q_statistic", "kappa", "error_jaccard")


@dataclass(frozen=True)
class Ensemble:
    """Members and votes by key, and counts over the test images of one seed.

    ``voters`` are the least and the most members to which a seed's best vote gives a weight.

    ``best_member`` and ``best_vote`` are chosen on validation; ``fixed`` are errors of the best
    member that the best vote puts right, ``broken`` those it adds. ``weights`` gives each vote's
    weight per member, averaged over seeds; ``diversity`` is as ``pairwise`` and ``overlap`` as ``error_overlap`` say.
    """

    members: tuple[str, ...]
    votes: tuple[str, ...]
    best_member: str
    best_vote: str
    seed: int
    fixed: int
    broken: int
    oracle: float
    weights: dict[str, dict[str, float]]
    voters: tuple[int, int]
    diversity: pd.DataFrame
    overlap: dict[tuple[str, ...], int]


def ensemble_of(view: StudyView) -> Ensemble | None:
    """The study's ensemble, or None while no vote or not all of its members have a run in common."""
    votes = view.of_kind(Vote)
    members = tuple(dict.fromkeys(member for vote in votes for member in vote.members))
    best_vote, best_member = view.best(vote.key for vote in votes), view.best(members)
    if best_vote is None or best_member is None:
        return None
    *by_member, by_vote = view.paired(*members, best_vote)
    if not by_vote:
        return None
    first = {key: predictions[0] for key, predictions in zip(members, by_member, strict=True)}
    correct = {key: predictions.correct for key, predictions in first.items()}
    fixed, broken = fixed_and_broken(by_vote[0].correct, correct[best_member])
    return Ensemble(
        members,
        tuple(vote.key for vote in votes),
        best_member,
        best_vote,
        view.seeds_of(*members, best_vote)[0],
        fixed,
        broken,
        oracle_accuracy(correct),
        {vote.key: _weights(view, vote) for vote in votes},
        _voters(view, best_vote),
        pairwise(correct, {key: predictions.predicted for key, predictions in first.items()}),
        error_overlap(correct),
    )


def _weights(view: StudyView, vote: Vote) -> dict[str, float]:
    """Weight of each member of a vote, averaged over seeds."""
    weights = np.mean([run.metrics["weights"] for run in view.runs_of(vote.key)], axis=0)
    return dict(zip(vote.members, weights.tolist(), strict=True))


def _voters(view: StudyView, vote: str) -> tuple[int, int]:
    counts = [int(np.count_nonzero(run.metrics["weights"])) for run in view.runs_of(vote)]
    return min(counts), max(counts)


def pairwise(correct: Mapping[str, np.ndarray], predicted: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """One row per pair of members; ``correct`` (N,) bool and ``predicted`` (N,) classes by member.

    Columns: a, b, disagreement (fraction of images that exactly one has right), double_fault (fraction both have
    wrong), q_statistic in [-1, 1], error_jaccard (errors shared / errors of either, in [0, 1]) and kappa (of the
    predicted classes, in [-1, 1], NaN when both name one class only; Cohen 1960,
    https://doi.org/10.1177/001316446002000104).
    """
    from sklearn.metrics import cohen_kappa_score

    rows = []
    for a, b in combinations(correct, 2):
        table = pd.crosstab(correct[a], correct[b]).reindex(index=[True, False], columns=[True, False], fill_value=0)
        (both, only_a), (only_b, neither) = table.to_numpy().tolist()
        varied = len(np.union1d(predicted[a], predicted[b])) > 1
        kappa = float(cohen_kappa_score(predicted[a], predicted[b])) if varied else math.nan
        disagreement, double_fault = (only_a + only_b) / len(correct[a]), neither / len(correct[a])
        q_statistic = _ratio(both * neither - only_a * only_b, both * neither + only_a * only_b)
        error_jaccard = _ratio(neither, neither + only_a + only_b)
        rows.append((a, b, disagreement, double_fault, q_statistic, kappa, error_jaccard))
    return pd.DataFrame(rows, columns=list(PAIR_COLUMNS))


def oracle_accuracy(correct: Mapping[str, np.ndarray]) -> float:
    """Fraction of images that at least one member has right: the bound for any choice among members."""
    return float(np.any(list(correct.values()), axis=0).mean())


def fixed_and_broken(ensemble: np.ndarray, best: np.ndarray) -> tuple[int, int]:
    """Errors of the best member that the ensemble puts right, and new errors it makes; both correctness (N,) bool."""
    return int((ensemble & ~best).sum()), int((best & ~ensemble).sum())


def error_overlap(correct: Mapping[str, np.ndarray]) -> dict[tuple[str, ...], int]:
    """How many images exactly these members have wrong, most first; only combinations that occur, and not none."""
    wrong = zip(*(~hits for hits in correct.values()), strict=True)
    return dict(Counter(names for row in wrong if (names := tuple(compress(correct, row)))).most_common())


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else math.nan
