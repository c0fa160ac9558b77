"""Which model for which budget: the timed models that nothing beats, and the ensemble."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from analysis import formats
from analysis.captions import evidence, join
from analysis.evidence import Fact, Finding, Origin, Verdict, facts, findings
from analysis.results import Results
from analysis.statistics.contrasts import Contrast, accuracy_contrasts
from analysis.statistics.deployment import pareto_front
from analysis.subjects.deployment import SAME, SAME_SPEED
from analysis.subjects.ensemble import voters
from study.kinds import Quantization, Training

FASTEST, NEXT, ENSEMBLE = "fastest", "next", "ensemble"


@dataclass(frozen=True)
class Choice:
    """A model for a budget; ``gain`` is over the choice before it, None for the fastest alone.

    ``cost`` says in words what a prediction takes, ``before`` is that choice's key, and ``peers`` are timed models that
    are as fast.
    """

    budget: str
    key: str
    cost: str
    gain: Contrast | None = None
    before: str = ""
    peers: tuple[str, ...] = ()


def choices(results: Results) -> list[Choice]:
    """The fastest timed model, each slower one on the front of accuracy and latency, and the ensemble.

    Chosen by accuracy on validation images: of models that are equally fast the best counts as the fastest.
    """
    frame = results.deployment
    if frame.empty:
        return []
    frame = frame.assign(accuracy=[results.view.metric(key, "validation_accuracy") for key in frame["model"]])
    equal = frame["p50_ms"] <= (1 + SAME_SPEED) * frame["p50_ms"].min()
    fastest = sorted(frame[equal].itertuples(), key=lambda row: (-row.accuracy, row.p50_ms))
    front = frame[pareto_front(frame, "p50_ms") & ~equal].sort_values("p50_ms").drop_duplicates("p50_ms")
    timed = [(FASTEST, str(fastest[0].model), _cost(fastest[0]))]
    timed += [(NEXT, str(row.model), _cost(row)) for row in front.itertuples()]
    if results.ensemble:
        timed.append((ENSEMBLE, results.ensemble.best_vote, f"{voters(results.ensemble)} for every prediction"))
    kept, found = timed[:1], dict[str, np.ndarray]()
    for each in timed[1:]:
        differences = results.view.differences(each[1], kept[-1][1])
        if len(differences):  # else they have no seed in common
            found[each[1]] = differences
            kept.append(each)
    gains, before = accuracy_contrasts(found), ["", *(key for _, key, _ in kept)]
    first, *others = [Choice(*each, gains.get(each[1]), before[n]) for n, each in enumerate(kept)]
    return [replace(first, peers=tuple(str(row.model) for row in fastest[1:])), *others]


def _cost(row: object) -> str:
    return f"{formats.decimal(row.p50_ms)} ms and {formats.decimal(row.bytes / 1e6)} MB"  # type: ignore[attr-defined]


@facts
def recommendation_facts(results: Results) -> Iterator[Fact]:
    """The models recommended where latency and where accuracy counts most, and how many are as fast as the former."""
    for choice in choices(results):
        made = Origin(choices, results.view.names(choice.key))
        if choice.budget == FASTEST or (choice.budget == ENSEMBLE and choice.gain and choice.gain.sign > 0):
            yield made.text(f"recommendation/{choice.budget}", results.view.phrase(choice.key))
        if choice.peers:
            peers = results.view.names(choice.key, *choice.peers)
            yield Origin(choices, peers).count("recommendation/fast", 1 + len(choice.peers))


@findings
def recommendation_findings(results: Results) -> Iterator[Finding]:
    """Which model for which budget, and why."""
    if chosen := choices(results):
        yield recommendation_finding(results, chosen)


def recommendation_finding(results: Results, chosen: list[Choice]) -> Finding:
    """Supported where there are costlier choices, and each is shown to be more accurate than the one before it."""
    told = [_reason(results, choice) for choice in chosen]
    told.insert(1, untimed_twin(results, chosen[0].key))
    gains = [choice.gain.sign for choice in chosen if choice.gain]
    verdict: Verdict = "supported" if gains and min(gains) > 0 else "inconclusive"
    return Finding("recommendation", join(*told), verdict, ("recommendation/fastest",))


def untimed_twin(results: Results, key: str) -> str:
    """What is to be said against a distilled model whose untaught twin was not timed: empty where a teacher helped."""
    source = results.view.experiments[key]
    source = results.view.experiments[source.source] if isinstance(source, Quantization) else source
    judged, timed = results.judged.get(source.key), set(results.deployment["model"])
    taught = isinstance(source, Training) and source.distillation is not None
    if not (taught and judged) or judged.control in timed or judged.verdict == "supported":
        return ""
    reached = f"{formats.percent(results.accuracies[judged.control].mean)} %"
    shown = {"contradicted": "and is more accurate", "equivalent": "and is as accurate for what matters"}
    words = shown.get(judged.verdict, "and whether the teacher helps is undecided")
    twin = formats.sentence_case(results.view.phrase(judged.control))
    return f"{twin}, its equal in size and operations, was not timed; it reaches {reached}, {words}."


def _reason(results: Results, choice: Choice) -> str:
    name = results.view.phrase(choice.key)
    reached = f"{formats.percent(results.accuracies[choice.key].mean)} %"
    if choice.gain is None:  # the fastest
        told = f"Of the models timed, {name} answers soonest ({reached}, {choice.cost}); we recommend it"
        if choice.peers:
            all_fast = formats.listing([results.view.phrase(key) for key in (choice.key, *choice.peers)])
            told = (
                f"Of the models timed, {all_fast} answer soonest, equally fast to within {SAME}; we recommend the "
                f"first, than which none of them is more accurate on validation images ({reached}, {choice.cost}),"
            )
        return f"{told} where latency counts most."
    if choice.budget == ENSEMBLE:
        name = f"the ensemble ({results.view.title(choice.key).lower()}), whose latency was not measured,"
    than = f"than {results.view.phrase(choice.before)} ({reached}; {evidence(choice.gain)})."
    if choice.gain.sign > 0:
        return f"Where {choice.cost} can be afforded, {name} is more accurate {than}"
    shown = "less accurate" if choice.gain.sign < 0 else "not shown to be more accurate"
    return f"At {choice.cost}, {name} is {shown} {than}"
