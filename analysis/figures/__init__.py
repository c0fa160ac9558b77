"""The paper's figures, one module per subject; ``builders`` lists them all."""

from __future__ import annotations

from collections.abc import Callable

from analysis.evidence import Figure, Finding
from analysis.results import Results

Builder = Callable[[Results, dict[str, Finding]], Figure | None]


def builders() -> dict[str, Builder]:
    """Every figure of the paper by name; a builder returns None while its runs are pending."""
    from analysis.figures import (
        architecture,
        confusion,
        curves,
        forest,
        levels,
        overlap,
        pareto,
        reliability,
        risk_coverage,
        search,
    )

    return {
        "levels": levels.build,
        "curves": curves.build,
        "forest": forest.build,
        "search": search.build,
        "architecture": architecture.build,
        "confusion": confusion.build,
        "overlap": overlap.build,
        "pareto": pareto.build,
        "reliability": reliability.build,
        "risk_coverage": risk_coverage.build,
    }
