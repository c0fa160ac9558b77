"""Where the selected level 3 model errs, class by class, and which classes a step helps and hurts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from analysis import formats, style
from analysis.captions import FILLED, TOO_FEW, counted, join, over
from analysis.evidence import Fact, Figure, Finding, Origin, Table, Verdict, facts, figure, findings, table
from analysis.results import Results
from analysis.statistics.contrasts import Contrast, accuracy_contrasts
from analysis.statistics.per_class import confused_pairs, counts, scores, unbalanced
from analysis.view import StudyView

LEVEL = 3
MANY_CLASSES = 20  # more are not shown one by one
WORST, BEST, PAIRS = 10, 5, 15  # classes and confusions that stand for them
PAIR_ROW = 0.19  # inches
NAMED = 4  # classes that a sentence names one by one


@facts
def class_facts(results: Results) -> Iterator[Fact]:
    """The pair of classes confused most, the class recognised least often, and what the figure shows of many."""
    key = results.best.get(LEVEL)
    if key is None:
        return
    view, predictions = results.view, results.view.predictions(key)
    made = Origin(confused_pairs, view.names(key))
    if len(view.classes) > MANY_CLASSES:
        yield made.text("errors/pairs", "by which confusions")
    for true, predicted, number in _frequent(counts(predictions, view.classes), view.classes, top=1):
        yield made.text("confused/true", true)
        yield made.text("confused/predicted", predicted)
        yield made.count("confused/count", number)
    scored, made = scores(predictions, view.classes), Origin(scores, view.names(key))
    row = scored["recall"].idxmin()
    yield made.text("worst-class/name", formats.listing(_least(scored)))
    yield made.percent("worst-class/recall", scored["recall"][row])
    yield made.interval("worst-class/recall-interval", scored["recall_low"][row], scored["recall_high"][row])


def _frequent(matrix: np.ndarray, classes: Sequence[str], top: int) -> list[tuple[str, str, int]]:
    """The at most ``top`` most frequent confusions that are more frequent than any that is left out."""
    pairs = confused_pairs(matrix, classes, top + 1)
    return [pair for pair in pairs[:top] if len(pairs) <= top or pair[2] > pairs[top][2]]


def _least(scored: pd.DataFrame) -> list[str]:
    """The class recognised least often; of several, their names, or of many their number."""
    tied = list(scored["class"][scored["recall"] == scored["recall"].min()])
    return tied if len(tied) <= NAMED else [formats.plural(len(tied), "class", "classes")]


@dataclass(frozen=True)
class Step:
    """Two compared models and how every class's recall changes from ``control`` to ``key``, by class name."""

    key: str
    control: str
    classes: dict[str, Contrast]


def steps(results: Results) -> list[Step]:
    """Class by class: level 2's first comparison and that of the ensemble with its best member, as far as they ran.

    Intervals are simultaneous and p-values adjusted over the classes of all steps together.
    """
    voted = results.ensemble.best_vote if results.ensemble else ""
    pairs = [*results.judged_at(2)[:1], *([results.judged[voted]] if voted in results.judged else [])]
    return class_changes(results, [(each.key, each.control) for each in pairs])


def class_changes(results: Results, pairs: Sequence[tuple[str, str]]) -> list[Step]:
    """Change of recall per class of each (treated, control); a class without test images is left out."""
    view = results.view
    values = {(pair, name): each for pair in pairs for name, each in _by_class(view, *pair).items()}
    retrained = {name: ("recall", name[0]) for name in values if results.judged[name[0][0]].retrained}
    found = accuracy_contrasts(values, retrained)
    return [Step(*pair, {name: each for (of, name), each in found.items() if of == pair}) for pair in pairs]


def _by_class(view: StudyView, key: str, control: str) -> dict[str, np.ndarray]:
    """Treated less control correctness of each class's images, (S, N)."""
    difference, labels = view.differences(key, control), view.predictions(key)[0].labels
    return {view.classes[label]: difference[:, labels == label] for label in np.unique(labels)}


@facts
def change_facts(results: Results) -> Iterator[Fact]:
    """The change of every class in every step."""
    for step in steps(results):
        made = Origin(class_changes, results.view.names(step.key, step.control))
        for name, change in step.classes.items():
            yield made.points(f"class-change/{step.key}/{name}", change.difference)
        for what, sign in (("gains", 1), ("losses", -1)):
            names = [name for name, change in step.classes.items() if change.sign == sign]
            if names:
                more = [f"{formats.count(len(names) - NAMED)} more"] if len(names) > NAMED else []
                yield made.text(f"class-{what}/{step.key}", formats.listing([*names[:NAMED], *more]))


