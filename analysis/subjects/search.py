"""The hyper-parameter search: what was tried, and what it settled on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import join
from analysis.evidence import Fact, Figure, Origin, facts, figure
from analysis.results import Results
from study.kinds import Search

PARAMETERS = ("learning_rate", "weight_decay", "label_smoothing")
LOGARITHMIC = {"learning_rate", "weight_decay"}


@facts
def plan_facts(results: Results) -> Iterator[Fact]:
    """Budget and ranges of each search."""
    made = Origin(plan_facts)
    for search in results.view.planned(Search):
        yield made.count(f"search/{search.key}/trial-epochs", search.trial_epochs)
        yield made.count(f"search/{search.key}/trial-images", search.trial_images)
        for name in PARAMETERS:
            bounds = " to ".join(formats.setting(bound) for bound in getattr(search, name))
            yield made.text(f"search/{search.key}/range-{name.replace('_', '-')}", bounds)


@facts
def search_facts(results: Results) -> Iterator[Fact]:
    """How many trials each search made, and what it settled on."""
    view = results.view
    for search in view.of_kind(Search):
        run, trials = view.runs_of(search.key)[0], view.trials(search.key)
        made = Origin(search_facts, (run.name,))
        yield made.count(f"search/{search.key}/trials", len(trials))
        yield made.count(f"search/{search.key}/pruned", _pruned(trials))
        best = {trial["number"]: trial["params"] for trial in trials}[run.metrics["best_trial"]]
        for parameter, value in best.items():
            yield made.fact(f"search/{search.key}/{parameter.replace('_', '-')}", value, "number", f"{value:.2g}")


def _pruned(trials: Sequence[Mapping[str, Any]]) -> int:
    """How many trials were stopped early; those that diverged are another matter."""
    return sum(trial["state"] == "PRUNED" for trial in trials)


@figure
def search(results: Results) -> Figure | None:
    """Every trial of the first search that has a run, over each parameter; None before."""
    searches = results.view.of_kind(Search)
    if not searches:
        return None
    key = searches[0].key
    runs, trials = results.view.runs_of(key), results.view.trials(key)
    run, which = runs[0], "One search" if len(runs) == 1 else "The search with the first seed"
    reached = [trial["value"] for trial in trials if trial["state"] == "COMPLETE"]
    span = f"{formats.percent(min(reached))} to {formats.percent(max(reached))} %"
    caption = join(
        f"The trials that the search completes reach {span} on validation.",
        f"Accuracy of its {formats.plural(len(trials), 'trial')} over each parameter; crosses: "
        f"{formats.count(_pruned(trials))} stopped early, shown at their last accuracy; filled: the trial chosen.",
        f"{which}; it covers no variation between searches.",
    )
    alt = "Validation accuracy of each search trial against learning rate, weight decay and label smoothing"
    data = pd.json_normalize(trials).to_dict("list")
    return Figure("search", caption, lambda: _draw(trials, run.metrics["best_trial"]), alt, data)


def _draw(trials: list[dict[str, Any]], best: int) -> Canvas:
    """One panel per searched parameter, on one accuracy axis."""
    names = sorted(trials[0]["params"], key=[*PARAMETERS, *trials[0]["params"]].index)
    canvas = style.canvas(1.8)
    panels = canvas.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, names, strict=True):
        _draw_panel(axes, pd.json_normalize(trials), name, best)
    panels[0].set_ylabel("Validation accuracy, %")
    return canvas


def _draw_panel(axes: Axes, trials: pd.DataFrame, name: str, best: int) -> None:
    scored, blue = trials[trials["value"].notna()], style.COLOURS[0]
    done, chosen = scored["state"] == "COMPLETE", scored["number"] == best
    looks: list[tuple[pd.Series, dict[str, Any]]] = [
        (~done, {"marker": "x", "c": style.GREY, "s": 18, "linewidths": 0.9}),
        (done, {"marker": "o", "facecolors": "white", "edgecolors": blue, "s": 24, "linewidths": 1.0}),
        (chosen, {"marker": "o", "c": blue, "s": 36}),
    ]
    for shown, look in looks:
        axes.scatter(scored.loc[shown, f"params.{name}"], 100 * scored.loc[shown, "value"], **look)
    if name in LOGARITHMIC:
        style.log_axis(axes)
    axes.set_xlabel(name.replace("_", " ").capitalize())
    style.grid(axes, "y")
