"""The paper's tables. A builder returns None while its runs are pending."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from analysis import formats
from analysis.captions import (
    accuracy_interval,
    cells,
    difference_interval,
    join,
    progress_sentence,
    shared_sentence,
    takeaway,
)
from analysis.evidence import Finding, Table
from analysis.facts import describe_recipe, train_seconds
from analysis.findings import ALPHA
from analysis.results import Results, control_of
from analysis.section_tables import deployment, diversity, environment, members, runs, trust
from analysis.statistics.comparison import compare
from analysis.statistics.per_class import scores
from analysis.view import Planned

Findings = dict[str, Finding]
Builder = Callable[[Results, Findings], Table | None]


def builders() -> dict[str, Builder]:
    """Every table of the paper by name."""
    return {
        "headline": headline,
        "experiments": experiments,
        "level1": level1,
        "ablation": ablation,
        "level2": partial(level_table, level=2),
        "level3": partial(level_table, level=3),
        "level5": partial(level_table, level=5),
        "per_class": per_class,
        "members": members,
        "diversity": diversity,
        "deployment": deployment,
        "trust": trust,
        "environment": environment,
        "recipes": recipes,
        "runs": runs,
    }


def headline(results: Results, findings: Findings) -> Table | None:
    """One row per level: the model that validation selects, beside pass mark and reference."""
    if not results.best:
        return None
    rows = tuple(_headline_row(results, level) for level in results.best)
    head = ("Level", "Selected on validation", "Accuracy, %", "95 % CI", "Pass mark, %", "Reference, %")
    caption = join(
        progress_sentence(results),
        "Per level the model with the best validation accuracy and its test accuracy, beside the "
        "challenge's pass mark and the figure published for the study this one answers.",
        accuracy_interval(results),
    )
    return Table("headline", caption, head, rows, "llrlrr")


def _headline_row(results: Results, level: int) -> tuple[str, ...]:
    plan, accuracy = results.view.plan, results.accuracies[results.best[level]]
    mark, reference = plan["pass_marks"].get(str(level)), plan["reference"].get(str(level))
    return (
        str(level),
        results.view.title(results.best[level]),
        formats.percent(accuracy.mean),
        formats.percent_interval(accuracy.low, accuracy.high),
        formats.percent(mark) if mark is not None else formats.MISSING,
        formats.percent(reference["accuracy"]) if reference else formats.MISSING,
    )


def experiments(results: Results, findings: Findings) -> Table | None:
    """Every planned experiment that trains a network, with its control and its budget."""
    planned = tuple(results.view.experiments.values())
    rows = tuple(_experiment_row(results, each) for each in planned if each.trained)
    controlled = sum(1 for each in planned if control_of(results.view, each.key, results.ensemble))
    caption = join(
        f"{controlled} of {len(planned)} experiments have a control, from which they differ in a named respect.",
        f"Shown are the {len(rows)} that train a network; the others vote, convert or measure.",
        "Epochs and image size (px, largest stage) as planned; time is the mean total per run on this device.",
        shared_sentence(results, "Time"),
    )
    head = ("Level", "Experiment", "Control: what differs", "Epochs", "Size, px", "Time")
    return Table("experiments", caption, head, rows, "lllrrr")


def _experiment_row(results: Results, planned: Planned) -> tuple[str, ...]:
    stages = planned.training["recipe"]["stages"]
    seconds = [float(run.durations["total"]) for run in results.view.runs_of(planned.key)]
    return (
        str(planned.level),
        planned.title,
        f"{results.view.title(planned.control)}: {planned.differs}" if planned.control else formats.MISSING,
        str(sum(stage["epochs"] for stage in stages)),
        str(max(stage["image_size"] for stage in stages)),
        formats.duration(float(np.mean(seconds)))[2] if seconds else "pending",
    )


def recipes(results: Results, findings: Findings) -> Table | None:
    """How every planned network is trained, in full."""
    trained = [planned for planned in results.view.experiments.values() if planned.trained]
    rows = tuple((planned.title, *_recipe_cells(planned.training)) for planned in trained)
    caption = join(
        "Everything that is set for a training, stage by stage where stages differ.",
        "Rate: the peak, and the fraction of steps that lead up to it; decay and smoothing: of weights and labels; "
        "batch: images; crops and cutout in px, rotation in degrees. A search starts from the recipe shown.",
    )
    head = ("Experiment", "Optimizer", "Rate", "Schedule", "Decay", "Smoothing", "Batch", "Augmentation")
    return Table("recipes", caption, head, rows, "llllrrrl") if rows else None


def _recipe_cells(training: Mapping[str, Any]) -> tuple[str, ...]:
    words = describe_recipe(training)
    warmup = max(stage["warmup"] for stage in training["recipe"]["stages"])
    rate = words["learning-rate"] + (f" ({formats.setting(warmup)})" if warmup else "")
    names = ("schedule", "weight-decay", "label-smoothing", "batch-size")
    shown = (_transforms(stage["augmentation"]) for stage in training["recipe"]["stages"])
    return (words["optimizer"], rate, *(words[name] for name in names), ", then ".join(dict.fromkeys(shown)))


def _transforms(augmentation: Mapping[str, Any]) -> str:
    """The transforms that are switched on, each with its parameter."""
    used = (name if value is True else f"{name} {value:g}" for name, value in augmentation.items() if value)
    return ", ".join(used) or formats.MISSING


def level_table(results: Results, findings: Findings, level: int) -> Table | None:
    """A level's experiments: accuracy and difference to the control, each with its interval, and p."""
    keys = [planned.key for planned in results.view.at(level) if planned.key in results.accuracies]
    if not keys:
        return None
    head = ("Experiment", "Control", "Accuracy, %", "95 % CI", "Difference, points", "95 % CI", "p")
    rows = tuple(_level_row(results, key) for key in keys)
    caption = join(
        takeaway(findings, f"summary/level{level}", f"pass-mark/level{level}"),
        f"Test accuracy of the level {level} experiments and difference to the control.",
        accuracy_interval(results),
        difference_interval(results),
    )
    return Table(f"level{level}", caption, head, rows, "llrlrlr", best=_clear_best(results, keys, column=2))


