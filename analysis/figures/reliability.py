"""Reliability diagrams before and after temperature scaling."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import join, pooled, takeaway
from analysis.evidence import Figure, Finding
from analysis.results import Results
from analysis.statistics.calibration import BINS, reliability
from analysis.statistics.trust import Trust, Uncertainty


def build(results: Results, findings: dict[str, Finding]) -> Figure | None:
    """None before a network is trained."""
    trust = results.trust
    if trust is None:
        return None
    caption = join(
        takeaway(findings, "calibration/temperature"),
        f"Accuracy against mean confidence of {results.view.title(trust.model)} in {BINS} bins (top), on the "
        "diagonal where confidence can be believed, and the share of images per bin (bottom).",
        pooled(results),
    )
    alt = f"Accuracy against confidence in {BINS} bins before and after temperature scaling, with histograms"
    return Figure("reliability", caption, lambda: draw(trust), alt)


def draw(trust: Trust) -> Canvas:
    """Before at the left, after at the right, histograms below."""
    with style.paper():
        figure = style.canvas(2.4)
        grid = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=[3, 1])
        titles = ("As trained", f"T = {formats.decimal(trust.temperature)}")
        for column, (uncertainty, title) in enumerate(zip((trust.before, trust.after), titles, strict=True)):
            _draw_diagram(grid[0, column], grid[1, column], uncertainty, title)
        grid[0, 0].set_ylabel("Accuracy, %")
        grid[1, 0].set_ylabel("Images, %")
        return figure


def _draw_diagram(upper: Axes, lower: Axes, uncertainty: Uncertainty, title: str) -> None:
    bins = reliability(uncertainty.pooled_probs, uncertainty.pooled_labels)
    filled = bins[bins["count"] > 0]
    width = 100 * (bins["high"] - bins["low"]).iloc[0]
    confidence, accuracy = 100 * filled["confidence"], 100 * filled["accuracy"]
    upper.plot([0, 100], [0, 100], "--", color=style.GREY, lw=0.9)
    upper.vlines(confidence, confidence, accuracy, color=style.COLOURS[1], lw=2.2, alpha=0.55)
    upper.plot(confidence, accuracy, "o", color=style.COLOURS[0])
    text = f"{title}\nECE {formats.percent(uncertainty.calibration.ece)} %"
    upper.text(3, 97, text, va="top", ha="left")
    upper.set(xlim=(0, 100), ylim=(0, 103))
    lower.bar(
        100 * bins["low"],
        100 * bins["count"] / bins["count"].sum(),
        width=0.9 * width,
        align="edge",
        color=style.GREY,
    )
    lower.set_xlabel("Confidence, %")
