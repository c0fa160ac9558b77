"""Diagrams of the level 3 networks, drawn from what their runs recorded of them."""

from __future__ import annotations

from typing import TypeAlias

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import FancyBboxPatch

from analysis import formats, style
from analysis.captions import join
from analysis.evidence import Figure, figure
from analysis.results import Results
from study.experiment import network_name
from study.records import Run

LEVEL = 3
ROW = 0.74  # inches
SHADES = {"image": "#FFFFFF", "linear": "#FBE9DD", "attention": "#DDF0E8"}
SHADES |= dict.fromkeys(("mean", "dropout"), "#F2F2F2")
BACKBONE = "#E3EEF6"
Block: TypeAlias = tuple[str, str]  # name, and what leaves it


@figure
def architecture(results: Results) -> Figure | None:
    """The networks that level 3 has trained so far; None before the first."""
    shown = distinct(results)
    if not shown:
        return None
    names = list(shown)
    caption = join(
        f"The {formats.plural(len(shown), 'network')} of level 3.",
        "Every box gives what leaves it (channels × height × width) and its parameters.",
    )
    alt = f"Block diagrams of {', '.join(names)}"
    return Figure("architecture", caption, lambda: _draw(shown), alt)


def distinct(results: Results) -> dict[str, list[Block]]:
    """Level 3 networks that differ in backbone or attention, by title: the first experiment with each."""
    view = results.view
    found: dict[tuple[str, str], Run] = {}
    for experiment in view.trained:
        if experiment.level == LEVEL:
            run = view.runs_of(experiment.key)[0]
            found.setdefault((run.trained.architecture.backbone, run.trained.architecture.attention), run)
    attended = {backbone for backbone, attention in found if attention}
    shown = [run for (backbone, attention), run in found.items() if attention or backbone not in attended]
    return {
        view.title(run.key): [(network_name(name), details(*rest)) for name, *rest in run.metrics["blocks"]]
        for run in shown
    }


def details(shape: list[int], parameters: int) -> str:
    """The shape (C, H, W) or (C,) that leaves a block, and its parameters if it has any, on a line each."""
    return "\n".join(["×".join(map(str, shape)), *([formats.quantity(parameters)] if parameters else [])])


def _draw(shown: dict[str, list[Block]]) -> Canvas:
    """One row of boxes per network."""
    canvas = style.canvas(ROW * len(shown))
    arrow = {"arrowstyle": "-|>", "color": style.GREY, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
    panels = canvas.subplots(len(shown), 1, squeeze=False)[:, 0]
    for axes, (title, blocks) in zip(panels, shown.items(), strict=True):
        axes.set(xlim=(0, style.TEXT_WIDTH), ylim=(0, ROW))
        axes.axis("off")
        axes.text(0.02, ROW - 0.02, title, va="top", ha="left", **style.BOLD)
        widths = [max(0.5, 0.13 + 0.072 * max(map(len, (name, *told.split("\n"))))) for name, told in blocks]
        left_over = style.TEXT_WIDTH - 0.06 - sum(widths)
        gap = min(0.3, left_over / max(1, len(blocks) - 1))
        widths = [width + (left_over - gap * (len(blocks) - 1)) / len(blocks) for width in widths]
        left = 0.03
        for block, width in zip(blocks, widths, strict=True):
            _draw_box(axes, block, left, width)
            if block is not blocks[-1]:
                axes.annotate("", xy=(left + width + gap, 0.3), xytext=(left + width, 0.3), arrowprops=arrow)
            left += width + gap
    return canvas


def _draw_box(axes: Axes, block: Block, left: float, width: float) -> None:
    (name, told), corners = block, "round,pad=0,rounding_size=0.05"
    shade = next((shade for word, shade in SHADES.items() if word in name), BACKBONE)
    axes.add_patch(FancyBboxPatch((left, 0.04), width, 0.52, boxstyle=corners, fc=shade, ec=style.GREY, lw=0.7))
    axes.text(left + width / 2, 0.45, name, ha="center", va="center")
    axes.text(left + width / 2, 0.21, told, ha="center", va="center", color=style.GREY, linespacing=1.25)
