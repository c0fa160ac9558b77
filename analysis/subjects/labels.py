"""Errors beside the labels' own errors, and confidence beside what people answer, where those optional files lie.

Both describe the test set in its source's order; the dataset's description names them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from analysis.evidence import Fact, Origin, facts
from analysis.results import Results
from study.errors import StudyError
from study.files import read_json
from study.metrics.calibration import probabilities
from study.metrics.uncertainty import entropy
from study.records import Predictions


@facts
def label_facts(results: Results) -> Iterator[Fact]:
    """Of the ensemble, else of the best network."""
    view, data = results.view, results.view.plan.dataset
    key = results.ensemble.best_vote if results.ensemble else view.best(view.own)
    told, folder = data.description, Path(data.folder)
    audit, people = ((folder / name) if name else None for name in (told.label_audit, told.human_labels))
    if not data.folder or not (audit or people) or key is None:
        return
    predictions, runs = view.predictions(key)[0], view.names(key)[:1]
    yield Origin(label_facts, runs).text("labels/model", view.title(key))
    if audit and audit.is_file():
        for name, number in audited_errors(audit, predictions, told.test_begins).items():
            yield Origin(audited_errors, runs).count(f"labels/{name}", number)
    if people and people.is_file():
        yield from people_facts(people, predictions, runs, told.test_begins)


def audited_errors(audit: Path, predictions: Predictions, test_begins: int) -> dict[str, int]:
    """Counts of the images tested whose prediction is wrong, and whose label is in doubt.

    ``suspected`` labels were flagged by an algorithm and shown to five people; of them, fewer than three confirmed
    the label of the ``faulty`` ones; ``wrong-`` stands before the wrongly classified among them. ``audit`` is the JSON
    list of Northcutt, Athalye & Mueller 2021, https://arxiv.org/abs/2103.14749: per image ``id``, its position in the
    official test set, which begins at ``test_begins``, and ``mturk`` votes for the ``given`` label. StudyError when it
    is missing or not such a list.
    """
    entries = read_json(audit)
    try:
        votes = {int(entry["id"]): int(entry["mturk"]["given"]) for entry in entries}
    except (TypeError, KeyError, ValueError) as error:
        raise StudyError(f"{audit} is not a list of audited labels; fetch it again or remove it") from error
    doubted = {"suspected": list(votes), "faulty": [image for image, given in votes.items() if given < 3]}
    tested = predictions.indices - test_begins
    wrong = tested[~predictions.correct]
    seen = {name: int(np.isin(tested, images).sum()) for name, images in doubted.items()}
    missed = {f"wrong-{name}": int(np.isin(wrong, images).sum()) for name, images in doubted.items()}
    return {"wrong": len(wrong), **seen, **missed}


def people_facts(people: Path, predictions: Predictions, runs: tuple[str, ...], test_begins: int) -> Iterator[Fact]:
    """The predictions beside how many people chose each class. StudyError when the file is of other images."""
    try:
        counts = np.load(people, allow_pickle=False)[predictions.indices - test_begins]
    except (ValueError, EOFError, IndexError) as error:
        raise StudyError(f"{people} is damaged or of another test set; replace or remove it") from error
    made = Origin(human_agreement, runs)
    for name, value in human_agreement(counts, probabilities(predictions.logits)).items():
        yield (made.percent if name == "same-choice" else made.number)(f"people/{name}", value)


def human_agreement(counts: np.ndarray, probs: np.ndarray) -> dict[str, float]:
    """Compare probabilities (N, C) with how many people chose each class, counts (N, C); row n of both is one image.

    ``same-choice``: the fraction of images whose most likely class is the one most people chose, any of them where
    they tie; ``entropy-correlation``: Spearman's rank correlation of the model's entropy with people's (NaN when either
    never varies); ``cross-entropy`` (nats): of the probabilities under the human label distribution; ``human-entropy``:
    its lower bound. Peterson et al. 2019, https://arxiv.org/abs/1908.07086. StudyError when the shapes differ.
    """
    from scipy.stats import spearmanr

    if counts.shape != probs.shape:
        raise StudyError(f"human counts {counts.shape} do not match {probs.shape}; use a file for this test set")
    people = counts / counts.sum(axis=1, keepdims=True)
    likely = np.log(np.maximum(probs, np.finfo(float).tiny))
    choice = np.take_along_axis(counts, probs.argmax(axis=1)[:, None], axis=1)[:, 0]
    ours, theirs = entropy(probs), entropy(people)
    varied = np.ptp(ours) > 0 and np.ptp(theirs) > 0
    return {
        "same-choice": float((choice == counts.max(axis=1)).mean()),
        "entropy-correlation": float(spearmanr(ours, theirs).statistic) if varied else float("nan"),
        "cross-entropy": float(-(people * likely).sum(axis=1).mean()),
        "human-entropy": float(theirs.mean()),
    }
