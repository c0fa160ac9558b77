"""Where the selected level 3 model errs, class by class."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from analysis import formats, style
from analysis.captions import counted, join, over
from analysis.evidence import Fact, Figure, Findings, Origin, Table, facts, figure, table
from analysis.results import Results
from analysis.statistics.per_class import confused_pairs, counts, scores, unbalanced

LEVEL = 3
MANY_CLASSES = 20  # more are not shown one by one
WORST, BEST, PAIRS = 10, 5, 15  # classes and confusions that stand for them
PAIR_ROW, CLASS_ROW = 0.19, 0.25  # inches


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
    if sized := unbalanced(scored["support"].to_numpy()):
        columns.insert(1, scored["support"].map(formats.count))
    rows, worst = list(zip(*columns, strict=True)), scored["recall"].idxmin()
    least = _recall(scored.loc[[worst]])
    beside = f"; control recall is that of {view.title(judged.control)}" if judged else ""
    fewest, most = int(scored["support"].min()), int(scored["support"].max())
    images = (
        formats.plural(most, "image") if fewest == most else f"{formats.count(fewest)} to {formats.count(most)} images"
    )
    caption = join(
        f"The class {rows[worst][0]} is recognised least often, with a recall of {least[0].iloc[0]} % (95 % CI "
        f"{least[1].iloc[0]}).",
        f"Test scores of {view.title(key)}{beside}.",
        f"n = {images} per class, "
        f"{over(len(view.predictions(key)))}; 95 % Wilson intervals, which cover the sampling of test images.",
        _left_out(scored),
    )
    head = ("Class", *(("Images",) if sized else ()), "Recall, %", "95 % CI", "Precision, %", "F1, %")
    extra = ("Control recall, %", "95 % CI") if judged else ()
    align = "l" + ("r" if sized else "") + "rlrr" + ("rl" if judged else "")
    return Table("per_class", caption, (*head, *extra), tuple(rows[row] for row in _shown(scored)), align)


def _shown(scored: pd.DataFrame) -> list[int]:
    """Rows to show: every class in its order, or of too many those recognised least and most often, by recall."""
    if len(scored) <= MANY_CLASSES:
        return list(range(len(scored)))
    order = scored["recall"].dropna().sort_values(kind="stable").index
    return [*order[:WORST], *order[-BEST:]]


def _left_out(scored: pd.DataFrame) -> str:
    """What is not shown of too many classes, as a sentence."""
    hidden = scored["recall"].drop(index=_shown(scored)).dropna()
    if hidden.empty:
        return ""
    low, high = formats.percent(hidden.min()), formats.percent(hidden.max())
    return (
        f"Shown are the {WORST} classes recognised least and the {BEST} recognised most often; the other "
        f"{formats.count(len(hidden))} have a recall of {low} to {high} %."
    )


def _recall(scored: pd.DataFrame) -> list[pd.Series]:
    bounds = zip(scored["recall_low"], scored["recall_high"], strict=True)
    intervals = [formats.percent_interval(*each) for each in bounds]
    return [scored["recall"].map(formats.percent), pd.Series(intervals, index=scored.index)]


@figure
def confusion(results: Results, findings: Findings) -> Figure | None:
    """The confusion matrix, or of many classes the most frequent confusions; None before level 3 has a network."""
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
    many, title = len(classes) > MANY_CLASSES, results.view.title(key)
    seen = counted(results, formats.plural(len(predictions), "seed") + (" added up" if len(predictions) > 1 else ""))
    if many:
        return _worst_pairs(matrix, classes, title, worst, seen)
    caption = join(
        worst,
        f"Test images of {title} by true class (rows) and predicted class (columns), in "
        "percent of the row; cells that round to zero are blank.",
        seen,
    )
    alt = "Confusion matrix in percent, rows the true class, columns the predicted class"
    return Figure("confusion", caption, lambda: _draw(matrix, classes), alt, width=_width(classes))


def _worst_pairs(matrix: np.ndarray, classes: list[str], title: str, worst: str, seen: str) -> Figure | None:
    """The most frequent confusions as bars; None where there is no error to show."""
    pairs = confused_pairs(matrix, classes, PAIRS)
    shown, errors = sum(number for *_, number in pairs), int(matrix.sum() - matrix.trace())
    told = f"The {formats.plural(len(pairs), 'confusion')} shown of {title} hold {formats.count(shown)} of its "
    caption = join(worst, f"{told}{formats.plural(errors, 'error')} on test images.", seen)
    alt = "Bars: the most frequent confusions of a true class with another"
    return Figure("confusion", caption, lambda: _draw_pairs(pairs), alt) if pairs else None


def _draw_pairs(pairs: list[tuple[str, str, int]]) -> Canvas:
    """One bar per pair of classes, the longest on top."""
    canvas = style.canvas(0.5 + PAIR_ROW * len(pairs))
    axes = canvas.subplots()
    names = [f"{style.short(true)} taken for {style.short(predicted)}" for true, predicted, _ in pairs]
    bars = axes.barh(range(len(pairs)), [number for *_, number in pairs], height=0.7, color=style.COLOURS[0])
    axes.bar_label(bars, padding=2, fontsize=8)
    axes.set_yticks(range(len(pairs)), names)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Test images")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.08)
    return canvas


def _width(classes: list[str]) -> float:
    return 0.7 if len(classes) <= 10 else 1.0


def _draw(matrix: np.ndarray, classes: list[str]) -> Canvas:
    """Row percentages of counts (C, C); the diagonal has its own shade so that errors keep their contrast."""
    canvas, classes = style.canvas(max(3.1, CLASS_ROW * len(classes)), _width(classes)), list(map(style.short, classes))
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
