"""One look for all figures: sizes for a one-column page, colours that survive colour blindness and grey."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from analysis import fonts
from analysis.statistics.comparison import Accuracy
from analysis.view import StudyView
from study.kinds import Quantization, Vote

TEXT_WIDTH = 6.3  # inches
# Okabe & Ito 2008, https://jfly.uni-koeln.de/color/; its yellow is too pale for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B")
LABEL = 26  # characters of a class's name
LINES = ("-", "--", "-.", ":")
# The text's Computer Modern; what that font lacks, such as the minus sign, comes from STIX.
TEXT = ("cmr10", "STIXGeneral")
BOLD: Any = {"family": ["cmb10", "STIXGeneral"]}
MISPLACED = set('"<>\\^_`{|}~')  # of ASCII, in cmr10
LEAD = 0.06  # from the end of a line to its name, as a fraction of the panel
INK, GREY, PALE = "#222222", "#6E6E6E", "#D9D9D9"
HALO: list[AbstractPathEffect] = [withStroke(linewidth=2, foreground="white")]  # behind names that lines may cross
SETTINGS: Any = {
    "axes.formatter.use_mathtext": True,  # which only silences a warning: no axis here has an offset
    "font.size": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
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
def paper(families: Sequence[str] = ()) -> Iterator[None]:
    """Draw in the paper's style, leaving matplotlib's settings as they were; ``families`` have what its font lacks."""
    with matplotlib.rc_context(SETTINGS | {"font.family": [*TEXT, fonts.BASE, *families]}):
        yield


def mend(drawn: Canvas) -> Canvas:
    """Set in STIX the labels with characters where Computer Modern's old encoding has others, such as in a_b."""
    for text in drawn.findobj(Text):
        if isinstance(text, Text) and MISPLACED & set(text.get_text()):
            text.set_fontfamily("STIXGeneral")
    return drawn


def canvas(height: float) -> Canvas:
    """A figure as wide as the text and ``height`` inches high, laid out without overlaps."""
    return Canvas(figsize=(TEXT_WIDTH, height), layout="constrained")


def colour(view: StudyView, key: str) -> str:
    """The experiment's colour, the same in every figure: votes in ink, a quantised network as its source.

    Networks that figures tell apart come first, so that their colours differ: level 1's, those that vote and those
    that are timed.
    """
    experiment = view.experiments.get(key)
    if isinstance(experiment, Vote):
        return INK
    if isinstance(experiment, Quantization):
        return colour(view, experiment.source)
    shown = [key for key, each in view.experiments.items() if each.level == 1 and each.trained]
    shown += [member for vote in view.planned(Vote) for member in vote.members]
    shown += [int8.source for int8 in view.planned(Quantization)]
    order = list(dict.fromkeys([*shown, *view.experiments]))
    return COLOURS[order.index(key) % len(COLOURS)] if key in order else GREY


def round_accuracy(axes: Axes) -> None:
    """A linear y-axis of accuracy in percent, with few round ticks and room at both ends."""
    axes.margins(y=0.1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter("{x:g}")


def log_axis(axes: Axes) -> None:
    """A logarithmic x-axis with at least three round ticks, if not too narrow for any, and hardly more."""
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    digits: tuple[tuple[float, ...], ...] = ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 6, 8), (1, 1.5, 2, 3, 5, 7))
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [
        [tick for power in powers for digit in each if low <= (tick := digit * 10.0**power) <= high] for each in digits
    ]
    axes.xaxis.set_major_locator(FixedLocator(next((each for each in ticks if len(each) >= 3), ticks[-1])))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(NullLocator())


def error_bar(accuracy: Accuracy) -> list[list[float]]:
    """How far the interval of an accuracy reaches below and above it, in percent, as matplotlib takes it."""
    return [[100 * (accuracy.mean - accuracy.low)], [100 * (accuracy.high - accuracy.mean)]]


def short(name: str, length: int = LABEL) -> str:
    """A class's name as figures show it, cut where it has more characters than fit a label.

    >>> short("a name that goes on for longer than a label can")
    'a name that goes on for l…'
    """
    cut = name[: length - 1].rstrip("\\")  # half of what stands for a dollar sign
    return name if len(name) <= length else f"{cut}\N{HORIZONTAL ELLIPSIS}"


def grid(axes: Axes, axis: Literal["x", "y"]) -> None:
    """Grid lines from one axis, behind what is drawn."""
    axes.grid(axis=axis)
    axes.set_axisbelow(True)


def darker(shade: str) -> str:
    """The colour dark enough for text on white."""
    red, green, blue = to_rgb(shade)
    return to_hex((0.75 * red, 0.75 * green, 0.75 * blue))


def spread(positions: list[float], gap: float, low: float, high: float) -> list[float]:
    """Label positions at least ``gap`` apart, close to those requested, within ``low`` and ``high``.

    >>> spread([0.0, 0.1], 1.0, -5.0, 5.0)
    [-0.45, 0.55]
    """
    from sklearn.isotonic import isotonic_regression

    order, steps = np.argsort(positions, kind="stable"), gap * np.arange(len(positions))
    placed = isotonic_regression(np.array(positions)[order] - steps) + steps  # moves as little as the gaps allow
    placed += max(0.0, low - placed[0])
    placed -= max(0.0, placed[-1] - high)
    return placed[np.argsort(order)].round(9).tolist()


def label_ends(axes: Axes, ends: list[tuple[float, float, str, dict[str, Any]]]) -> None:
    """Name lines or markers at the right: (x, y, text, look) each, names moved apart where they would touch.

    ``look`` holds the properties of the line or marker named: a line is led on to its name, a marker drawn beside it.
    """
    axes.autoscale_view()  # the limits that what is drawn asks for are otherwise not in force yet
    size = axes.get_position().height * axes.figure.get_figheight() * 72  # type: ignore[union-attr]
    to_axes = axes.transData + axes.transAxes.inverted()
    starts = [to_axes.transform((x, y)).tolist() for x, y, _, _ in ends]
    places = spread([y for _, y in starts], 10.5 / size, 0.0, 1.0)
    outside: Any = {"transform": axes.transAxes, "clip_on": False}
    for (_, _, text, look), (x, y), place in zip(ends, starts, places, strict=True):
        shown: Any = {"lw": 0.9, "markevery": [1]} | look
        axes.plot([x, x + LEAD], [y, place], **outside, **shown)
        named = axes.text(x + 1.6 * LEAD, place, text, color=darker(look["color"]), va="center", **outside)
        named.set_path_effects(HALO)
