"""Errors seen beside the labels' own errors, and confidence beside what people answer.

Both need optional files that describe CIFAR-10's test set in its official order.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.statistics.uncertainty import entropy
from study.errors import StudyError
from study.records import read_json


@dataclass(frozen=True)
class LabelAudit:
    """Counts of test images: those classified wrongly, and those whose label is in doubt.

    ``suspected`` labels were flagged by an algorithm and shown to five people; of them, fewer than
    three confirmed the label of the ``faulty`` ones. ``wrong_*`` are the wrongly classified among them.
    """

    tested: int
    wrong: int
    suspected: int
    faulty: int
    wrong_suspected: int
    wrong_faulty: int


@dataclass(frozen=True)
class HumanAgreement:
    """A model beside people on the same images.

    ``cross_entropy`` (nats) of the model's probabilities under the human label distribution,
    ``human_entropy`` its lower bound, ``same_choice`` the fraction of images whose most likely class
    is the one most people chose, ``entropy_correlation`` Spearman's rank correlation of the model's
    entropy with people's (NaN when either never varies), ``images`` their number.
    """

    cross_entropy: float
    human_entropy: float
    same_choice: float
    entropy_correlation: float
    images: int


def audited_errors(audit: Path, wrong: np.ndarray, tested: np.ndarray | None = None) -> LabelAudit:
    """How many wrongly classified test images carry a label that is in doubt.

    ``audit`` is the JSON list of Northcutt, Athalye & Mueller 2021, https://arxiv.org/abs/2103.14749:
    per image ``id`` and ``mturk`` votes for the ``given`` label, the ``guessed`` one, ``both``,
    ``neither``. ``wrong`` and ``tested`` are positions in the official test set; without ``tested``
    all 10,000 were. StudyError when the file is missing or not such a list.
    """
    suspected, faulty = _audited(audit)
    evaluated = np.arange(10_000) if tested is None else np.asarray(tested)
    errors = np.asarray(wrong)
    return LabelAudit(
        tested=len(evaluated),
        wrong=len(errors),
        suspected=int(np.isin(evaluated, suspected).sum()),
        faulty=int(np.isin(evaluated, faulty).sum()),
        wrong_suspected=int(np.isin(errors, suspected).sum()),
        wrong_faulty=int(np.isin(errors, faulty).sum()),
    )


def human_agreement(counts: np.ndarray, probs: np.ndarray) -> HumanAgreement:
    """Compare probabilities (N, C) with how many people chose each class, counts (N, C).

    Row n of both is one image. Where most people tie, any of their choices counts as the same.
    Peterson et al. 2019, https://arxiv.org/abs/1908.07086. StudyError when the shapes differ.
    """
    if counts.shape != probs.shape:
        raise StudyError(f"human counts {counts.shape} do not match {probs.shape}; use CIFAR-10's file")
    people = counts / counts.sum(axis=1, keepdims=True)
    likely = np.log(np.maximum(probs, np.finfo(float).tiny))
    choice = np.take_along_axis(counts, probs.argmax(axis=1)[:, None], axis=1)[:, 0]
    return HumanAgreement(
        cross_entropy=float(-(people * likely).sum(axis=1).mean()),
        human_entropy=float(entropy(people).mean()),
        same_choice=float((choice == counts.max(axis=1)).mean()),
        entropy_correlation=_rank_correlation(entropy(probs), entropy(people)),
        images=len(counts),
    )


def _audited(audit: Path) -> tuple[list[int], list[int]]:
    """Positions of all suspected labels, and of those that fewer than three of five people confirm."""
    entries = read_json(audit)
    try:
        votes = {int(entry["id"]): int(entry["mturk"]["given"]) for entry in entries}
    except (TypeError, KeyError, ValueError) as error:
        raise StudyError(f"{audit} is not a list of audited labels; fetch it again or remove it") from error
    return list(votes), [image for image, given in votes.items() if given < 3]


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import spearmanr

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)
