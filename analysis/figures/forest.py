"""Forest plot: every comparison with its control, level by level."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import difference_interval, join
from analysis.evidence import Figure, Finding, Verdict
from analysis.findings import summary_finding, verdict_of
from analysis.results import Judged, Results

ROW = 0.17  # inches
LINE = 38  # characters
FILLS: dict[Verdict, str] = {
    "supported": style.COLOURS[0],
    "contradicted": style.COLOURS[1],
    "inconclusive": "white",
}


def build(results: Results, findings: dict[str, Finding]) -> Figure | None:
    """All comparisons with a control; None while there is none."""
    judged = list(results.judged.values())
    if not judged:
        return None
    titles = [results.view.title(each.key) for each in judged]
    caption = join(
        summary_finding("all", judged, titles).sentence,
        "Difference in test accuracy from the control (in brackets), with its 95 % interval; grey band: "
        "differences below the detectable effect at power 0.8; left: the level. Filled: higher (blue) or lower "
        "(orange) than the control, adjusted p below 0.05; open: no difference detected.",
        f"n = {formats.count(judged[0].comparison.images)} test images, "
        f"{formats.plural(judged[0].comparison.seeds, 'seed')}.",
        difference_interval(results),
    )
    alt = "Differences in accuracy with intervals of every experiment from its control"
    return Figure("forest", caption, lambda: draw(results, judged), alt)


def draw(results: Results, judged: list[Judged]) -> Canvas:
    """One row per comparison, grouped by level."""
    with style.paper():
        names = [_name(results, each) for each in judged]
        positions = _positions([results.view.experiments[each.key].level for each in judged], names)
        figure = style.canvas(0.55 + ROW * (positions[-1] + 1))
        axes = figure.subplots()
        for position, each in zip(positions, judged, strict=True):
            _draw_row(axes, position, each)
        axes.axvline(0, color=style.GREY, lw=0.8, zorder=0)
        axes.set_yticks(positions, names)
        axes.set_ylim(positions[-1] + 1, -0.8)
        axes.set_xlabel("Difference in test accuracy, points")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        return figure


def _positions(levels: list[int], names: list[str]) -> list[float]:
    """Vertical positions in lines of text, with a gap between levels."""
    tall = [name.count("\n") + 1 for name in names]
    positions = [0.0]
    for i in range(1, len(levels)):
        positions.append(positions[-1] + (tall[i - 1] + tall[i]) / 2 + (0.6 if levels[i] != levels[i - 1] else 0.1))
    return positions


def _name(results: Results, judged: Judged) -> str:
    """Level, experiment and control, on two lines where one would crowd the plot."""
    title = results.view.title
    treated = f"{results.view.experiments[judged.key].level}  {title(judged.key)}"
    control = f"[{title(judged.control)}]"
    return f"{treated} {control}" if len(treated + control) < LINE else f"{treated}\n{control}"


def _draw_row(axes: Axes, position: float, judged: Judged) -> None:
    c = judged.comparison
    fill = FILLS[verdict_of(c, judged.p, judged.retrained)]
    edge = style.INK if fill == "white" else fill
    seen = 100 * c.detectable
    axes.barh(position, 2 * seen, left=-seen, height=0.75, color="#EFEFEF", zorder=0)
    axes.plot([100 * c.low, 100 * c.high], [position] * 2, color=edge, lw=1.2, solid_capstyle="butt")
    axes.plot(100 * c.difference, position, "o", mfc=fill, mec=edge, mew=1.0, ms=5)
    text = f"{formats.points(c.difference)}  ({formats.p_phrase(judged.p)})"
    right: dict[str, Any] = {
        "xycoords": axes.get_yaxis_transform(),
        "va": "center",
        "ha": "left",
        "annotation_clip": False,
    }
    axes.annotate(text, (1.01, position), **right)
