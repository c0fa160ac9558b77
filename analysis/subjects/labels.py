"""Errors beside the labels' own errors, and confidence beside what people answer, where those optional files lie.

Both describe the test set in its source's order; the dataset's description names them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from analysis import formats
from analysis.evidence import Fact, Finding, Origin, Verdict, facts, findings
from analysis.results import Results
from analysis.statistics.crossed import ALPHA
from study.errors import StudyError
from study.files import read_json
from study.metrics.calibration import probabilities
from study.metrics.intervals import rank_correlation, wilson
from study.metrics.uncertainty import entropy
from study.records import Predictions


@facts
def label_facts(results: Results) -> Iterator[Fact]:
    """Of the ensemble, else of the best network."""
    key, audit, people = examined(results)
    if key is None:
        return
    view = results.view
    predictions, runs = view.predictions(key)[0], view.names(key)[:1]
    begins = view.plan.dataset.description.test_begins
    if audit:
        for name, number in audited_errors(audit, predictions, begins).items():
            yield Origin(audited_errors, runs).count(f"labels/{name}", number)
    if people:
        yield from people_facts(people, predictions, runs, begins)


def examined(results: Results) -> tuple[str | None, Path | None, Path | None]:
    """The model whose errors are looked at, and those of the two optional files that lie beside the data."""
    view, data = results.view, results.view.plan.dataset
    key = results.ensemble.best_vote if results.ensemble else view.best(view.own)
    told, folder = data.description, Path(data.folder)
    audit, people = ((folder / name) if name else None for name in (told.label_audit, told.human_labels))
    if not data.folder or not (audit or people) or key is None:
        return None, None, None
    return key, audit if audit and audit.is_file() else None, people if people and people.is_file() else None


@findings
def label_findings(results: Results) -> Iterator[Finding]:
    """Whether the remaining errors fall on labels in doubt, and whether the model hesitates where people do."""
    key, audit, people = examined(results)
    if key is None:
        return
    predictions, phrase = results.view.predictions(key)[0], results.view.phrase(key)
    if len(seeds := results.view.seeds_of(key)) > 1:
        phrase += f" (seed {seeds[0]})"
    begins = results.view.plan.dataset.description.test_begins
    if audit:
        yield label_finding(audited_errors(audit, predictions, begins), len(predictions.labels), phrase)
    if people:
        shared = human_agreement(_votes(people, predictions, begins), probabilities(predictions.logits))
        yield people_finding(shared, len(predictions.labels), phrase)


def label_finding(found: Mapping[str, int], images: int, phrase: str) -> Finding:
    """Supported where labels that people did not confirm are commoner among errors than elsewhere (Fisher's test).

    ``found`` is what ``audited_errors`` counts of so many ``images``.
    """
    from scipy.stats import fisher_exact

    wrong, faulty = found["wrong"], found["wrong-faulty"]
    if not wrong:
        return Finding(
            "labels/errors", f"{formats.sentence_case(phrase)} makes no error.", "inconclusive", ("labels/wrong",)
        )
    elsewhere = found["faulty"] - faulty
    p = float(fisher_exact([[faulty, wrong - faulty], [elsewhere, images - wrong - elsewhere]]).pvalue)
    share = wilson(faulty, wrong)
    verdict: Verdict = "inconclusive"
    if p < ALPHA:
        verdict = "supported" if faulty * images > found["faulty"] * wrong else "contradicted"
    sentence = (
        f"Of the {formats.plural(wrong, 'image')} that {phrase} misclassifies, {formats.count(faulty)} "
        f"({formats.percent(faulty / wrong)} %, 95 % CI {formats.percent_interval(share.low, share.high)}) "
        f"{'carries' if faulty == 1 else 'carry'} a label that people did not confirm, against "
        f"{formats.percent(elsewhere / max(1, images - wrong))} % of the others (Fisher’s exact test, "
        f"{formats.p_phrase(p)})."
    )
    return Finding("labels/errors", sentence, verdict, ("labels/wrong", "labels/wrong-faulty", "labels/faulty"))


def people_finding(shared: Mapping[str, float], images: int, phrase: str) -> Finding:
    """Supported where the model's entropy rises with people's."""
    correlation, choice = shared["entropy-correlation"], shared["same-choice"]
    interval, same = rank_correlation(correlation, images), wilson(choice * images, images)
    verdict: Verdict = "supported" if interval.low > 0 else "contradicted" if interval.high < 0 else "inconclusive"
    how = {
        "supported": "tends to hesitate where people do",
        "contradicted": "tends to be sure where people hesitate",
        "inconclusive": "does not detectably hesitate where people do",
    }[verdict]
    sentence = (
        f"{formats.sentence_case(phrase)} names the class that most people chose for {formats.percent(choice)} % of "
        f"the images (95 % CI {formats.percent_interval(same.low, same.high)}) and {how}: the rank correlation of the "
        f"entropy of its prediction with that of people’s answers is {formats.number(correlation)} (95 % CI "
        f"{formats.number(interval.low)} to {formats.number(interval.high)})."
    )
    return Finding("labels/people", sentence, verdict, ("people/same-choice", "people/entropy-correlation"))


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
    made = Origin(human_agreement, runs)
    for name, value in human_agreement(
        _votes(people, predictions, test_begins), probabilities(predictions.logits)
    ).items():
        yield (made.percent if name == "same-choice" else made.number)(f"people/{name}", value)


def _votes(people: Path, predictions: Predictions, test_begins: int) -> np.ndarray:
    """How many people chose each class of the images tested, (N, C)."""
    try:
        return np.load(people, allow_pickle=False)[predictions.indices - test_begins]
    except (ValueError, EOFError, IndexError) as error:
        raise StudyError(f"{people} is damaged or of another test set; replace or remove it") from error


def human_agreement(counts: np.ndarray, probs: np.ndarray) -> dict[str, float]:
    """Compare probabilities (N, C) with how many people chose each class, counts (N, C); row n of both is one image.

    ``same-choice``: the fraction of images whose most likely class is the one most people chose, any of them where
    they tie; ``entropy-correlation``: Spearman's rank correlation of the model's entropy with people's (NaN when either
    never varies). Peterson et al. 2019, https://arxiv.org/abs/1908.07086. StudyError when the shapes differ.
    """
    from scipy.stats import spearmanr

    if counts.shape != probs.shape:
        raise StudyError(f"human counts {counts.shape} do not match {probs.shape}; use a file for this test set")
    people = counts / counts.sum(axis=1, keepdims=True)
    choice = np.take_along_axis(counts, probs.argmax(axis=1)[:, None], axis=1)[:, 0]
    ours, theirs = entropy(probs), entropy(people)
    varied = np.ptp(ours) > 0 and np.ptp(theirs) > 0
    return {
        "same-choice": float((choice == counts.max(axis=1)).mean()),
        "entropy-correlation": float(spearmanr(ours, theirs).statistic) if varied else float("nan"),
    }
