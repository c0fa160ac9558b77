"""Accuracy per level: the selected models with intervals, all experiments, pass marks, references."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import accuracy_interval, join, progress_sentence
from analysis.evidence import Figure, Finding
from analysis.results import Results


def build(results: Results, findings: dict[str, Finding]) -> Figure | None:
    """Figure 1 of the paper; None before the first run."""
    if not results.best:
        return None
    caption = join(
        progress_sentence(results),
        "Filled: per level the model selected on validation, with its interval; small: the level's other "
        "experiments; bar: the challenge's pass mark; open diamond: the published reference figure. The axis is "
        "logarithmic in the error.",
        accuracy_interval(results),
    )
    alt = "Test accuracy in percent against level 1 to 5, with intervals, pass marks and reference figures"
    return Figure("levels", caption, lambda: draw(results), alt)


def draw(results: Results) -> Canvas:
    """Accuracy in percent over the levels."""
    with style.paper():
        figure = style.canvas(2.2)
        axes = figure.subplots()
        for level in results.view.levels:
            _draw_level(axes, results, level)
        axes.set(xlabel="Level", ylabel="Test accuracy, %", xticks=results.view.levels)
        axes.set_xlim(min(results.view.levels) - 0.5, max(results.view.levels) + 0.75)
        style.stretch_accuracy(axes)
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        _name_marks(axes, results)
        return figure


def _draw_level(axes: Axes, results: Results, level: int) -> None:
    key, plan = results.best.get(level), results.view.plan
    others = [p.key for p in results.view.at(level) if p.key in results.accuracies and p.key != key]
    heights = [100 * results.accuracies[other].mean for other in others]
    axes.plot([level - 0.28] * len(heights), heights, "o", color=style.GREY, alpha=0.55, ms=3, mew=0)
    mark, reference = plan["pass_marks"].get(str(level)), plan["reference"].get(str(level))
    if mark is not None:
        axes.hlines(100 * mark, level - 0.4, level + 0.4, color=style.COLOURS[1], lw=1.6)
    if reference:
        axes.plot(level + 0.28, 100 * reference["accuracy"], "D", mfc="white", mec=style.INK, mew=0.9)
    if key:
        _draw_selected(axes, results, level, key)


def _draw_selected(axes: Axes, results: Results, level: int, key: str) -> None:
    accuracy = results.accuracies[key]
    below, above = 100 * (accuracy.mean - accuracy.low), 100 * (accuracy.high - accuracy.mean)
    axes.errorbar(
        level,
        100 * accuracy.mean,
        [[below], [above]],
        fmt="o",
        color=style.COLOURS[0],
        ms=6,
        capsize=2.5,
        zorder=3,
    )
    text = formats.percent(accuracy.mean)
    axes.annotate(
        text, (level, 100 * accuracy.high), xytext=(0, 3), textcoords="offset points", color=style.COLOURS[0],
        ha="center", va="bottom",
    )  # fmt: skip


def _name_marks(axes: Axes, results: Results) -> None:
    """Name the pass marks below the first one and the references beside the last one."""
    marks, references = results.view.plan["pass_marks"], results.view.plan["reference"]
    if marks:
        first = min(marks, key=int)
        below: dict[str, Any] = {
            "xytext": (0, -3),
            "textcoords": "offset points",
            "ha": "center",
            "va": "top",
        }
        axes.annotate("pass mark", (int(first), 100 * marks[first]), color=style.COLOURS[1], **below)
    if references:
        last = max(references, key=int)
        place = (int(last) + 0.38, 100 * references[last]["accuracy"])
        axes.annotate("reference", place, va="center", ha="left", annotation_clip=False)