@findings
def change_findings(results: Results) -> Iterator[Finding]:
    """Which classes each step helps and hurts."""
    for step in steps(results):
        yield change_finding(step, results.view.phrase(step.key), results.view.phrase(step.control))


def change_finding(step: Step, treated: str, control: str) -> Finding:
    """Supported where a class gains, contradicted where one loses, else inconclusive, as with too few seeds."""
    better, worse = ({name: c for name, c in step.classes.items() if c.differs == sign} for sign in (1, -1))
    unclear = len(step.classes) - len(better) - len(worse)
    parts = [f"raises the recall of {_listed(better)}"] if better else []
    parts += [f"lowers {'that' if better else 'the recall'} of {_listed(worse)}"] if worse else []
    words = f"{formats.sentence_case(treated)} {formats.listing(parts)} against {control}"
    named = (*_ends(better), *_ends(worse))
    if not parts:
        name = max(step.classes, key=lambda name: abs(step.classes[name].difference))
        largest = f"{name} ({formats.points(step.classes[name].difference)} points)"
        words = f"Between {treated} and {control} no class changes detectably; the largest change is that of {largest}"
        named = (name,)
    elif unclear:
        words += f"; for the other {formats.plural(unclear, 'class', 'classes')} no change was detected"
    verdict: Verdict = "contradicted" if worse else "supported" if better else "inconclusive"
    if parts and not all(each.decidable for each in step.classes.values()):
        verdict, words = "inconclusive", f"{words}; {TOO_FEW}"
    facts = tuple(f"class-change/{step.key}/{name}" for name in named)
    return Finding(f"class-change/{step.key}", f"{words}.", verdict, facts)


def _ends(changes: Mapping[str, Contrast]) -> list[str]:
    """The classes that a sentence names: all, or of many the first and the last by the size of the change."""
    ordered = sorted(changes, key=lambda name: -abs(changes[name].difference))
    return ordered if len(ordered) <= NAMED else [ordered[0], ordered[-1]]


def _listed(changes: Mapping[str, Contrast]) -> str:
    """The classes with their changes in points, the largest first, with the largest adjusted p among them.

    Of many, the number with the largest and the smallest change.
    """
    named = [f"{name} ({formats.points(changes[name].difference)} points)" for name in _ends(changes)]
    told = formats.listing(named)
    if len(changes) > NAMED:
        told = f"{formats.count(len(changes))} classes, from {named[0]} to {named[-1]}"
    largest = max(change.p for change in changes.values())
    if len(changes) == 1:
        ((name, only),) = changes.items()
        return f"{name} ({formats.points(only.difference)} points, {formats.p_phrase(largest, 'adjusted p')})"
    bound = formats.p_value(largest)
    return f"{told} (each adjusted p {bound if bound.startswith('<') else f'≤ {bound}'})"


@table
def per_class(results: Results) -> Table | None:
    """Scores of each class beside the control's recall."""
    key = results.best.get(LEVEL)
    if key is None:
        return None
    view, judged = results.view, results.judged.get(key)
    scored = scores(view.predictions(key), view.classes)
    columns = [scored["class"], *(column for name in ("recall", "precision", "f1") for column in _cells(scored, name))]
    if judged:
        columns += _cells(scores(view.predictions(judged.control), view.classes), "recall")
    if sized := unbalanced(scored["support"].to_numpy()):
        columns.insert(1, scored["support"].map(formats.count))
    rows = list(zip(*columns, strict=True))
    beside = f"; control recall is that of {view.title(judged.control)}" if judged else ""
    fewest, most = int(scored["support"].min()), int(scored["support"].max())
    images = (
        formats.plural(most, "image") if fewest == most else f"{formats.count(fewest)} to {formats.count(most)} images"
    )
    caption = join(
        _recognised(scored),
        f"Test scores of {view.title(key)}{beside}.",
        f"n = {images} per class, "
        f"{over(len(view.predictions(key)))}; 95 % Wilson intervals, for F1 carried over from its Jaccard index, cover "
        "the sampling of test images.",
        _left_out(scored),
    )
    head = ("Class", *(("Images",) if sized else ()))
    scored_by = ("Recall, %", "Precision, %", "F1, %", *(("Control recall, %",) if judged else ()))
    head += tuple(name for score in scored_by for name in (score, "95 % CI"))
    align = "l" + "r" * sized + "rl" * len(scored_by)
    return Table("per_class", caption, head, tuple(rows[row] for row in _shown(scored)), align, dense=True)


