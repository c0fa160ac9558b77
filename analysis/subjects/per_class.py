"""Where the selected level 3 model errs, class by class."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import counted, join, over
from analysis.evidence import Fact, Figure, Findings, Origin, Table, facts, figure, table
from analysis.results import Results
from study.metrics.intervals import wilson
from study.records import Predictions

LEVEL = 3
MANY_CLASSES = 20


@facts
def class_facts(results: Results) -> Iterator[Fact]:
    """The pair of classes confused most, and the classes recognised most and least often."""
    key = results.best.get(LEVEL)
    if key is None:
        return
    view, predictions = results.view, results.view.predictions(key)
    made = Origin(confused_pairs, view.names(key))
    for true, predicted, number in confused_pairs(counts(predictions, view.classes), view.classes, top=1):
        yield made.text("confused/true", true)
        yield made.text("confused/predicted", predicted)
        yield made.count("confused/count", number)
    scored, made = scores(predictions, view.classes), Origin(scores, view.names(key))
    for name, row in (("worst", scored["recall"].idxmin()), ("best", scored["recall"].idxmax())):
        yield made.text(f"{name}-class/name", scored["class"][row])
        yield made.percent(f"{name}-class/recall", scored["recall"][row])


def counts(predictions: Sequence[Predictions], classes: Sequence[str]) -> np.ndarray:
    """The confusion matrix (C, C): row the true class, column the predicted one; several seeds are added up."""
    from sklearn.metrics import confusion_matrix

    labels = np.concatenate([seed.labels for seed in predictions])
    predicted = np.concatenate([seed.predicted for seed in predictions])
    return confusion_matrix(labels, predicted, labels=np.arange(len(classes)))


def scores(predictions: Sequence[Predictions], classes: Sequence[str]) -> pd.DataFrame:
    """One row per class: class, precision, recall, f1, support and an interval for each score.

    Scores are fractions, ``support`` counts the images of one seed, and the 95 % intervals (precision_low,
    precision_high, recall_low, ...) cover the sampling of images: Wilson with one seed's number of
    images, also for scores that several seeds share, whose images are the same. For F1 it is the
    Wilson interval of J = TP/(TP+FP+FN) carried over by F1 = 2J/(1+J): Hand, Christen & Kirielle
    2021, https://doi.org/10.1007/s10994-021-05964-1. A score without a single image to stand on (the
    precision of a class never predicted) is NaN.
    """
    matrix = counts(predictions, classes) / len(predictions)
    hits, predicted, support = matrix.diagonal(), matrix.sum(axis=0), matrix.sum(axis=1)
    columns: dict[str, Sequence[str] | np.ndarray] = {"class": classes, "support": support.round().astype(int)}
    for name, totals in (("precision", predicted), ("recall", support), ("f1", predicted + support - hits)):
        rows = np.full((len(hits), 3), math.nan)
        for row in np.flatnonzero(totals):
            interval = wilson(hits[row], totals[row])
            rows[row] = hits[row] / totals[row], interval.low, interval.high
        rows = 2 * rows / (1 + rows) if name == "f1" else rows
        columns |= zip((name, f"{name}_low", f"{name}_high"), rows.T, strict=True)
    return pd.DataFrame(columns)


def confused_pairs(matrix: np.ndarray, classes: Sequence[str], top: int = 5) -> list[tuple[str, str, int]]:
    """The ``top`` largest off-diagonal counts of (C, C) as (true, predicted, count), none of them zero."""
    errors = np.where(np.eye(len(classes), dtype=bool), 0, matrix)
    order = np.argsort(-errors, axis=None, kind="stable")[:top]
    pairs = zip(*np.unravel_index(order, errors.shape), strict=True)
    return [(classes[i], classes[j], int(errors[i, j])) for i, j in pairs if errors[i, j] > 0]


@table
def per_class(results: Results, findings: Findings) -> Table | None:
    """Scores of each class beside the control's recall."""
    key = results.best.get(LEVEL)
    if key is None:
        return None
    view, judged = results.view, results.judged.get(key)
    scored = scores(view.predictions(key), view.classes)
    columns = [scored["class"], *_recall(scored), *(scored[name].map(formats.percent) for name in ("precision", "f1"))]
    if judged:
        columns += _recall(scores(view.predictions(judged.control), view.classes))
    rows, worst = tuple(zip(*columns, strict=True)), scored["recall"].idxmin()
    beside = f"; control recall is that of {view.title(judged.control)}" if judged else ""
    fewest, most = (formats.count(size) for size in (scored["support"].min(), scored["support"].max()))
    caption = join(
        f"The class {rows[worst][0]} is recognised least often, with a recall of {rows[worst][1]} % (95 % CI "
        f"{rows[worst][2]}).",
        f"Test scores of {view.title(key)}{beside}.",
        f"n = {fewest if fewest == most else f'{fewest} to {most}'} images per class, "
        f"{over(len(view.predictions(key)))}; 95 % Wilson intervals, which cover the sampling of test images.",
    )
    head = ("Class", "Recall, %", "95 % CI", "Precision, %", "F1, %")
    extra = ("Control recall, %", "95 % CI") if judged else ()
    return Table("per_class", caption, (*head, *extra), rows, "lrlrr" + ("rl" if judged else ""))


def _recall(scored: pd.DataFrame) -> list[pd.Series]:
    bounds = zip(scored["recall_low"], scored["recall_high"], strict=True)
    return [scored["recall"].map(formats.percent), pd.Series([formats.percent_interval(*each) for each in bounds])]


@figure
def confusion(results: Results, findings: Findings) -> Figure | None:
    """The confusion matrix; None before level 3 has a network."""
    key = results.best.get(LEVEL)
    if key is None:
        return None
    predictions, classes = results.view.predictions(key), results.view.classes
    matrix = counts(predictions, classes)
    worst = "Every test image is classified correctly."
    for true, predicted, number in confused_pairs(matrix, classes, top=1):
        share = formats.percent(number / matrix[classes.index(true)].sum())
        images = f"{formats.plural(number, 'image')}, {share} % of that class"
        worst = f"The most frequent confusion is {true} taken for {predicted}: {images}."
    caption = join(
        worst,
        f"Test images of {results.view.title(key)} by true class (rows) and predicted class (columns), in "
        "percent of the row; cells that round to zero are blank.",
        counted(results, formats.plural(len(predictions), "seed") + (" added up" if len(predictions) > 1 else "")),
    )
    alt = "Confusion matrix in percent, rows the true class, columns the predicted class"
    return Figure("confusion", caption, lambda: _draw(matrix, classes), alt, width=0.7)


def _draw(matrix: np.ndarray, classes: list[str]) -> Canvas:
    """Row percentages of counts (C, C); the diagonal has its own shade so that errors keep their contrast."""
    canvas = style.canvas(3.1, width=0.7)
    axes = canvas.subplots()
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(len(classes), dtype=bool)
    darkest = max(1.0, 1.8 * float(share[~diagonal].max(initial=0.0)))
    _cells(axes, share, ~diagonal, classes, "normal", cmap="Blues", vmin=0, vmax=darkest)
    _cells(axes, share, diagonal, classes, "bold", cmap=["#F2F2F2"])
    axes.set(xlabel="Predicted class", ylabel="True class")
    axes.set_xticklabels(classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticklabels(classes, rotation=0)
    axes.tick_params(length=0)
    return canvas


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
