"""Error overlap of the ensemble's members, drawn as in UpSet (Lex et al. 2014)."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import join, one_seed
from analysis.evidence import Figure, Finding
from analysis.results import Results
from analysis.statistics.ensemble import Ensemble

SHOWN = 16


def build(results: Results, findings: dict[str, Finding]) -> Figure | None:
    """None before the ensemble's members and a vote have run, or when nobody errs."""
    ensemble = results.ensemble
    if ensemble is None or ensemble.overlap.empty:
        return None
    overlap = ensemble.overlap
    hidden = len(overlap) - SHOWN
    caption = join(
        _takeaway(ensemble),
        "Bars: test images that exactly the members with a dot below have wrong; left: each member's errors.",
        f"The {hidden} rarest combinations are left out." if hidden > 0 else "",
        f"n = {formats.count(results.view.plan['dataset']['sizes']['test'])} test images.",
        one_seed(results, ensemble.seed),
    )
    alt = "Numbers of test images by which combination of ensemble members classifies them wrongly"
    return Figure("overlap", caption, lambda: draw(results, ensemble), alt)


def _takeaway(ensemble: Ensemble) -> str:
    total = formats.plural(int(ensemble.overlap.sum()), "image")
    shared = sum(count for names, count in _items(ensemble.overlap) if len(names) == len(ensemble.members))
    mended = formats.plural(ensemble.fixed, "error")
    return (
        f"Of {total} that any member has wrong, all members have {formats.count(shared)} wrong; the "
        f"ensemble mends {mended} of its best member and adds {formats.count(ensemble.broken)}."
    )


def _items(overlap: pd.Series) -> list[tuple[tuple[str, ...], int]]:
    return list(zip(overlap.index, overlap.to_list(), strict=True))


def draw(results: Results, ensemble: Ensemble) -> Canvas:
    """Bars above a matrix of dots, members' totals at the left."""
    with style.paper():
        members = list(ensemble.members)
        overlap = ensemble.overlap
        top = overlap.iloc[:SHOWN]
        figure = style.canvas(1.5 + 0.21 * len(members))
        grid = figure.subplots(
            2, 2, width_ratios=[1, 3.2], height_ratios=[1.5, 0.21 * len(members)], sharex="col", sharey="row"
        )
        grid[0, 0].axis("off")
        _draw_bars(grid[0, 1], top)
        _draw_dots(grid[1, 1], results, members, top)
        _draw_totals(grid[1, 0], results, members, overlap)
        return figure


def _draw_bars(axes: Axes, top: pd.Series) -> None:
    bars = axes.bar(range(len(top)), top.to_numpy(), width=0.62, color=style.GREY)
    axes.bar_label(bars, padding=1.5, fontsize=8)
    axes.set_ylabel("Images")
    axes.tick_params(axis="both", length=0, labelbottom=False, labelleft=True)
    axes.margins(y=0.14)


def _draw_dots(axes: Axes, results: Results, members: list[str], top: pd.Series) -> None:
    for column, names in enumerate(top.index):
        rows = [members.index(name) for name in names]
        axes.scatter([column] * len(members), range(len(members)), s=22, color=style.PALE, zorder=1, linewidths=0)
        axes.plot([column] * 2, [min(rows), max(rows)], color=style.INK, lw=1.2, zorder=2)
        for row in rows:
            shade = style.colour(results.view, members[row])
            axes.scatter([column], [row], s=26, color=shade, zorder=3, linewidths=0)
    axes.set_ylim(len(members) - 0.5, -0.5)
    axes.tick_params(length=0, labelbottom=False, labelleft=False)
    axes.spines[:].set_visible(False)


def _draw_totals(axes: Axes, results: Results, members: list[str], overlap: pd.Series) -> None:
    totals = [sum(count for names, count in _items(overlap) if member in names) for member in members]
    shades = [style.colour(results.view, member) for member in members]
    bars = axes.barh(range(len(members)), totals, height=0.62, color=shades)
    axes.bar_label(bars, padding=2, fontsize=8)
    axes.set_yticks(range(len(members)), [results.view.title(member) for member in members])
    axes.tick_params(length=0, labelbottom=False, labelleft=True)
    axes.margins(x=0.3)
    axes.spines[["bottom", "left"]].set_visible(False)