def _recognised(scored: pd.DataFrame) -> str:
    least = _least(scored)
    single = (scored["recall"] == scored["recall"].min()).sum() == 1
    return (
        f"The class {least[0]} is recognised least often."
        if single
        else f"{formats.listing(least)} have the lowest recall."
    )


def _shown(scored: pd.DataFrame) -> list[int]:
    """Rows to show: every class in its order, or of too many those recognised least and most often, by recall."""
    if len(scored) <= MANY_CLASSES:
        return list(range(len(scored)))
    order = scored["recall"].dropna().sort_values(kind="stable").index
    return list(order) if len(order) <= WORST + BEST else [*order[:WORST], *order[-BEST:]]


def _left_out(scored: pd.DataFrame) -> str:
    """What is not shown of too many classes, as a sentence."""
    hidden = scored["recall"].drop(index=_shown(scored)).dropna()
    if hidden.empty:
        return ""
    low, high = formats.percent(hidden.min()), formats.percent(hidden.max())
    return (
        f"Shown are the {WORST} classes recognised least and the {BEST} recognised most often, of equals the first; "
        f"the other {formats.count(len(hidden))} have a recall of {low} to {high} %."
    )


def _cells(scored: pd.DataFrame, name: str) -> list[pd.Series]:
    """A score of each class and its interval, as cells."""
    bounds = zip(scored[f"{name}_low"], scored[f"{name}_high"], strict=True)
    intervals = [formats.MISSING if np.isnan(each[0]) else formats.percent_interval(*each) for each in bounds]
    return [scored[name].map(formats.percent), pd.Series(intervals, index=scored.index)]


@figure
def errors(results: Results) -> Figure | None:
    """Confusions, recall and its change, class by class; None before level 3 has a network."""
    key = results.best.get(LEVEL)
    if key is None:
        return None
    view = results.view
    predictions, classes, changed = view.predictions(key), view.classes, steps(results)
    matrix = counts(predictions, classes)
    if len(classes) > MANY_CLASSES:
        return _worst_pairs(results, key, matrix)
    caption = join(
        _takeaway(matrix, classes),
        f"{view.title(key)}. Left: images of each true class by predicted class, in percent; blank: rounds to zero. "
        "Middle: recall, which the diagonal rounds, with 95 % Wilson intervals.",
        f"Right: change of recall from {_told(results, changed)}, with joint 95 % intervals; {FILLED}."
        if changed
        else "",
        counted(results, over(len(predictions))),
    )
    alt = "Confusion matrix in percent; recall of each class with intervals; change of recall by class"
    data = {"class": classes} | {f"predicted {name}": matrix[:, n].tolist() for n, name in enumerate(classes)}
    return Figure("errors", caption, lambda: _draw(results, key, matrix, changed), alt, data)


def _worst_pairs(results: Results, key: str, matrix: np.ndarray) -> Figure | None:
    """Of many classes, the most frequent confusions as bars; None where there is no error to show."""
    pairs = confused_pairs(matrix, results.view.classes, PAIRS)
    shown, errors = sum(number for *_, number in pairs), int(matrix.sum() - matrix.trace())
    told = f"The {formats.plural(len(pairs), 'confusion')} shown of {results.view.title(key)} hold "
    caption = join(
        _takeaway(matrix, results.view.classes),
        f"{told}{formats.count(shown)} of its {formats.plural(errors, 'error')} on test images.",
        counted(results, over(len(results.view.predictions(key)))),
    )
    alt = "Bars: the most frequent confusions of a true class with another"
    data = dict(zip(("true", "predicted", "images"), zip(*pairs, strict=True), strict=True)) if pairs else {}
    return Figure("errors", caption, lambda: _draw_pairs(pairs), alt, data) if pairs else None


