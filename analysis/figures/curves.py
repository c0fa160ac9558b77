"""Learning curves of the level 1 networks."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from analysis import formats, style
from analysis.captions import join, takeaway
from analysis.evidence import Figure, Finding
from analysis.results import Results

LEVEL = 1


def build(results: Results, findings: dict[str, Finding]) -> Figure | None:
    """Loss and accuracy over epochs; None before a level 1 network is trained."""
    keys = [planned.key for planned in results.view.at(LEVEL, "Training", "Search")]
    keys = [key for key in keys if not results.view.runs_of(key)[0].epochs.empty]
    if not keys:
        return None
    seeds = max(len(results.view.runs_of(key)) for key in keys)
    monitored = max(int(run.metrics["monitored_images"]) for key in keys for run in results.view.runs_of(key))
    caption = join(
        takeaway(findings, "summary/level1", "pass-mark/level1"),
        f"Loss (left) and accuracy (right) over epochs on {formats.plural(monitored, 'validation image')} (solid) and "
        "on training images as augmented (dashed).",
        f"Thin lines are single runs, n = {formats.plural(seeds, 'seed')} each.",
    )
    alt = "Training and validation loss and accuracy over epochs of the level 1 networks"
    return Figure("curves", caption, lambda: draw(results, keys), alt)


def draw(results: Results, keys: list[str]) -> Canvas:
    """Two panels over the epochs."""
    with style.paper():
        figure = style.canvas(1.9)
        panels = figure.subplots(1, 2)
        for axes, column, name, scale in zip(
            panels, ("loss", "accuracy"), ("Loss", "Accuracy, %"), (1, 100), strict=True
        ):
            for key in keys:
                _draw_runs(axes, results, key, column, scale)
            axes.set(xlabel="Epoch", ylabel=name)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(axis="y")
        _label(panels[1], results, keys)
        return figure


def _draw_runs(axes: Axes, results: Results, key: str, column: str, scale: int) -> None:
    shade = style.colour(results.view, key)
    for run in results.view.runs_of(key):
        for split, line, opacity in (("validation", "-", 1.0), ("train", "--", 0.6)):
            values = scale * run.epochs[f"{split}_{column}"]
            axes.plot(
                run.epochs["epoch"],
                values,
                line,
                color=shade,
                alpha=opacity,
                lw=1.3 if split == "validation" else 0.9,
            )


def _label(axes: Axes, results: Results, keys: list[str]) -> None:
    ends = []
    for key in keys:
        last = results.view.runs_of(key)[0].epochs.iloc[-1]
        shade = style.colour(results.view, key)
        ends.append((last["epoch"], 100 * last["validation_accuracy"], results.view.title(key), shade))
    style.label_ends(axes, ends)
