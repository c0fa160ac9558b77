"""What every training reached and cost, and the course of it at level 1."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from analysis import formats, style
from analysis.captions import accuracy_cells, accuracy_interval, join
from analysis.evidence import Fact, Figure, Origin, Table, facts, figure, table
from analysis.results import Results

LEVEL = 1
COSTS = ("Parameters", "MACs", "Training")


@facts
def cost_facts(results: Results) -> Iterator[Fact]:
    """Size and cost of every trained network; means over seeds."""
    view = results.view
    for experiment in view.trained:
        key, made = experiment.key, Origin(cost_facts, view.names(experiment.key))
        for name in ("parameters", "macs"):
            value = view.metric(key, name)
            yield made.fact(f"{name}/{key}", value, "count", formats.quantity(value))
        yield made.duration(f"training-time/{key}", train_seconds(results, key))


def train_seconds(results: Results, key: str) -> float:
    """Training time in seconds, mean over seeds; the total where training was not timed apart."""
    runs = results.view.runs_of(key)
    return sum(float(run.durations.get("train", run.durations["total"])) for run in runs) / len(runs)


@table
def accuracies(results: Results) -> Table | None:
    """What every experiment reached, and what its training cost."""
    if not results.accuracies:
        return None
    rows: list[tuple[str, ...]] = []
    view, several = results.view, any(accuracy.sd is not None for accuracy in results.accuracies.values())
    for key, accuracy in results.accuracies.items():
        judged = bool(view.predictions(key, "validation"))  # what was made elsewhere may have none
        validation = formats.percent(view.metric(key, "validation_accuracy")) if judged else formats.MISSING
        seen = formats.percent(view.metric(key, "train_accuracy")) if view.experiments[key].trained else formats.MISSING
        varied = formats.MISSING if accuracy.sd is None else formats.percent(accuracy.sd)
        spread = (varied,) if several else ()
        measured = (seen, validation, *accuracy_cells(accuracy), *spread)
        rows.append((view.title(key), *measured, *cost_cells(results, key)))
    caption = join(
        f"Accuracy of {formats.plural(len(rows), 'experiment')} that predict.",
        accuracy_interval(results),
        _fitted(results)
        + "SD: between seeds, in points. " * several
        + "MACs: multiply-accumulates for one view of an image at the size trained on; training time per run.",
    )
    head = ("Experiment", "Train, %", "Validation, %", "Test, %", "95 % CI", *(("SD",) if several else ()), *COSTS)
    return Table("accuracies", caption, head, tuple(rows), f"lrrrl{'r' * several}rrr")


def _fitted(results: Results) -> str:
    """A sentence on how many training images a network is evaluated on, evenly spread; none before there is one."""
    runs = [run for each in results.view.trained for run in results.view.runs_of(each.key)]
    numbers = {int(run.metrics["fitted_images"]) for run in runs}
    if not numbers:
        return ""
    most = f"{'at most ' * (len(numbers) > 1)}{formats.plural(max(numbers), 'training image')}"
    return f"Train: on {most} without augmentation. "


def cost_cells(results: Results, key: str) -> tuple[str, ...]:
    """What a network costs, as table cells."""
    view = results.view
    if not view.experiments[key].trained:
        return (formats.MISSING,) * len(COSTS)
    parameters, macs = (formats.quantity(view.metric(key, name)) for name in ("parameters", "macs"))
    return parameters, macs, formats.duration(train_seconds(results, key))[2]


@figure
def curves(results: Results) -> Figure | None:
    """Loss and accuracy over epochs; None before a level 1 network is trained."""
    view = results.view
    keys = [experiment.key for experiment in view.trained if experiment.level == LEVEL]
    keys = [key for key in keys if not view.runs_of(key)[0].epochs.empty]
    if not keys:
        return None
    numbers = [len(view.runs_of(key)) for key in keys]
    seeds = "up to " * (len({*numbers}) > 1) + formats.plural(max(numbers), "seed")
    monitored = max(int(run.metrics["monitored_images"]) for key in keys for run in view.runs_of(key))
    caption = join(
        "The course of training at level 1.",
        f"Loss (left) and accuracy (right) over epochs on {formats.plural(monitored, 'validation image')} (solid) and "
        "on training images, as counted during the epoch (dashed).",
        "One run of each network." if max(numbers) == 1 else f"Every line is a run, {seeds} each.",
    )
    alt = "Training and validation loss and accuracy over epochs of the level 1 networks"
    epochs = [run.epochs.assign(run=run.name) for key in keys for run in view.runs_of(key)]
    data = pd.concat(epochs, ignore_index=True).to_dict("list")
    return Figure("curves", caption, lambda: _draw(results, keys), alt, data)


def _draw(results: Results, keys: list[str]) -> Canvas:
    """Two panels over the epochs."""
    view, ends = results.view, []
    canvas = style.canvas(1.9)
    left, right = canvas.subplots(1, 2)
    for axes, column, name, scale in ((left, "loss", "Loss", 1), (right, "accuracy", "Accuracy, %", 100)):
        for key in keys:
            for run in view.runs_of(key):
                for split, line, opacity, width in (("validation", "-", 1.0, 1.3), ("train", "--", 0.6, 0.9)):
                    values, shade = scale * run.epochs[f"{split}_{column}"], style.colour(view, key)
                    axes.plot(run.epochs["epoch"], values, line, color=shade, alpha=opacity, lw=width)
        axes.set(xlabel="Epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(axis="y")
    for key in keys:
        last = view.runs_of(key)[0].epochs.iloc[-1]
        look = {"color": style.colour(view, key)}
        ends.append((last["epoch"], 100 * last["validation_accuracy"], view.title(key), look))
    style.label_ends(right, ends)
    return canvas
