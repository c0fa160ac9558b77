"""Hyper-parameter search: every trial over each parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import NullLocator

from analysis import formats, style
from analysis.captions import join, takeaway
from analysis.evidence import Figure, Finding
from analysis.results import Results

Trial = dict[str, Any]
NAMES = {
    "learning_rate": "Learning rate",
    "weight_decay": "Weight decay",
    "label_smoothing": "Label smoothing",
}
LOGARITHMIC = {"learning_rate", "weight_decay"}


def build(results: Results, findings: dict[str, Finding]) -> Figure | None:
    """The first search that has a run; None before."""
    searches = results.view.of_kind("Search")
    if not searches:
        return None
    key = searches[0].key
    run, trials = results.view.runs_of(key)[0], results.view.trials(key)
    pruned = sum(trial["state"] != "COMPLETE" for trial in trials)
    caption = join(
        takeaway(findings, f"difference/{key}"),
        f"Validation accuracy of the search's {formats.plural(len(trials), 'trial')} over each parameter; "
        f"crosses: {formats.count(pruned)} stopped early, shown at their last accuracy; filled: the trial "
        "chosen.",
        "One search; it covers no variation between searches.",
    )
    alt = "Validation accuracy of each search trial against learning rate, weight decay and label smoothing"
    return Figure("search", caption, lambda: draw(trials, run.metrics["best_trial"]), alt)


def draw(trials: list[Trial], best: int) -> Canvas:
    """One panel per searched parameter, on one accuracy axis."""
    with style.paper():
        names = sorted(trials[0]["params"], key=[*NAMES, *trials[0]["params"]].index)
        figure = style.canvas(1.8)
        panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, names, strict=True):
            _draw_panel(axes, trials, name, best)
        panels[0].set_ylabel("Validation accuracy, %")
        return figure


def _draw_panel(axes: Axes, trials: list[Trial], name: str, best: int) -> None:
    scored = [trial for trial in trials if trial["value"] is not None]
    done = [trial for trial in scored if trial["state"] == "COMPLETE"]
    stopped = [trial for trial in scored if trial["state"] != "COMPLETE"]
    chosen = [trial for trial in scored if trial["number"] == best]
    looks: list[tuple[list[Trial], dict[str, Any]]] = [
        (stopped, {"marker": "x", "c": style.GREY, "s": 18, "linewidths": 0.9}),
        (
            done,
            {
                "marker": "o",
                "facecolors": "white",
                "edgecolors": style.COLOURS[0],
                "s": 24,
                "linewidths": 1.0,
            },
        ),
        (chosen, {"marker": "o", "c": style.COLOURS[0], "s": 36}),
    ]
    for group, look in looks:
        axes.scatter([t["params"][name] for t in group], [100 * t["value"] for t in group], **look)
    if name in LOGARITHMIC:
        axes.set_xscale("log")
        axes.set_xticks(np.geomspace(*axes.get_xlim(), 5)[1::2])
        axes.xaxis.set_major_formatter("{x:.2g}")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(NAMES.get(name, name.replace("_", " ").capitalize()))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