def _level_row(results: Results, key: str) -> tuple[str, ...]:
    accuracy, judged = results.accuracies[key], results.judged.get(key)
    return (
        results.view.title(key),
        results.view.title(judged.control) if judged else formats.MISSING,
        formats.percent(accuracy.mean),
        formats.percent_interval(accuracy.low, accuracy.high),
        *cells(judged),
    )


def _clear_best(results: Results, keys: Sequence[str], column: int) -> frozenset[tuple[int, int]]:
    """The best accuracy's cell, if it differs from the next by a paired test; none otherwise."""
    order = sorted(keys, key=lambda key: results.accuracies[key].mean, reverse=True)
    if len(order) < 2:
        return frozenset()
    first, second = results.view.paired(order[0], order[1])
    if not first or compare(first, second, np.random.default_rng(0)).p >= ALPHA:
        return frozenset()
    return frozenset({(keys.index(order[0]), column)})


def level1(results: Results, findings: Findings) -> Table | None:
    """Level 1: accuracy and what it costs."""
    table = level_table(results, findings, 1)
    if table is None:
        return None
    keys = [planned.key for planned in results.view.at(1) if planned.key in results.accuracies]
    costs = [_cost_cells(results, key) for key in keys]
    kept = (0, 2, 3, 4, 5, 6)
    rows = tuple((*(row[c] for c in kept), *cost) for row, cost in zip(table.rows, costs, strict=True))
    head = (*(table.header[c] for c in kept), "Parameters", "MACs", "Training")
    caption = join(table.caption, "MACs: multiply-accumulates per image at the size trained on; training time per run.")
    best = frozenset((row, kept.index(column)) for row, column in table.best)
    return Table("level1", caption, head, rows, "lrlrlrrrr", best=best)


