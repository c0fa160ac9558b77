"""Forest plot: every comparison with its control, level by level."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats
from analysis.captions import difference_interval, join
from analysis.evidence import Figure, Finding, Verdict
from analysis.figures import style
from analysis.findings import summary_finding, verdict_of
from analysis.results import Judged, Results

ROW = 0.2  # inches
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
        "Difference in test accuracy from the control (in brackets), with its 95 % interval; grey "
        "band: differences "
        "below the detectable effect at power 0.8. Filled: adjusted p below 0.05; open: no "
        "difference detected.",
        f"n = {formats.count(judged[0].comparison.images)} test images, "
        f"{formats.plural(judged[0].comparison.seeds, 'seed')}.",
        difference_interval(results),
    )
    alt = "Differences in accuracy with intervals of every experiment from its control"
    return Figure("forest", caption, lambda: draw(results, judged), alt)


def draw(results: Results, judged: list[Judged]) -> Canvas:
    """One row per comparison, grouped by level."""
    with style.paper():
        rows = _rows(results, judged)
        figure = style.canvas(0.55 + ROW * (rows[-1][0] + 1))
        axes = figure.subplots()
        for position, each in rows:
            _draw_row(axes, position, each)
        axes.axvline(0, color=style.GREY, lw=0.8, zorder=0)
        axes.set_yticks([position for position, _ in rows], [_name(results, each) for _, each in rows])
        axes.set_ylim(rows[-1][0] + 0.7, -0.7)
        axes.set_xlabel("Difference in test accuracy, points")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        axes.set_axisbelow(True)
        _write_numbers(axes, rows)
        return figure


def _rows(results: Results, judged: list[Judged]) -> list[tuple[float, Judged]]:
    """Vertical positions, with a gap between levels."""
    rows: list[tuple[float, Judged]] = []
    position, before = 0.0, None
    for each in judged:
        level = results.view.experiments[each.key].level
        position += 0.0 if before is None else 1.0 if level == before else 1.6
        before = level
        rows.append((position, each))
    return rows


def _name(results: Results, judged: Judged) -> str:
    title = results.view.title
    return f"{results.view.experiments[judged.key].level}  {title(judged.key)} [{title(judged.control)}]"


def _draw_row(axes: Axes, position: float, judged: Judged) -> None:
    c = judged.comparison
    fill = FILLS[verdict_of(c, judged.p, judged.retrained)]
    edge = style.INK if fill == "white" else fill
    seen = 100 * c.detectable
    axes.barh(position, 2 * seen, left=-seen, height=0.75, color="#EFEFEF", zorder=0)
    axes.plot([100 * c.low, 100 * c.high], [position] * 2, color=edge, lw=1.2, solid_capstyle="butt")
    axes.plot(100 * c.difference, position, "o", mfc=fill, mec=edge, mew=1.0, ms=5)


def _write_numbers(axes: Axes, rows: list[tuple[float, Judged]]) -> None:
    for position, judged in rows:
        text = f"{formats.points(judged.comparison.difference)}  ({formats.p_phrase(judged.p)})"
        axes.annotate(
            text,
            (1.01, position),
            xycoords=("axes fraction", "data"),
            va="center",
            ha="left",
            annotation_clip=False,
        )
