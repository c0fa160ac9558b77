"""Which score finds the errors, at equal accuracy and in use, and what declining to answer buys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import counted, join, over
from analysis.evidence import Fact, Figure, Finding, Origin, Table, Verdict, facts, figure, findings, table
from analysis.results import Results
from analysis.statistics import influence
from analysis.statistics.contrasts import Contrast, contrasts
from analysis.statistics.crossed import FEWEST, Estimate, estimate_of
from analysis.statistics.trust import Trust, Uncertainty
from analysis.subjects.trust import SELECTIVE_COVERAGE
from study.kinds import OutOfDistribution
from study.metrics.calibration import BINS
from study.metrics.calibration import reliability as binned
from study.metrics.intervals import wilson

POINTS = 400  # coverages drawn, so that a vector file stays small
MATTERS = 0.01  # the smallest difference in AUROC that a summary speaks of
MOST = 40.0  # points², the area of a reliability diagram's fullest bin


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


@table
def trust(results: Results) -> Table | None:
    """Calibration and error detection of each source of confidence."""
    trust = results.trust
    if trust is None:
        return None
    measured = trust.ood if trust.ood and trust.ood.scores else None
    outside, ranked = ood_detections(trust), detections(trust)
    rows = [
        (*_cells(each, ranked.get(each.name)), *([_auroc(outside.get(each.name))] if measured else []))
        for each in trust.uncertainties.values()
    ]
    caption = join(
        "Calibration and error detection of each uncertainty, ± half of its 95 % interval over test images.",
        f"Single model: {results.view.title(trust.model)}, its temperature fitted on validation.",
        f"Ensemble: {results.view.title(trust.vote)}." if trust.vote else "",
        f"ECE: {BINS} bins; its interval allows for what chance adds to it. AUROC: of the single model's errors, the "
        "same for every row; AURC: of each row's own predictions.",
        f"OOD: AUROC of test images against {formats.count(measured.images)} of {measured.title}." if measured else "",
        counted(results, over(len(trust.seeds))),
    )
    head: tuple[str, ...] = ("Uncertainty", "ECE, %", "NLL, nats", "Brier", "AUROC, same errors", "AURC, %")
    head += ("OOD",) if measured else ()
    scorers = tuple(each.key for each in results.view.of_kind(OutOfDistribution)) if measured else ()
    reads = (*trust.sources, *scorers)
    return Table("trust", caption, head, tuple(rows), "l" + "r" * (len(head) - 1), dense=True, reads=reads)


def _cells(uncertainty: Uncertainty, ranking: np.ndarray | None) -> tuple[str, ...]:
    return (
        uncertainty.title,
        _within_bounds(uncertainty),
        _margin(estimate_of(uncertainty.losses), 3),
        _margin(estimate_of(uncertainty.squared_errors), 3),
        _auroc(ranking),
        _margin(uncertainty.aurc_estimate, 2, 100),
    )


def _within_bounds(uncertainty: Uncertainty) -> str:
    """ECE with its interval, which has no middle."""
    interval = uncertainty.ece_interval
    ece, low, high = (formats.percent(each) for each in (uncertainty.ece, interval.low, interval.high))
    return f"{ece} ({low}–{high})"


def _auroc(contributions: np.ndarray | None) -> str:
    return formats.MISSING if contributions is None else _margin(estimate_of(contributions), 3)


def _margin(estimate: Estimate, digits: int, scale: float = 1.0) -> str:
    interval = estimate.interval()
    return formats.margin(scale * estimate.value, scale * (interval.high - interval.low) / 2, digits)


@figure
def confidence(results: Results) -> Figure | None:
    """Calibration beside what declining the least certain images buys; None before a network is trained."""
    trust = results.trust
    if trust is None:
        return None
    seeds = len(trust.seeds)
    together = f", predictions of {seeds} seeds together" if seeds > 1 else ""
    caption = join(
        "How far confidence holds, and how the error rate changes when the least certain images are declined.",
        f"Left: accuracy against mean confidence of {results.view.title(trust.model)} in {BINS} bins, areas by number "
        f"of images{together}, as trained and after temperature scaling; dashed: perfect calibration. Right: error "
        f"rate of the images answered, {over(seeds)}; dashed: mutual information (MI).",
        counted(results),
    )
    alt = "Accuracy against confidence before and after temperature scaling; error rate against coverage by uncertainty"
    risks = {each.title: each.risk.tolist() for each in trust.uncertainties.values()}
    data = {"images answered": list(range(1, len(next(iter(risks.values()))) + 1))} | risks
    return Figure("confidence", caption, lambda: _draw(results, trust), alt, data)


def _draw(results: Results, trust: Trust) -> Canvas:
    canvas = style.canvas(1.85)
    left, right = canvas.subplots(1, 2, width_ratios=[1, 1.35])
    shade = style.colour(results.view, trust.model)
    left.plot([0, 100], [0, 100], "--", color=style.GREY, lw=0.8)
    _draw_reliability(left, trust.before, shade, "as trained", filled=True)
    _draw_reliability(left, trust.after, shade, f"T = {formats.decimal(trust.temperature)}", filled=False)
    left.legend(loc="upper left", handletextpad=0.1, borderaxespad=0)
    left.set(xlabel="Confidence, %", ylabel="Accuracy, %", xlim=(0, 102), ylim=(0, 102))
    _draw_risks(results, right, trust)
    return canvas


def _draw_reliability(axes: Axes, uncertainty: Uncertainty, shade: str, label: str, filled: bool) -> None:
    bins = binned(uncertainty.pooled_probs, uncertainty.pooled_labels)
    shown = bins.count > 0
    areas = 6 + MOST * bins.count[shown] / bins.count.max()
    look: dict[str, Any] = {"facecolors": shade if filled else "white", "edgecolors": shade, "linewidths": 1.0}
    axes.scatter(
        100 * bins.confidence[shown], 100 * bins.accuracy[shown], areas, label=label, zorder=2, clip_on=False, **look
    )


def _draw_risks(results: Results, axes: Axes, trust: Trust) -> None:
    """One curve per uncertainty, named at its right end; mutual information dashed."""
    shades = {"entropy": style.colour(results.view, trust.model), "mc-dropout": style.COLOURS[6], "ensemble": style.INK}
    ends = []
    for uncertainty in trust.uncertainties.values():
        images, name = len(uncertainty.risk), uncertainty.name
        answered = np.arange(1, images + 1)[max(1, images // POINTS) - 1 :: max(1, images // POINTS)]
        source = next((prefix for prefix in ("mc-dropout", "ensemble") if name.startswith(prefix)), "entropy")
        line = ":" if name.startswith("temperature") else "--" if name.endswith("information") else "-"
        look: dict[str, Any] = {"color": shades[source], "ls": line}
        axes.plot(100 * answered / images, 100 * uncertainty.risk[answered - 1], lw=1.3, **look)
        ends.append((100.0, 100 * uncertainty.risk_at(1), _short(uncertainty.title), look))
    axes.set(xlabel="Coverage, %", ylabel="Error rate, %", xlim=(0, 100))
    axes.set_ylim(bottom=0)
    style.grid(axes, "y")
    style.label_ends(axes, ends)


def _short(title: str) -> str:
    for long, short in (("Mutual information", "MI"), (" of the single model", ""), (" of the ensemble", ", ensemble")):
        title = title.replace(long, short)
    return title.replace(" under MC dropout", ", MC dropout").replace(" after temperature scaling", ", scaled")
