"""Which score finds the errors, at equal accuracy and in use, and what declining to answer buys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis import formats
from analysis.evidence import Fact, Finding, Origin, Verdict, facts, findings
from analysis.results import Results
from analysis.statistics import influence
from analysis.statistics.contrasts import Contrast, contrasts
from analysis.statistics.crossed import FEWEST, Estimate, estimate_of
from analysis.statistics.trust import Trust, Uncertainty, ood_of, sampled
from analysis.subjects.calibration import claim_of_gain, verdict_of_gain
from study.kinds import McDropout, OutOfDistribution
from study.metrics.intervals import wilson
from study.metrics.uncertainty import aurc, risk_coverage

SELECTIVE_COVERAGE = 0.9  # of the images, answered where the least certain are declined
MATTERS = 0.01  # the smallest difference in AUROC that a summary speaks of


@dataclass(frozen=True)
class Task:
    """What scores are compared at: the finding's name, and its words for the network's own entropy and for others."""

    name: str
    opening: str
    verb: str
    what: str
    condition: str = ""


ERRORS = Task("uncertainty/equal", "ranks its errors", "rank", "them", "on the same predictions, ")
OOD = Task("uncertainty/ood", "tells them from test images", "tell", "them apart")


def detection(trust: Trust, name: str) -> np.ndarray:
    """Contributions (S, N) to the AUROC with which a score ranks the errors of the single network, whosever it is."""
    scores, wrong = trust.uncertainties[name].scores, ~trust.before.correct
    return np.stack([influence.of_auroc(one, errors) for one, errors in zip(scores, wrong, strict=True)])


def detections(trust: Trust) -> dict[str, np.ndarray]:
    """``detection`` of every score; none where the network has too few errors, or right answers, for a test."""
    return {} if _too_few(trust) else {name: detection(trust, name) for name in trust.uncertainties}


def _too_few(trust: Trust) -> str:
    """What ``detections`` has too few of, by the seed with the fewest, e.g. "5 errors"; empty where nothing lacks."""
    right = trust.before.correct.sum(axis=1)
    errors = trust.before.correct.shape[1] - right
    counts = {"error": int(errors.min()), "right answer": int(right.min())}
    return next((formats.plural(count, what) for what, count in counts.items() if count < FEWEST), "")


def ood_detections(trust: Trust) -> dict[str, np.ndarray]:
    """Contributions (S, N + K) to the AUROC with which each score tells OOD from test images, where it was recorded."""
    found = {name: trust.to_ood(name) for name in trust.uncertainties}
    return {name: each for name, each in found.items() if each is not None}


def _judged_ood(trust: Trust) -> dict[str, np.ndarray]:
    """``ood_detections``; none where there are too few images of either sort for a test."""
    fewest = min(len(trust.before.labels), trust.ood.images if trust.ood else 0)
    return ood_detections(trust) if fewest >= FEWEST else {}


@facts
def plan_facts(results: Results) -> Iterator[Fact]:
    """Passes of MC dropout."""
    for dropout in results.view.planned(McDropout):
        yield Origin(plan_facts).count(f"mc-dropout/{dropout.key}/passes", dropout.passes)


@facts
def uncertainty_facts(results: Results) -> Iterator[Fact]:
    """What refusing by the uncertainty chosen, and by the model's own, leaves of the errors."""
    trust, view = results.trust, results.view
    if trust is None:
        return
    runs = trust.runs()
    selective = Origin(risk_coverage, runs)
    for name in dict.fromkeys(("entropy", trust.chosen)):
        yield Origin(aurc, runs).percent(f"uncertainty/aurc-{name}", trust.uncertainties[name].aurc)
    if trust.vote:
        yield Origin(sampled, trust.runs(trust.vote)).text("uncertainty/vote", view.phrase(trust.vote))
    chosen = trust.uncertainties[trust.chosen]
    yield selective.percent("selective/risk", chosen.risk_at(SELECTIVE_COVERAGE))
    yield selective.percent("selective/risk-of-all", chosen.risk_at(1))


@facts
def ood_facts(results: Results) -> Iterator[Fact]:
    """Which second dataset there is, or why there is none."""
    trust, view = results.trust, results.view
    if trust is None or trust.ood is None:
        return
    made = Origin(ood_of, view.names(*(experiment.key for experiment in view.of_kind(OutOfDistribution))))
    if trust.ood.skipped:
        yield made.text("ood/skipped", trust.ood.skipped)
    else:
        yield made.text("ood/title", trust.ood.title)
        yield made.count("ood/images", trust.ood.images)