def _draw_pairs(pairs: list[tuple[str, str, int]]) -> Canvas:
    """One bar per pair of classes, the longest on top."""
    canvas = style.canvas(0.5 + PAIR_ROW * len(pairs))
    axes = canvas.subplots()
    names = [f"{style.short(true)} → {style.short(predicted)}" for true, predicted, _ in pairs]
    bars = axes.barh(range(len(pairs)), [number for *_, number in pairs], height=0.7, color=style.COLOURS[0])
    axes.bar_label(bars, padding=2, fontsize=8)
    axes.set_yticks(range(len(pairs)), names)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("Test images")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.08)
    return canvas


def _takeaway(matrix: np.ndarray, classes: Sequence[str]) -> str:
    if not confused_pairs(matrix, classes, top=1):
        return "Every test image is classified correctly."
    pairs = _frequent(matrix, classes, top=2)
    if not pairs:
        return "No confusion is more frequent than all others."
    named = formats.listing([f"{true} → {predicted}" for true, predicted, _ in pairs])
    verb = "is the most frequent confusion" if len(pairs) == 1 else "are the most frequent confusions"
    return f"{named} {verb}."


def _told(results: Results, changed: Sequence[Step]) -> str:
    phrase = results.view.phrase
    return formats.listing([f"{phrase(step.control)} to {phrase(step.key)}" for step in changed])


def _draw(results: Results, key: str, matrix: np.ndarray, changed: Sequence[Step]) -> Canvas:
    """Three panels that share the classes' rows."""
    classes = results.view.classes
    canvas = style.canvas(0.95 + 0.172 * max(7, len(classes)))
    ratios = [2.5, 1.25, 1.5] if changed else [2.5, 1.5]
    panels = canvas.subplots(1, len(ratios), width_ratios=ratios, sharey=True)
    _draw_confusion(panels[0], matrix, classes)
    _draw_recall(panels[1], scores(results.view.predictions(key), classes), style.colour(results.view, key))
    if changed:
        _draw_changes(results, panels[2], changed)
    return canvas


def _draw_confusion(axes: Axes, matrix: np.ndarray, classes: list[str]) -> None:
    """Row percentages of counts (C, C); the diagonal has its own shade so that errors keep their contrast."""
    classes = list(map(style.short, classes))
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(len(classes), dtype=bool)
    errors = np.where(diagonal, 0, share)
    axes.imshow(errors, cmap="Blues", vmin=0, vmax=max(1.0, 1.6 * float(errors.max())), aspect="auto")
    axes.imshow(np.where(diagonal, 0.14, np.nan), cmap="Greys", vmin=0, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        text = formats.decimal(value, 0)
        if text != "0":
            bold = style.BOLD if row == column else {}
            axes.text(column, row, text, ha="center", va="center", **bold)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="Predicted class", ylabel="True class")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _draw_recall(axes: Axes, scored: pd.DataFrame, shade: str) -> None:
    middle = 100 * scored["recall"]
    reach = np.clip([middle - 100 * scored["recall_low"], 100 * scored["recall_high"] - middle], 0, None)
    axes.errorbar(middle, range(len(scored)), xerr=reach, fmt="o", color=shade, elinewidth=1.0, ms=4)
    axes.set_xlabel("Recall, %")
    _share_rows(axes)


def _draw_changes(results: Results, axes: Axes, changed: Sequence[Step]) -> None:
    """The changes of each step, one above the other within a row, the steps named below."""
    offsets = 0.32 * (np.arange(len(changed)) - (len(changed) - 1) / 2)
    for step, offset in zip(changed, offsets, strict=True):
        shade = style.colour(results.view, step.key)
        for name, change in step.classes.items():
            row, fill = results.view.classes.index(name), shade if change.differs else "white"
            axes.plot([100 * change.low, 100 * change.high], [row + offset] * 2, color=shade, lw=1.0)
            axes.plot(100 * change.difference, row + offset, "o", mfc=fill, mec=shade, ms=4)
    axes.axvline(0, color=style.GREY, lw=0.7, zorder=0)
    axes.set_xlabel("Change of recall, points")
    for line, step in enumerate(reversed(changed)):
        name = results.view.title(step.key)
        axes.annotate(
            name, (0.5, 1.02 + 0.075 * line), xycoords="axes fraction", ha="center", va="bottom",
            color=style.darker(style.colour(results.view, step.key)),
        )  # fmt: skip
    _share_rows(axes)


def _share_rows(axes: Axes) -> None:
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    style.grid(axes, "x")
