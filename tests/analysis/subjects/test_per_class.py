"""Where the selected model errs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from analysis.results import Results
from analysis.subjects.per_class import class_facts, confusion, per_class


def test_most_confused_pair_is_counted_from_the_predictions(results: Results, named: Callable) -> None:
    facts = named(class_facts(results))
    predictions, classes = results.view.predictions(results.best[3])[0], results.view.classes
    true, predicted = (classes.index(facts[f"confused/{side}"].text) for side in ("true", "predicted"))
    assert facts["confused/count"].value == ((predictions.labels == true) & (predictions.predicted == predicted)).sum()


def test_worst_class_has_the_lowest_recall(results: Results, named: Callable) -> None:
    facts = named(class_facts(results))
    predictions = results.view.predictions(results.best[3])[0]
    recalls = [predictions.correct[predictions.labels == label].mean() for label in range(10)]
    assert facts["worst-class/recall"].value == pytest.approx(min(recalls))
    assert facts["worst-class/name"].text == results.view.classes[int(np.argmin(recalls))]


def test_per_class_shows_recall_beside_the_controls(results: Results) -> None:
    table = per_class(results, {})
    assert table is not None
    assert len(table.rows) == 10
    assert ("Control recall, %" in table.header) == (results.best[3] in results.judged)


def test_classes_wait_for_level_3(empty: Results) -> None:
    assert list(class_facts(empty)) == []
    assert per_class(empty, {}) is None and confusion(empty, {}) is None
