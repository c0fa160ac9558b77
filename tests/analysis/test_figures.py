"""Figures draw, fit the page, stay legible and keep an experiment's colour."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text

from analysis import style
from analysis.assemble import assemble
from analysis.evidence import Figure
from analysis.results import Results

NAMES = (
    "levels",
    "curves",
    "search",
    "architecture",
    "errors",
    "overlap",
    "pareto",
    "confidence",
    "gradcam",
    "samples",
)


@pytest.fixture(scope="module")
def figures(two_seeds_study: Path) -> dict[str, Figure]:
    return assemble(two_seeds_study).figures


@pytest.fixture(scope="module")
def draw(figures: dict[str, Figure]) -> Callable[[str], Canvas]:
    """Draws each once."""
    return cache(lambda name: figures[name].draw())


def shown_texts(canvas: Canvas) -> list[Text]:
    texts = canvas.findobj(Text)
    return [text for text in texts if isinstance(text, Text) and text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("name", NAMES)
def test_figure_fits_the_text_width_with_legible_text_and_no_title(draw: Callable[[str], Canvas], name: str) -> None:
    canvas = draw(name)
    assert canvas.get_figwidth() == pytest.approx(style.TEXT_WIDTH)
    assert canvas.get_figheight() < 7.5
    assert {text.get_fontsize() for text in shown_texts(canvas)} <= {8.0, 9.0}
    assert not any(axes.get_title() for axes in canvas.axes)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_leaves_the_figure(draw: Callable[[str], Canvas], name: str) -> None:
    canvas = draw(name)
    canvas.draw_without_rendering()
    drawn, (width, height) = canvas.get_tightbbox(), canvas.get_size_inches()
    assert drawn.x0 > -0.02 and drawn.y0 > -0.02  # inches
    assert drawn.x1 < width + 0.02 and drawn.y1 < height + 0.02


def test_drawing_leaves_matplotlibs_settings_alone(figures: dict[str, Figure]) -> None:
    before = {name: matplotlib.rcParams[name] for name in style.SETTINGS}
    figures["levels"].draw()
    assert {name: matplotlib.rcParams[name] for name in style.SETTINGS} == before


def test_experiment_keeps_its_colour_and_those_shown_together_differ(results: Results) -> None:
    view, ensemble = results.view, results.ensemble
    assert ensemble is not None
    shown = ["level1/head-only", *ensemble.members]
    assert len({style.colour(view, key) for key in shown}) == len(shown)
    assert style.colour(view, ensemble.best_vote) == style.INK
    assert style.colour(view, "level5/int8-static") == style.colour(view, "level5/student")


def test_accuracy_axis_is_linear_with_round_ticks() -> None:
    axes = Canvas().subplots()
    axes.plot([0, 1, 2], [81.3, 90, 97.5])
    style.round_accuracy(axes)
    assert axes.get_yscale() == "linear"
    assert {round(tick % 5, 9) for tick in axes.get_yticks()} == {0.0}


def test_characters_that_the_text_s_font_has_elsewhere_come_from_another() -> None:
    canvas = Canvas()
    axes = canvas.subplots()
    axes.set_xticks([0, 1], ["a_b", "cat"])
    style.mend(canvas)
    assert [label.get_fontfamily() == ["STIXGeneral"] for label in axes.get_xticklabels()] == [True, False]


def test_figures_are_set_in_the_fonts_of_the_text(draw: Callable[[str], Canvas]) -> None:
    assert {text.get_fontfamily()[0] for text in shown_texts(draw("levels"))} <= {"cmr10", "cmb10"}


def test_architecture_diagram_draws_each_network_of_level_3(draw: Callable[[str], Canvas]) -> None:
    written = " ".join(text.get_text() for text in shown_texts(draw("architecture")))
    assert "SE attention" in written and "Small CompactCNN" in written


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ([1.0, 5.0], [1.0, 5.0]),
        ([2.0, 2.0], [1.5, 2.5]),
        ([0.0, 0.0], [0.0, 1.0]),
        ([10.0, 9.9], [10.0, 9.0]),
    ],
)
def test_labels_are_spread_just_enough(requested: list[float], expected: list[float]) -> None:
    assert style.spread(requested, 1.0, 0.0, 10.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(0.7, 1.9, [0.7, 1.0, 1.5]), (0.002, 0.012, [0.002, 0.005, 0.01]), (0.5, 20.0, [1, 3, 10]),
     (0.001, 0.2, [0.001, 0.01, 0.1]), (0.0033, 0.0095, [0.004, 0.006, 0.008])],
)  # fmt: skip
def test_a_logarithmic_axis_has_few_round_ticks_whatever_it_spans(low: float, high: float, shown: list[float]) -> None:
    axes = style.canvas(1.0).subplots()
    axes.set_xlim(low, high)
    style.log_axis(axes)
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == pytest.approx(shown)
