"""The selected models by other averages than accuracy, where classes differ in size or are many."""

from __future__ import annotations

from collections.abc import Iterator

from analysis import formats
from analysis.captions import accuracy_cells, accuracy_interval, join
from analysis.evidence import Fact, Origin, Table, facts, table
from analysis.results import Results
from analysis.statistics.per_class import TOP, balanced_accuracy, macro_f1, sizes, top_accuracy, unbalanced

UNEQUAL = (
    "Models are selected and compared by accuracy, in which every image counts alike. Balanced accuracy is the mean of "
    "the classes' recalls and macro-F1 that of their F1, in which every class counts alike, however few its images are."
)
FEW_CLASSES = 10  # of more, the label is looked for among the likeliest few, too


@facts
def size_facts(results: Results) -> Iterator[Fact]:
    """Images of the smallest and the largest class, where they are unbalanced, and how many classes are "the few"."""
    key = next(iter(results.best.values()), "")
    if key and _unbalanced(results, key):
        images = sizes(results.view.predictions(key)[0], len(results.view.classes))
        made = Origin(sizes, results.view.names(key)[:1])
        yield made.count("class-size/smallest", images.min())
        yield made.count("class-size/largest", images.max())
    if key and len(results.view.classes) > FEW_CLASSES:
        yield Origin(top_accuracy).count("averages/top", TOP)


def _unbalanced(results: Results, key: str) -> bool:
    return unbalanced(sizes(results.view.predictions(key)[0], len(results.view.classes)))


@table
def averages(results: Results) -> Iterator[tuple[str, Table | None]]:
    """A row per level's selected model; nothing where accuracy tells as much."""
    keys = results.best
    if not keys:
        return
    sized, many = _unbalanced(results, next(iter(keys.values()))), len(results.view.classes) > FEW_CLASSES
    if not (sized or many):
        return
    head: tuple[str, ...] = ("Level", "Selected on validation", "Accuracy, %")
    head += ("Balanced, %", "95 % CI", "Macro-F1, %", "95 % CI") if sized else ()
    head += (f"Top-{TOP}, %", "95 % CI") if many else ()
    rows = tuple((str(level), *_row(results, key, sized, many)) for level, key in keys.items())
    caption = join(
        UNEQUAL if sized else "How often a selected model comes near the label.",
        f"Top-{TOP}: the label is among the {TOP} classes that the model finds likeliest." if many else "",
        accuracy_interval(results),
    )
    yield "averages", Table("averages", caption, head, rows, "llr" + "rlrl" * sized + "rl" * many, leading=2)


def _row(results: Results, key: str, sized: bool, many: bool) -> tuple[str, ...]:
    predictions = results.view.predictions(key)
    cells = [results.view.title(key), formats.percent(results.accuracies[key].mean)]
    if sized:
        cells += [*accuracy_cells(balanced_accuracy(predictions)), *accuracy_cells(macro_f1(predictions))]
    if many:
        cells += accuracy_cells(top_accuracy(predictions))
    return tuple(cells)