@facts
def ranking_facts(results: Results) -> Iterator[Fact]:
    """How well each score finds the errors of one network, and tells OOD from test images."""
    if (trust := results.trust) is not None:
        runs = trust.runs()
        for name, contributions in detections(trust).items():
            yield Origin(detection, runs).number(f"{ERRORS.name}/auroc-{name}", contributions.mean())
        for name, contributions in ood_detections(trust).items():
            yield Origin(Trust.to_ood, runs).number(f"{OOD.name}/auroc-{name}", contributions.mean())


@facts
def standing_facts(results: Results) -> Iterator[Fact]:
    """Which scores do better or worse than the network's own entropy by as much as matters, and better than chance."""
    if (trust := results.trust) is not None:
        yield Origin(standing_facts).text("protocol/auroc-margin", formats.setting(MATTERS))
        if len(trust.uncertainties) > 1 and (lacking := _too_few(trust)):
            yield Origin(detections, trust.runs(trust.model)).text("uncertainty/too-few", lacking)
        for task, contributions in ((ERRORS, detections(trust)), (OOD, _judged_ood(trust))):
            gains = _gains(trust, contributions)
            at_chance = [_called(trust, name) for name, each in contributions.items() if each.mean() <= 0.5]
            for how, sign in (("better", 1), ("worse", -1)):
                found = [name for name, each in gains.items() if sign * each.difference >= MATTERS and each.sign]
                if names := [name for name in found if sign < 0 or name not in at_chance]:
                    made = Origin(standing_facts, trust.runs())
                    yield made.text(f"{task.name}/{how}", formats.listing(names))


@findings
def uncertainty_findings(results: Results) -> Iterator[Finding]:
    """How costlier uncertainties compare at equal accuracy, which are at chance, and what declining buys."""
    trust = results.trust
    if trust is None:
        return
    yield from _ranked(trust, ERRORS, detections(trust))
    yield from _ranked(trust, OOD, _judged_ood(trust))
    yield selective_finding(trust.uncertainties[trust.chosen])


@findings
def gain_findings(results: Results) -> Iterator[Finding]:
    """Whether the uncertainty chosen on validation leaves fewer errors, where there are errors enough for a test."""
    trust = results.trust
    if trust is None or trust.gain is None:
        return
    errors = (~trust.uncertainties[name].correct for name in ("entropy", trust.chosen))
    if min(wrong.sum(axis=1).min() for wrong in errors) >= FEWEST:
        yield uncertainty_finding(trust, trust.gain)


def _ranked(trust: Trust, task: Task, contributions: Mapping[str, np.ndarray]) -> Iterator[Finding]:
    """How the scores compare with the network's own entropy at a task, and which are not better than chance."""
    if gains := _gains(trust, contributions):
        rests_on = tuple(f"{task.name}/auroc-{name}" for name in contributions)
        useless = [_called(trust, name) for name, each in contributions.items() if each.mean() <= 0.5]
        yield ranking_finding(task, gains, estimate_of(contributions["entropy"]), rests_on, useless)
        found = {_called(trust, name): estimate_of(each) for name, each in contributions.items()}
        if poor := {title: each for title, each in found.items() if each.interval().low <= 0.5}:
            yield chance_finding(task, poor, rests_on)


def _gains(trust: Trust, contributions: Mapping[str, np.ndarray]) -> dict[str, Contrast]:
    """By how much each score's AUROC exceeds that of the network's own entropy, by title; empty without the latter."""
    own = contributions.get("entropy")
    if own is None:
        return {}
    return contrasts({_called(trust, name): each - own for name, each in contributions.items() if name != "entropy"})


def _called(trust: Trust, name: str) -> str:
    return "its own entropy" if name == "entropy" else _within(trust.uncertainties[name].title)


def _within(title: str) -> str:
    return title[0].lower() + title[1:]


def ranking_finding(
    task: Task, gains: Mapping[str, Contrast], own: Estimate, rests_on: tuple[str, ...], useless: Sequence[str] = ()
) -> Finding:
    """Whether another score does better than the network's own entropy, by its AUROC; ``gains`` by title.

    None is called better that is ``useless``, at or below chance.
    """
    by_size = dict(sorted(gains.items(), key=lambda item: -item[1].difference))
    parts, found = [], {sign: {name: each for name, each in by_size.items() if each.sign == sign} for sign in (1, -1)}
    found[1] = {name: each for name, each in found[1].items() if name not in useless}
    for sign, how in ((1, "better"), (-1, "worse")):
        if some := found[sign]:
            verb = f"{task.verb}s" if len(some) == 1 else task.verb
            parts.append(f"{_extreme(some, 0 if sign > 0 else -1)} {verb} {task.what} {how}")
    sentence = f"The network’s own entropy {task.opening} with an AUROC of {_with_interval(own)}"
    if parts:
        sentence += f"; {task.condition}{' and '.join(parts)}"
    elif any(each.sign for each in gains.values()):
        sentence += "; what does better is not better than chance"
    elif gains:
        name, widest = max(gains.items(), key=lambda item: abs(item[1].difference))
        sentence += f"; no other score differs detectably, the largest difference being that of {name} "
        sentence += f"({_numbers(widest)})"
    verdict: Verdict = "supported" if found[1] else "contradicted" if found[-1] else "inconclusive"
    return Finding(task.name, f"{sentence}.", verdict, rests_on)


