"""Predictions made elsewhere: how good they are, and how their errors differ from those of the study's own models."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis import formats
from analysis.captions import (
    DIVERSITY,
    OF_DIVERSITY,
    accuracy_cells,
    accuracy_interval,
    cells,
    counted,
    difference_interval,
    diversity_cells,
    join,
    one_seed,
)
from analysis.evidence import Fact, Origin, Table, facts, table
from analysis.results import Results
from analysis.statistics.ensemble import pairwise
from study.kinds import Added, JoinedVote
from study.metrics.calibration import expected_calibration_error, probabilities
from study.records import Predictions

FORMS = {"logits": "logits", "probabilities": "probabilities", "predicted": "hard labels"}


@facts
def added_facts(results: Results) -> Iterator[Fact]:
    """How many sets of predictions were added, and the vote that each joins."""
    planned = results.view.planned(Added)
    if planned:
        yield Origin(added_facts).count("added/count", len(planned))
        yield Origin(added_facts).text("added/titles", formats.listing([each.title for each in planned]))


@table
def tables(results: Results) -> Iterator[tuple[str, Table | None]]:
    """Accuracies and overlaps where something was added."""
    if results.view.planned(Added):
        yield "added", added(results)
        overlaps = added_overlap(results)
        if overlaps or results.view.pending:
            yield "added_overlap", overlaps


def added(results: Results) -> Table | None:
    """What was added and the votes it joins; None while nothing is there."""
    view = results.view
    shown = [*view.of_kind(Added), *view.of_kind(JoinedVote)]
    if not shown:
        return None
    rows = []
    for each in shown:
        judged, told = results.judged.get(each.key), formats.MISSING
        form = FORMS[each.form] if isinstance(each, Added) else "vote"
        if not isinstance(each, Added) or each.graded:
            told = formats.percent(_calibration_error(view.predictions(each.key)))
        control = view.title(judged.control) if judged else formats.MISSING
        rows.append((each.title, form, control, *accuracy_cells(results.accuracies[each.key]), *cells(judged), told))
    caption = join(
        "Predictions made elsewhere on this study’s test images, and votes that they join as one more member.",
        "What hard labels are sure of is not known, so they have no calibration error (ECE).",
        accuracy_interval(results),
        difference_interval(results),
    )
    head = (
        "Predictions",
        "Given as",
        "Control",
        "Accuracy, %",
        "95 % CI",
        "Difference, points",
        "95 % CI",
        "p",
        "ECE, %",
    )
    return Table("added", caption, head, tuple(rows), "lllrlrlrr")


def _calibration_error(predictions: list[Predictions]) -> float:
    return float(np.mean([expected_calibration_error(probabilities(s.logits), s.labels) for s in predictions]))


def added_overlap(results: Results) -> Table | None:
    """How each set of predictions errs beside the model that a level selects; None where there is no such pair."""
    view, rows, seeds = results.view, [], set[int]()
    beside = list(dict.fromkeys(results.best.values()))
    for each in view.of_kind(Added):
        for key in beside:
            ours, theirs = view.paired(each.key, key)
            if ours:
                pair = {each.key: ours[0], key: theirs[0]}
                rows.append((each.title, view.title(key), *_overlap(pair)))
                seeds.add(view.seeds_of(*pair)[0])
    if not rows:
        return None
    caption = join(
        "How differently predictions made elsewhere and the models that the levels select err on the same images.",
        OF_DIVERSITY,
        counted(results),
        one_seed(results, min(seeds)) if len(seeds) == 1 else "Counts are those of the first seed that both have.",
    )
    head = ("Predictions", "Model", *DIVERSITY)
    return Table("added_overlap", caption, head, tuple(rows), "llrrrrr", leading=2)


def _overlap(pair: dict[str, Predictions]) -> tuple[str, ...]:
    frame = pairwise({key: p.correct for key, p in pair.items()}, {key: p.predicted for key, p in pair.items()})
    (row,) = frame.itertuples()
    return diversity_cells(row)
