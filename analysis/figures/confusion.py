"""Confusion matrix of the selected level 3 model."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import formats
from analysis.captions import join
from analysis.evidence import Figure, Finding
from analysis.figures import style
from analysis.per_class import confused_pairs, confusion
from analysis.results import Results

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
        "percent of the row; cells below 0.5 % are blank.",
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
    """Row percentages; the diagonal has its own shade so that errors keep their contrast."""
    with style.paper():
        figure = style.canvas(3.9, width=0.7)
        axes = figure.subplots()
        share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        errors = np.where(np.eye(len(classes), dtype=bool), np.nan, share)
        axes.imshow(errors, cmap="Blues", vmin=0, vmax=max(1.0, 1.8 * float(np.nanmax(errors))))
        axes.set_facecolor("#F2F2F2")
        if len(classes) <= MANY_CLASSES:
            _write(axes, share)
        axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(classes)), classes)
        axes.set(xlabel="Predicted class", ylabel="True class")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        return figure


def _write(axes: object, share: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(share):
        if value >= 0.5:
            weight = "bold" if row == column else "normal"
            axes.text(column, row, formats.decimal(value, 0), ha="center", va="center", weight=weight)  # type: ignore[attr-defined]