def _cost_cells(results: Results, key: str) -> tuple[str, str, str]:
    view = results.view
    if not view.experiments[key].trained:
        return (formats.MISSING,) * 3
    quantities = (formats.quantity(view.metric(key, name)) for name in ("parameters", "macs"))
    return (*quantities, formats.duration(train_seconds(results, key))[2])  # type: ignore[return-value]


def ablation(results: Results, findings: Findings) -> Table | None:
    """Level 2's comparisons: what each change does, and what the study could have seen."""
    judged = results.judged_at(2)
    if not judged:
        return None
    title, experiments = results.view.title, results.view.experiments
    rows = tuple(
        (
            experiments[j.key].differs or title(j.key),
            title(j.control),
            *cells(j),
            formats.percent(j.comparison.detectable),
            formats.MISSING if j.seeds_needed is None else formats.count(j.seeds_needed),
        )
        for j in judged
    )
    caption = join(
        takeaway(findings, "summary/level2"),
        "Difference in test accuracy that each change makes to its control; detectable is the true "
        "difference the comparison finds with power 0.8 when p is adjusted for all comparisons of the study; seeds: "
        "how many would show a difference of the size seen, by a paired t test of that power on these images.",
        f"n = {formats.count(judged[0].comparison.images)} test images, "
        f"{_seed_words(min(j.comparison.seeds for j in judged))}.",
        difference_interval(results),
    )
    head = ("Change", "Control", "Difference, points", "95 % CI", "p (Holm)", "Detectable, points", "Seeds")
    return Table("ablation", caption, head, rows, "llrlrrr")


def per_class(results: Results, findings: Findings) -> Table | None:
    """Per-class scores of the selected level 3 model beside its control's recall."""
    key = results.best.get(3)
    if key is None:
        return None
    view, judged = results.view, results.judged.get(key)
    table = scores(view.predictions(key), view.classes)
    control = scores(view.predictions(judged.control), view.classes) if judged else None
    rows = tuple(
        (
            row["class"],
            *_with_interval(row, "recall"),
            formats.percent(row["precision"]),
            formats.percent(row["f1"]),
            *(_with_interval(control.loc[position], "recall") if control is not None else ()),
        )
        for position, row in table.iterrows()
    )
    worst = table.loc[table["recall"].idxmin()]
    recall = f"{formats.percent(worst['recall'])} % (95 % CI {_with_interval(worst, 'recall')[1]})"
    beside = f"; control recall is that of {view.title(judged.control)}" if judged else ""
    caption = join(
        f"The class {worst['class']} is recognised least often, with a recall of {recall}.",
        f"Test scores of {view.title(key)}{beside}.",
        f"n = {_support(table['support'])} images per class, {_seed_words(len(view.predictions(key)))}; 95 "
        "% Wilson intervals, which cover the sampling of test images.",
    )
    head = ("Class", "Recall, %", "95 % CI", "Precision, %", "F1, %")
    extra = ("Control recall, %", "95 % CI") if judged else ()
    return Table("per_class", caption, (*head, *extra), rows, "lrlrr" + ("rl" if judged else ""))


def _seed_words(seeds: int) -> str:
    return "one seed" if seeds == 1 else f"means over {seeds} seeds"


def _with_interval(row: object, score: str) -> tuple[str, str]:
    value, low, high = (row[name] for name in (score, f"{score}_low", f"{score}_high"))  # type: ignore[index]
    return formats.percent(value), formats.percent_interval(low, high)


def _support(support: Iterable[int]) -> str:
    sizes = sorted(set(support))
    return formats.count(sizes[0]) if len(sizes) == 1 else f"{formats.count(sizes[0])} to {formats.count(sizes[-1])}"
