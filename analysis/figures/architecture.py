"""Diagrams of the level 3 networks, drawn from the networks themselves."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import FancyBboxPatch

from analysis import formats, style
from analysis.captions import join
from analysis.evidence import Figure, Finding
from analysis.network_shapes import Block, blocks_of
from analysis.results import Results
from analysis.view import Planned

ROW = 0.95  # inches
SHADES = {
    "image": "#FFFFFF",
    "linear": "#FBE9DD",
    "mean": "#F2F2F2",
    "maximum": "#F2F2F2",
    "dropout": "#F2F2F2",
    "attention": "#DDF0E8",
}


def build(results: Results, findings: dict[str, Finding]) -> Figure | None:
    """Planned networks suffice, so it is there from the start; None when level 3 has none of its own."""
    shown = _distinct(results)
    if not shown:
        return None
    names = [planned.title for planned in shown]
    caption = join(
        f"Level 3 trains {formats.plural(len(shown), 'network')} of its own: {'; '.join(names)}.",
        "Every box gives what leaves it (channels × height × width) and its number of trainable "
        "parameters, read from the network.",
    )
    alt = f"Block diagrams of {', '.join(names)}"
    return Figure("architecture", caption, lambda: draw(results, shown), alt)


def _distinct(results: Results) -> list[Planned]:
    """Level 3 networks that differ in backbone or attention: the first experiment with each."""
    found: dict[tuple[str, str], Planned] = {}
    for planned in results.view.experiments.values():
        if planned.level == 3 and planned.trained:
            architecture = planned.training["architecture"]
            found.setdefault((architecture["backbone"], architecture["attention"]), planned)
    attended = {backbone for backbone, attention in found if attention}
    return [p for (backbone, attention), p in found.items() if attention or backbone not in attended]


def draw(results: Results, shown: list[Planned]) -> Canvas:
    """One row of boxes per network."""
    with style.paper():
        figure = style.canvas(ROW * len(shown))
        panels = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
        for axes, planned in zip(panels, shown, strict=True):
            training = planned.training
            size = training["recipe"]["stages"][-1]["image_size"]
            blocks = blocks_of(training["architecture"], size, len(results.view.classes))
            _draw_row(axes, planned.title, blocks)
        return figure


def _draw_row(axes: Axes, title: str, blocks: list[Block]) -> None:
    axes.set(xlim=(0, style.TEXT_WIDTH), ylim=(0, ROW))
    axes.axis("off")
    axes.text(0.02, ROW - 0.02, title, va="top", ha="left", weight="bold")
    widths = [max(0.5, 0.13 + 0.072 * max(map(len, (b.name, *b.details.split("\n"))))) for b in blocks]
    gap = min(0.3, (style.TEXT_WIDTH - 0.06 - sum(widths)) / max(1, len(blocks) - 1))
    left = 0.03
    for block, width in zip(blocks, widths, strict=True):
        _draw_box(axes, block, left, width)
        if block is not blocks[-1]:
            arrow = {"arrowstyle": "-|>", "color": style.GREY, "lw": 0.8, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", xy=(left + width + gap, 0.36), xytext=(left + width, 0.36), arrowprops=arrow)
        left += width + gap


def _draw_box(axes: Axes, block: Block, left: float, width: float) -> None:
    shade = next((shade for word, shade in SHADES.items() if word in block.name), "#E3EEF6")
    box = FancyBboxPatch(
        (left, 0.06), width, 0.6, boxstyle="round,pad=0,rounding_size=0.05", fc=shade, ec=style.GREY, lw=0.7
    )
    axes.add_patch(box)
    axes.text(left + width / 2, 0.54, block.name, ha="center", va="center")
    axes.text(left + width / 2, 0.27, block.details, ha="center", va="center", color=style.GREY, linespacing=1.25)
