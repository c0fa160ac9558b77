"""Every number of a table stands under its own head, in the row of what it is about."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from statsmodels.stats.proportion import proportion_confint

from analysis import formats
from analysis.evidence import Table
from analysis.results import Results
from analysis.subjects.deployment import deployment
from analysis.subjects.effects import effects
from analysis.subjects.ensemble import diversity, members
from analysis.subjects.per_class import per_class
from analysis.subjects.reproducibility import runs
from analysis.subjects.training import accuracies
from study.files import read_json
from study.records import LATENCY

Cells = dict[str, str]


def column(table: Table, head: str) -> Cells:
    """The cells under a head, the first of its name, by the one or two names that lead their rows."""
    leading, at = 2 if table.align.startswith("ll") else 1, table.header.index(head)
    rows = [row for row in table.rows if len(row) > 1]  # others are headings
    found = {", ".join(map(str, row[:leading])): str(row[at]) for row in rows}
    assert len(found) == len(rows)
    return found


def percent(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def accuracy(results: Results, key: str, split: str = "test") -> str:
    """That of an experiment's one seed; a dash where it predicts nothing."""
    return next((percent(accuracy_score(p.labels, p.predicted)) for p in results.view.predictions(key, split)), "–")


def by_experiment(split: str) -> Callable[[Results], Cells]:
    return lambda results: {results.view.title(key): accuracy(results, key, split) for key in results.accuracies}


def trained(results: Results) -> Cells:
    found = {key: results.view.runs_of(key)[0].metrics.get("train_accuracy") for key in results.accuracies}
    return {results.view.title(key): "–" if seen is None else percent(seen) for key, seen in found.items()}


def by_class(score: int) -> Callable[[Results], Cells]:
    def scored(results: Results) -> Cells:
        (found,) = results.view.predictions(results.best[3])
        scores = precision_recall_fscore_support(found.labels, found.predicted)[score]
        return dict(zip(results.view.classes, map(percent, scores), strict=True))

    return scored


def timed(results: Results) -> dict[str, str]:
    """Keys of the models timed, by the names of their rows."""
    (run,) = results.view.runs_of("level5/latency")
    rows = read_json(run.folder / LATENCY)
    return {f"{results.view.title(row['model'])}, {row['precision']}": row["model"] for row in rows}


def wilson(results: Results, key: str) -> str:
    (found,) = results.view.predictions(key)
    low, high = proportion_confint(found.correct.sum(), len(found.correct), method="wilson")
    return f"{percent(low)} to {percent(high)}"


def voting(results: Results) -> Cells:
    assert results.ensemble is not None
    keys = (*results.ensemble.members, *results.ensemble.votes)
    return {results.view.title(key): accuracy(results, key, "validation") for key in keys}


def disagreeing(results: Results) -> Cells:
    assert results.ensemble is not None
    right = {results.view.title(key): results.view.predictions(key)[0].correct for key in results.ensemble.members}
    return {f"{a}, {b}": percent((right[a] != right[b]).mean()) for a, b in combinations(right, 2)}


def measured(format: Callable[[float], str], name: str) -> Callable[[Results], Cells]:
    """A measurement of the models timed, as the run recorded it."""

    def read(results: Results) -> Cells:
        (run,) = results.view.runs_of("level5/latency")
        rows, keys = read_json(run.folder / LATENCY), timed(results)
        return {shown: format(row[name]) for shown, row in zip(keys, rows, strict=True)}

    return read


def changes(results: Results) -> Cells:
    """Difference from the control with its interval, by the compared models."""
    view = results.view
    return {
        f"{view.title(key)}, {view.title(each.control)}": (
            f"{formats.points(each.comparison.difference)} "
            f"({formats.points_interval(each.comparison.low, each.comparison.high)})"
        )
        for key, each in results.judged.items()
    }


def detectable(results: Results) -> Cells:
    view = results.view
    return {
        f"{view.title(key)}, {view.title(each.control)}": percent(each.power.detectable) if each.power else "–"
        for key, each in results.judged.items()
    }


@pytest.mark.parametrize(
    ("table", "head", "expected"),
    [
        (accuracies, "Train, %", trained),
        (accuracies, "Validation, %", by_experiment("validation")),
        (accuracies, "Test, %", by_experiment("test")),
        (per_class, "Precision, %", by_class(0)),
        (per_class, "Recall, %", by_class(1)),
        (per_class, "F1, %", by_class(2)),
        (deployment, "Accuracy, %", lambda results: {n: accuracy(results, k) for n, k in timed(results).items()}),
        (deployment, "95 % CI", lambda results: {n: wilson(results, k) for n, k in timed(results).items()}),
        (deployment, "p95, ms", measured(formats.decimal, "p95_ms")),
        (deployment, "Images/s", measured(formats.count, "images_per_second")),
        (effects, "Difference (95 % CI)", changes),
        (effects, "Detectable", detectable),
        (members, "Validation, %", voting),
        (runs, "Test accuracy, %", lambda results: {key: accuracy(results, key) for key in results.view.experiments}),
        (diversity, "Disagreement, %", disagreeing),
    ],
)
def test_a_column_holds_what_its_head_says(
    results: Results, table: Callable[[Results], Table], head: str, expected: Callable[[Results], Cells]
) -> None:
    assert column(table(results), head) == expected(results)
