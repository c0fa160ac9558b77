"""Which score finds the errors, at equal accuracy and in use, and what declining to answer buys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import averaged, join
from analysis.evidence import Figure, Finding, Findings, Table, Verdict, figure, findings, table
from analysis.results import Results
from analysis.statistics import influence
from analysis.statistics.contrasts import Contrast, contrasts
from analysis.statistics.crossed import Estimate
from analysis.statistics.trust import Trust, Uncertainty, estimate_of
from analysis.subjects.trust import SELECTIVE_COVERAGE
from study.metrics.calibration import BINS
from study.metrics.calibration import reliability as binned
from study.metrics.intervals import wilson

POINTS = 400  # coverages drawn, so that a vector file stays small
MOST = 40.0  # points², the area of a reliability diagram's fullest bin


def detection(trust: Trust, name: str) -> np.ndarray:
    """Contributions (S, N) to the AUROC with which a score ranks the errors of the single network, whosever it is."""
    scores, wrong = trust.uncertainties[name].scores, ~trust.before.correct
    return np.stack([influence.of_auroc(one, errors) for one, errors in zip(scores, wrong, strict=True)])


@findings
def uncertainty_findings(results: Results) -> Iterator[Finding]:
    """How costlier uncertainties compare at equal accuracy, which are at chance, and what declining buys."""
    trust = results.trust
    if trust is None:
        return
    own = detection(trust, "entropy")
    if not np.isnan(own).any():
        others = [name for name in trust.uncertainties if name != "entropy"]
        titles = {name: _within(trust.uncertainties[name].title) for name in others}
        gains = contrasts({titles[name]: detection(trust, name) - own for name in others})
        yield equal_finding(gains, float(own.mean()))
        found = {titles.get(name, "its entropy"): estimate_of(detection(trust, name)) for name in trust.uncertainties}
        if poor := {title: each for title, each in found.items() if each.interval().low <= 0.5}:
            yield chance_finding(poor)
    yield selective_finding(trust.uncertainties[trust.chosen])


def _within(title: str) -> str:
    return title[0].lower() + title[1:]


def equal_finding(gains: Mapping[str, Contrast], own: float) -> Finding:
    """Whether another score ranks the same errors better than the network's own entropy, AUROC ``own``; by title."""
    by_size = dict(sorted(gains.items(), key=lambda item: -item[1].difference))
    better, worse = ({name: each for name, each in by_size.items() if each.sign == sign} for sign in (1, -1))
    parts = [f"{_extreme(better, 0)} {'ranks' if len(better) == 1 else 'rank'} them better"] if better else []
    parts += [f"{_extreme(worse, -1)} {'ranks' if len(worse) == 1 else 'rank'} them worse"] if worse else []
    sentence = f"The network’s own entropy ranks its errors with an AUROC of {formats.number(own)}"
    if parts:
        sentence += f"; at equal accuracy, {' and '.join(parts)}."
    else:
        name, widest = max(gains.items(), key=lambda item: abs(item[1].difference))
        sentence += (
            f"; no other score differs detectably, the largest difference being that of {name} ({_numbers(widest)})."
        )
    verdict: Verdict = "supported" if better else "contradicted" if worse else "inconclusive"
    return Finding("uncertainty/equal", sentence, verdict, ("uncertainty/auroc-entropy",))


def _extreme(found: Mapping[str, Contrast], which: int) -> str:
    """The names, with the numbers of one of them."""
    names = list(found)
    chosen = names[which]
    return formats.listing([f"{name} ({_numbers(found[name])})" if name == chosen else name for name in names])


def _numbers(each: Contrast) -> str:
    interval = f"joint 95 % CI {formats.signed(each.low, 3)} to {formats.signed(each.high, 3)}"
    return f"{formats.signed(each.difference, 3)}, {interval}, {formats.p_phrase(each.p, 'adjusted p')}"


def chance_finding(poor: Mapping[str, Estimate]) -> Finding:
    """The scores that are not shown to rank errors better than chance."""
    told = []
    for name, each in poor.items():
        interval = each.interval()
        bounds = f"95 % CI {formats.number(interval.low)} to {formats.number(interval.high)}"
        told.append(f"{name} (AUROC {formats.number(each.value)}, {bounds})")
    sentence = f"Not shown to be better than chance: {formats.listing(told)}."
    return Finding("uncertainty/chance", sentence, "contradicted", ("uncertainty/auroc-entropy",))


def selective_finding(chosen: Uncertainty) -> Finding:
    """What declining the least certain tenth does to the error rate of the rest."""
    everything, kept = (_risk(chosen, coverage) for coverage in (1.0, SELECTIVE_COVERAGE))
    change = chosen.risk_at(SELECTIVE_COVERAGE) - chosen.risk_at(1)
    moves = f"{'lowers' if change < 0 else 'raises'} the error rate of the answers from {everything} to {kept}"
    sentence = (
        f"Ranked by {_within(chosen.title)}, which validation prefers, declining the least certain "
        f"{formats.decimal(100 * (1 - SELECTIVE_COVERAGE), 0)} % of the images "
        f"{moves if change else f'leaves the error rate of the answers at {kept}'}."
    )
    verdict: Verdict = "supported" if change < 0 else "contradicted" if change > 0 else "inconclusive"
    return Finding("selective/risk", sentence, verdict, ("selective/risk", "selective/risk-of-all"))


