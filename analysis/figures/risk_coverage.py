"""Risk-coverage curves: what refusing the least certain images buys."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import averaged, join, takeaway
from analysis.evidence import Figure, Finding
from analysis.results import Results
from analysis.section_facts import SELECTIVE_COVERAGE
from analysis.statistics.trust import Trust, Uncertainty

POINTS = 400


def build(results: Results, findings: dict[str, Finding]) -> Figure | None:
    """None before a network is trained."""
    trust = results.trust
    if trust is None:
        return None
    caption = join(
        takeaway(findings, "uncertainty/gain") or _selective(trust),
        "Error rate among the images answered against the share answered, the least certain refused first; "
        "the legend is ordered by the area under the curve (AURC, %, low is good).",
        averaged(results),
    )
    alt = "Error rate against coverage for each uncertainty score"
    return Figure("risk_coverage", caption, lambda: draw(trust), alt)


def _selective(trust: Trust) -> str:
    chosen = trust.uncertainties[trust.chosen]
    kept, everything = (formats.percent(chosen.risk_at(coverage)) for coverage in (SELECTIVE_COVERAGE, 1))
    return f"Refusing the least certain tenth leaves {kept} % errors, down from {everything} %."


def draw(trust: Trust) -> Canvas:
    """One curve per uncertainty."""
    with style.paper():
        figure = style.canvas(2.2)
        axes = figure.subplots()
        names = list(trust.uncertainties)
        for uncertainty in sorted(trust.uncertainties.values(), key=lambda u: u.aurc):
            curve = _thinned(uncertainty)
            position = names.index(uncertainty.name)
            axes.plot(
                *curve, style.LINES[position % 4], color=style.COLOURS[position % 6], lw=1.5,
                label=f"{uncertainty.title} ({formats.percent(uncertainty.aurc)})",
            )  # fmt: skip
        axes.set(xlabel="Coverage, %", ylabel="Error rate, %", xlim=(0, 100))
        axes.set_ylim(bottom=0)
        figure.legend(loc="outside right center", handlelength=2.4)
        axes.grid(axis="y")
        return figure


def _thinned(uncertainty: Uncertainty) -> tuple[list[float], list[float]]:
    """The curve at so many coverages that a vector file stays small."""
    images = len(uncertainty.risk)
    step = max(1, images // POINTS)
    coverage = np.arange(1, images + 1) / images
    return (100 * coverage[step - 1 :: step]).tolist(), (100 * uncertainty.risk[step - 1 :: step]).tolist()
