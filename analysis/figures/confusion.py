"""Confusion matrix of the selected level 3 model."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import join
from analysis.evidence import Figure, Finding
from analysis.results import Results
from analysis.statistics.per_class import confused_pairs, confusion

MANY_CLASSES = 20


def build(results: Results, findings: dict[str, Finding]) -> Figure | None:
    """None before level 3 has a network."""
    key = results.best.get(3)
    if key is None:
        return None
    predictions, classes = results.view.predictions(key), results.view.classes
    matrix = confusion(predictions, classes)
    caption = join(
        _worst_pair(matrix, classes),
        f"Test images of {results.view.title(key)} by true class (rows) and predicted class (columns), in "
        "percent of the row; cells that round to zero are blank.",
        f"n = {formats.count(len(predictions[0].labels))} test images, "
        f"{formats.plural(len(predictions), 'seed')}" + (" added up." if len(predictions) > 1 else "."),
    )
    alt = "Confusion matrix in percent, rows the true class, columns the predicted class"
    return Figure("confusion", caption, lambda: draw(matrix, classes), alt, width=0.7)


def _worst_pair(matrix: np.ndarray, classes: list[str]) -> str:
    pairs = confused_pairs(matrix, classes, top=1)
    if not pairs:
        return "Every test image is classified correctly."
    true, predicted, number = pairs[0]
    images = formats.plural(number, "image")
    share = formats.percent(number / matrix[classes.index(true)].sum())
    return f"The most frequent confusion is {true} taken for {predicted}: {images}, {share} % of that class."


def draw(matrix: np.ndarray, classes: list[str]) -> Canvas:
    """Row percentages of counts (C, C); the diagonal has its own shade so that errors keep their contrast."""
    with style.paper():
        figure = style.canvas(3.1, width=0.7)
        axes = figure.subplots()
        share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        diagonal = np.eye(len(classes), dtype=bool)
        darkest = max(1.0, 1.8 * float(share[~diagonal].max(initial=0.0)))
        _cells(axes, share, ~diagonal, classes, "normal", cmap="Blues", vmin=0, vmax=darkest)
        _cells(axes, share, diagonal, classes, "bold", cmap=["#F2F2F2"])
        axes.set(xlabel="Predicted class", ylabel="True class")
        axes.set_xticklabels(classes, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticklabels(classes, rotation=0)
        axes.tick_params(length=0)
        return figure


def _cells(
    axes: Axes, share: np.ndarray, shown: np.ndarray, classes: list[str], weight: str, **colours: object
) -> None:
    """The cells where ``shown`` (C, C) holds, each with its percentage unless there are too many classes."""
    import seaborn

    written = np.vectorize(lambda value: "" if (text := formats.decimal(value, 0)) == "0" else text)(share)
    seaborn.heatmap(
        share, mask=~shown, ax=axes, annot=written if len(classes) <= MANY_CLASSES else None, fmt="", cbar=False,
        xticklabels=classes, yticklabels=classes, annot_kws={"weight": weight}, **colours,
    )  # fmt: skip
