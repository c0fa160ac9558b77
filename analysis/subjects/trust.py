"""The table and the figure of trust: calibration, error detection and what declining to answer buys."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import counted, join, over
from analysis.evidence import Figure, Table, figure, table
from analysis.results import Results
from analysis.statistics.crossed import Estimate, estimate_of
from analysis.statistics.trust import Trust, Uncertainty
from analysis.subjects.uncertainty import detections, ood_detections
from study.kinds import OutOfDistribution
from study.metrics.calibration import BINS
from study.metrics.calibration import reliability as binned
from study.metrics.intervals import wilson

POINTS = 400  # coverages drawn, so that a vector file stays small
MOST = 40.0  # points², the area of a reliability diagram's fullest bin


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
        f"of images{together}, as trained (lines: 95 % Wilson intervals, by the images of one seed) and after "
        "temperature scaling; dashed: perfect calibration. Right: error "
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
    left.legend(loc="lower right", handletextpad=0.1, borderaxespad=0)
    left.set(xlabel="Confidence, %", ylabel="Accuracy, %", xlim=(0, 102), ylim=(0, 102))
    _draw_risks(results, right, trust)
    return canvas


def _draw_reliability(axes: Axes, uncertainty: Uncertainty, shade: str, label: str, filled: bool) -> None:
    bins = binned(uncertainty.pooled_probs, uncertainty.pooled_labels)
    shown = bins.count > 0
    areas = 6 + MOST * bins.count[shown] / bins.count.max()
    look: dict[str, Any] = {"facecolors": shade if filled else "white", "edgecolors": shade, "linewidths": 1.0}
    x, y = 100 * bins.confidence[shown], 100 * bins.accuracy[shown]
    axes.scatter(x, y, areas, label=label, zorder=2, clip_on=False, **look)
    if filled:
        seen = bins.count[shown] / len(uncertainty.probs)  # of one seed: all seeds share their images
        ends = [wilson(rate * images, images) for rate, images in zip(bins.accuracy[shown], seen, strict=True)]
        axes.vlines(x, *(100 * np.array([(end.low, end.high) for end in ends]).T), color=shade, lw=0.8, zorder=1)


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