def _risk(uncertainty: Uncertainty, coverage: float) -> str:
    """An error rate with the interval of a proportion of the images answered."""
    answered, risk = coverage * len(uncertainty.labels), uncertainty.risk_at(coverage)
    interval = wilson(risk * answered, answered)
    return f"{formats.percent(risk)} % (95 % CI {formats.percent_interval(interval.low, interval.high)})"


@table
def trust(results: Results, findings: Findings) -> Table | None:
    """Calibration and error detection of each source of confidence."""
    trust = results.trust
    if trust is None:
        return None
    measured = trust.ood if trust.ood and trust.ood.scores else None
    rows = [
        (*_cells(trust, each), *([formats.number(trust.ood_auroc(each.name))] if measured else []))
        for each in trust.uncertainties.values()
    ]
    caption = join(
        "Calibration and error detection of each uncertainty, ± half of its 95 % interval over test images.",
        f"Single model: {results.view.title(trust.model)}, its temperature fitted on validation.",
        f"Ensemble: {results.view.title(trust.vote)}." if trust.vote else "",
        f"ECE: {BINS} bins. AUROC: of the single model's errors, the same for every row; AURC: of each row's own "
        "predictions.",
        f"OOD: AUROC of test images against {formats.count(measured.images)} of {measured.title}." if measured else "",
        averaged(results),
    )
    head: tuple[str, ...] = ("Uncertainty", "ECE, %", "NLL, nats", "Brier", "AUROC, same errors", "AURC, %")
    head += ("OOD",) if measured else ()
    return Table("trust", caption, head, tuple(rows), "l" + "r" * (len(head) - 1), dense=True)


def _cells(trust: Trust, uncertainty: Uncertainty) -> tuple[str, ...]:
    return (
        uncertainty.title,
        _margin(uncertainty.ece_estimate, 2, 100),
        _margin(estimate_of(uncertainty.losses), 3),
        formats.number(uncertainty.calibration.brier),
        _margin(estimate_of(detection(trust, uncertainty.name)), 3),
        _margin(uncertainty.aurc_estimate, 2, 100),
    )


def _margin(estimate: Estimate, digits: int, scale: float = 1.0) -> str:
    interval = estimate.interval()
    return formats.margin(scale * estimate.value, scale * (interval.high - interval.low) / 2, digits)


@figure
def confidence(results: Results, findings: Findings) -> Figure | None:
    """Calibration beside what declining the least certain images buys; None before a network is trained."""
    trust = results.trust
    if trust is None:
        return None
    caption = join(
        "How far confidence holds, and how the error rate falls when the least certain images are declined.",
        f"Left: accuracy against mean confidence of {results.view.title(trust.model)} in {BINS} bins, areas by number "
        "of images, as trained and after temperature scaling; dashed: perfect calibration. Right: error rate of the "
        "images answered; dashed: mutual information (MI).",
        averaged(results),
    )
    alt = "Accuracy against confidence before and after temperature scaling; error rate against coverage by uncertainty"
    risks = {each.title: each.risk.tolist() for each in trust.uncertainties.values()}
    data = {"images answered": list(range(1, len(next(iter(risks.values()))) + 1))} | risks
    return Figure("confidence", caption, lambda: _draw(results, trust), alt, data)


def _draw(results: Results, trust: Trust) -> Canvas:
    canvas = style.canvas(2.15)
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
    axes.scatter(100 * bins.confidence[shown], 100 * bins.accuracy[shown], areas, label=label, zorder=2, **look)


def _draw_risks(results: Results, axes: Axes, trust: Trust) -> None:
    """One curve per uncertainty, named at its right end; mutual information dashed."""
    shades = {"entropy": style.colour(results.view, trust.model), "mc-dropout": style.COLOURS[6], "ensemble": style.INK}
    ends = []
    for uncertainty in trust.uncertainties.values():
        images, name = len(uncertainty.risk), uncertainty.name
        answered = np.arange(1, images + 1)[max(1, images // POINTS) - 1 :: max(1, images // POINTS)]
        source = next((prefix for prefix in ("mc-dropout", "ensemble") if name.startswith(prefix)), "entropy")
        line = ":" if name.startswith("temperature") else "--" if name.endswith("information") else "-"
        axes.plot(100 * answered / images, 100 * uncertainty.risk[answered - 1], line, color=shades[source], lw=1.3)
        ends.append((100.0, 100 * uncertainty.risk_at(1), _short(uncertainty.title), shades[source]))
    axes.set(xlabel="Coverage, %", ylabel="Error rate, %", xlim=(0, 100))
    axes.set_ylim(bottom=0)
    style.grid(axes, "y")
    style.label_ends(axes, ends)


def _short(title: str) -> str:
    for long, short in (("Mutual information", "MI"), (" of the single model", ""), (" of the ensemble", ", ensemble")):
        title = title.replace(long, short)
    return title.replace(" under MC dropout", ", MC dropout").replace(" after temperature scaling", ", scaled")