def _with_interval(estimate: Estimate) -> str:
    interval = estimate.interval()
    bounds = f"{formats.number(interval.low)} to {formats.number(interval.high)}"
    return f"{formats.number(estimate.value)} (95 % CI {bounds})"


def _extreme(found: Mapping[str, Contrast], which: int) -> str:
    """The names, with the numbers of one of them."""
    names = list(found)
    chosen = names[which]
    return formats.listing([f"{name} ({_numbers(found[name])})" if name == chosen else name for name in names])


def _numbers(each: Contrast) -> str:
    interval = f"joint 95 % CI {formats.signed(each.low, 3)} to {formats.signed(each.high, 3)}"
    return f"{formats.signed(each.difference, 3)}, {interval}, {formats.p_phrase(each.p, 'adjusted p')}"


def chance_finding(task: Task, poor: Mapping[str, Estimate], rests_on: tuple[str, ...]) -> Finding:
    """The scores that are not shown to do better than chance, those that do worse first: contradicted by them."""
    told, unsure = [], f"Not shown to {task.verb} {task.what} better than chance"
    for how, below in (("Worse than chance", True), (unsure, False)):
        some = [(name, each) for name, each in poor.items() if (each.interval().high < 0.5) == below]
        if some:
            told.append(f"{how}: {formats.listing([f'{name}, {_with_interval(each)}' for name, each in some])}.")
    worse = any(each.interval().high < 0.5 for each in poor.values())
    return Finding(f"{task.name}-chance", " ".join(told), "contradicted" if worse else "inconclusive", rests_on)


def uncertainty_finding(trust: Trust, gain: Estimate) -> Finding:
    """Whether refusing by the uncertainty chosen on validation leaves fewer errors than by the model's own entropy."""
    chosen = trust.uncertainties[trust.chosen]
    verdict, interval = verdict_of_gain(gain), gain.interval()
    whose = f"{chosen.title[0].lower()}{chosen.title[1:]}"
    words = (
        f"Between declining images by {whose} and the single model declining them by its own entropy no difference "
        "in the errors left was detected"
    )
    if verdict != "inconclusive":
        more = "fewer" if verdict == "supported" else "more"
        words = f"Declining images by {whose} leaves {more} errors than the single model leaves by its own entropy"
    bounds = f"95 % CI {formats.points_interval(-interval.high, -interval.low)} points"
    numbers = f"AURC {formats.percent(chosen.aurc)} % against {formats.percent(trust.before.aurc)} %"
    sentence = (
        f"{words} ({numbers}; difference {formats.points(-gain.value)} points, {bounds}, {formats.p_phrase(gain.p)})."
    )
    names = (f"uncertainty/aurc-{trust.chosen}", "uncertainty/aurc-entropy")
    return Finding("uncertainty/gain", sentence, verdict, names, claim_of_gain(trust, gain, "points", verdict))


def selective_finding(chosen: Uncertainty) -> Finding:
    """What declining the least certain tenth does to the error rate of the rest: numbers, no test."""
    everything, kept = f"{formats.percent(chosen.risk_at(1))} %", _risk(chosen)
    change = chosen.risk_at(SELECTIVE_COVERAGE) - chosen.risk_at(1)
    moves = f"takes the error rate of the answers from {everything} to {kept}"
    sentence = (
        f"Ranked by {_within(chosen.title)}, which validation prefers, declining the least certain "
        f"{formats.decimal(100 * (1 - SELECTIVE_COVERAGE), 0)} % of the images "
        f"{moves if change else f'leaves the error rate of the answers at {kept}'}."
    )
    return Finding("selective/risk", sentence, "inconclusive", ("selective/risk", "selective/risk-of-all"))


def _risk(uncertainty: Uncertainty) -> str:
    """The error rate of the answers left, with the interval of a proportion of the images answered."""
    answered, risk = SELECTIVE_COVERAGE * len(uncertainty.labels), uncertainty.risk_at(SELECTIVE_COVERAGE)
    interval = wilson(risk * answered, answered)
    return f"{formats.percent(risk)} % (95 % CI {formats.percent_interval(interval.low, interval.high)})"
