"""Accuracy against latency and size, with the Pareto front."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from analysis import formats, style
from analysis.captions import join
from analysis.evidence import Figure, Finding
from analysis.results import Results
from analysis.statistics.deployment import pareto_front

COSTS = {"p50_ms": "Median latency at batch 1, ms", "bytes": "File size, MB"}


def build(results: Results, findings: dict[str, Finding]) -> Figure | None:
    """None before models were timed."""
    frame = results.deployment.dropna(subset=["accuracy"])
    if frame.empty:
        return None
    front = frame[pareto_front(frame, "accuracy", "p50_ms")]
    names = sorted({_name(results, row) for row in front.itertuples()})
    verb = "is" if len(names) == 1 else "are"
    caption = join(
        f"No timed model is both faster and more accurate than {formats.listing(names)}, which {verb} the "
        f"front of {formats.plural(len(frame), 'model')}.",
        "Test accuracy against median latency at batch 1 on one thread (left) and file size (right); line: "
        "Pareto front; squares: int8, open circles: float32. The accuracy axis is logarithmic in the error.",
        f"n = {formats.count(results.view.plan['dataset']['sizes']['test'])} test images; bars: 95 % "
        "intervals of accuracy.",
    )
    alt = "Test accuracy against latency and file size of every timed model, with the Pareto front"
    return Figure("pareto", caption, lambda: draw(results, frame), alt)


def _name(results: Results, row: object) -> str:
    title, precision = results.view.title(row.model), row.precision  # type: ignore[attr-defined]
    return title if precision == "float32" or precision in title else f"{title}, {precision}"


def draw(results: Results, frame: pd.DataFrame) -> Canvas:
    """Two panels that share the accuracy axis; models named at the right."""
    with style.paper():
        figure = style.canvas(2.2)
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (cost, label) in zip(panels, COSTS.items(), strict=True):
            _draw_panel(axes, results, frame, cost)
            axes.set_xlabel(label)
        panels[0].set_ylabel("Test accuracy, %")
        style.stretch_accuracy(panels[0])
        _name_models(panels[1], results, frame)
        return figure


def _shades(frame: pd.DataFrame) -> dict[object, str]:
    """A colour per model by its row: those shared by all figures may come twice among so few."""
    return {row: style.COLOURS[place % len(style.COLOURS)] for place, row in enumerate(frame.index)}


def _draw_panel(axes: Axes, results: Results, frame: pd.DataFrame, cost: str) -> None:
    scale, shades = 1e-6 if cost == "bytes" else 1.0, _shades(frame)
    front = frame[pareto_front(frame, "accuracy", cost)].sort_values(cost)
    axes.plot(
        scale * front[cost],
        100 * front["accuracy"],
        color=style.PALE,
        lw=2.5,
        zorder=0,
        drawstyle="steps-post",
    )
    for row in frame.itertuples():
        accuracy = results.accuracies[row.evaluated]
        spread = [[100 * (accuracy.mean - accuracy.low)], [100 * (accuracy.high - accuracy.mean)]]
        int8 = row.precision == "int8"
        axes.errorbar(
            scale * getattr(row, cost),
            100 * row.accuracy,
            spread,
            fmt="s" if int8 else "o",
            color=shades[row.Index],
            ms=5.0 if int8 else 7.5,
            mfc=shades[row.Index] if int8 else "none",
            elinewidth=0.8,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.12)
    axes.grid(axis="y")
    axes.set_axisbelow(True)


def _name_models(axes: Axes, results: Results, frame: pd.DataFrame) -> None:
    right, shades = axes.get_xlim()[1], _shades(frame)
    ends = [(right, 100 * row.accuracy, _name(results, row), shades[row.Index]) for row in frame.itertuples()]
    style.label_ends(axes, ends)
