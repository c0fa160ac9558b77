"""The ensemble as recorded: its members, its votes, and where they agree and err."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.statistics.diversity import error_overlap, fixed_and_broken, oracle_accuracy, pairwise
from analysis.view import Planned, StudyView


@dataclass(frozen=True)
class Ensemble:
    """Members and votes by key, and counts over the test images of one seed.

    ``best_member`` and ``best_vote`` are chosen on validation; ``fixed`` are errors of the best
    member that the best vote puts right, ``broken`` those it adds. ``weights`` gives each vote's
    weight per member, averaged over seeds; ``diversity`` and ``overlap`` are as in ``analysis.statistics.diversity``.
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
    diversity: pd.DataFrame
    overlap: pd.Series


def ensemble_of(view: StudyView) -> Ensemble | None:
    """The study's ensemble, or None while no vote or not all of its members have a run in common."""
    votes = view.of_kind("Vote")
    members = tuple(dict.fromkeys(member for vote in votes for member in vote.spec["members"]))
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
        _first_seed(view, (*members, best_vote)),
        fixed,
        broken,
        oracle_accuracy(correct),
        {vote.key: _weights(view, vote) for vote in votes},
        pairwise(correct, {key: predictions.predicted for key, predictions in first.items()}),
        error_overlap(correct),
    )


def _first_seed(view: StudyView, keys: tuple[str, ...]) -> int:
    return min(set.intersection(*({run.seed for run in view.runs_of(key)} for key in keys)))


def _weights(view: StudyView, vote: Planned) -> dict[str, float]:
    """Weight of each member of a vote, averaged over seeds; a member left out of a seed weighs nothing."""
    total: dict[str, list[float]] = {}
    runs = view.runs_of(vote.key)
    for run in runs:
        for member, weight in zip(run.metrics["members"], run.metrics["weights"], strict=True):
            total.setdefault(member, []).append(float(weight))
    return {member: float(np.sum(weights) / len(runs)) for member, weights in total.items()}
