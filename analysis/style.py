"""One look for all figures: sizes for a one-column page, colours that survive colour blindness and grey."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.view import StudyView

TEXT_WIDTH = 6.3  # inches
# Okabe & Ito 2008, https://jfly.uni-koeln.de/color/; its yellow is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
ACCURACIES = (0, 50, 70, 80, 90, 95, 98, 99, 99.5)  # ticks, in percent
SMALLEST_ERROR = 0.05  # percent
LINES = ("-", "--", "-.", ":")
INK, GREY, PALE = "#222222", "#6E6E6E", "#D9D9D9"
SETTINGS: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.unicode_minus": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.color": PALE,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
}


@contextmanager
def paper() -> Iterator[None]:
    """Draw in the paper's style, leaving matplotlib's settings as they were."""
    with matplotlib.rc_context(SETTINGS):
        yield


def canvas(height: float, width: float = 1.0) -> Canvas:
    """A figure ``width`` of the text wide and ``height`` inches high, laid out without overlaps."""
    return Canvas(figsize=(TEXT_WIDTH * width, height), layout="constrained")


def colour(view: StudyView, key: str) -> str:
    """The experiment's colour, the same in every figure; neighbours in the plan differ."""
    return COLOURS[_position(view, key) % len(COLOURS)]


def _position(view: StudyView, key: str) -> int:
    return list(view.experiments).index(key) if key in view.experiments else 0


def stretch_accuracy(axes: Axes) -> None:
    """Let the y-axis (accuracy in percent) be logarithmic in the error, so that one poor model does not flatten all."""
    low, high = _height(np.array(axes.dataLim.intervaly))
    axes.set_yscale("function", functions=(_height, _accuracy))
    axes.set_ylim(*_accuracy(np.array([low, high]) + 0.08 * (high - low) * np.array([-1, 1])))
    axes.yaxis.set_major_locator(FixedLocator(ACCURACIES))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _height(accuracy: np.ndarray) -> np.ndarray:
    return -np.log(np.maximum(100 - accuracy, SMALLEST_ERROR))


def _accuracy(height: np.ndarray) -> np.ndarray:
    return 100 - np.exp(-height)


def darker(shade: str) -> str:
    """The colour dark enough for text on white."""
    red, green, blue = to_rgb(shade)
    return to_hex((0.75 * red, 0.75 * green, 0.75 * blue))


def spread(positions: list[float], gap: float, low: float, high: float) -> list[float]:
    """Label positions at least ``gap`` apart, close to those wished for, within ``low`` and ``high``.

    >>> spread([0.0, 0.1], 1.0, -5.0, 5.0)
    [-0.45, 0.55]
    """
    order = sorted(range(len(positions)), key=positions.__getitem__)
    groups: list[list[float]] = []  # [wished centre, members]
    for index in order:
        groups.append([positions[index], 1])
        while len(groups) > 1 and _touch(groups[-2], groups[-1], gap):
            (centre, members), (other, more) = groups[-2], groups[-1]
            groups[-2:] = [[(centre * members + other * more) / (members + more), members + more]]
    placed = [c + gap * (n - (m - 1) / 2) for c, m in groups for n in range(int(m))]
    shift = max(0.0, low - placed[0]) if placed else 0.0
    shift -= max(0.0, placed[-1] + shift - high) if placed else 0.0
    result = [0.0] * len(positions)
    for index, place in zip(order, placed, strict=True):
        result[index] = round(place + shift, 9)
    return result


def _touch(below: list[float], above: list[float], gap: float) -> bool:
    return above[0] - below[0] < gap * (below[1] + above[1]) / 2


def label_ends(axes: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Name lines at their right ends: (x, y, text, colour) each, moved apart where they would touch."""
    axes.autoscale_view()  # the limits that what is drawn asks for are otherwise not in force yet
    height = axes.get_position().height * axes.figure.get_figheight() * 72  # type: ignore[union-attr]
    to_axes = axes.transData + axes.transAxes.inverted()
    wished = [float(to_axes.transform((x, y))[1]) for x, y, _, _ in ends]
    places = spread(wished, 10.5 / height, 0.0, 1.0)
    for (x, _, text, shade), place in zip(ends, places, strict=True):
        axes.annotate(
            text,
            (x, place),
            xycoords=axes.get_xaxis_transform(),
            xytext=(5, 0),
            textcoords="offset points",
            color=darker(shade),
            va="center",
            annotation_clip=False,
        )
