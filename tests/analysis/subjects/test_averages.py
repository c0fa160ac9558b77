from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, top_k_accuracy_score

from analysis.results import Results
from analysis.subjects.averages import averages, size_facts
from tests.fabricate import experiments

PLANNED = experiments(1, 2)


def test_equal_and_few_classes_need_no_other_average(results: Results) -> None:
    assert list(averages(results)) == [] and list(size_facts(results)) == []


def test_unbalanced_classes_add_the_averages_that_weigh_them_alike(
    fabricated: Callable[..., Results], named: Callable
) -> None:
    results = fabricated(classes=["a", "b", "c"], shares=(8, 4, 1), images=130, planned=PLANNED)
    ((_, table),) = averages(results)
    assert table is not None and "Top-5, %" not in table.header
    for row, key in zip(table.rows, results.best.values(), strict=True):
        (seed,) = results.view.predictions(key)
        shown = {name: float(value) for name, value in zip(table.header, row, strict=True) if name[-3:] == ", %"}
        assert shown["Balanced, %"] == pytest.approx(
            100 * balanced_accuracy_score(seed.labels, seed.predicted), abs=0.005
        )
        assert shown["Macro-F1, %"] == pytest.approx(
            100 * f1_score(seed.labels, seed.predicted, average="macro"), abs=0.005
        )
    assert "selected and compared by accuracy" in table.caption
    facts = named(size_facts(results))
    assert (facts["class-size/smallest"].value, facts["class-size/largest"].value) == (10, 80)


def test_more_than_ten_classes_add_the_five_likeliest(fabricated: Callable[..., Results]) -> None:
    results = fabricated(classes=[f"class {n}" for n in range(11)], images=110, planned=PLANNED)
    for key in results.best.values():
        (seed,) = results.view.predictions(key)
        missed = np.flatnonzero(~seed.correct)[::2]
        seed.logits[missed, seed.labels[missed]] = -9.0  # every other error takes its label for the unlikeliest
    ((_, table),) = averages(results)
    assert table is not None and table.header[3:] == ("Top-5, %", "95 % CI")
    for row, key in zip(table.rows, results.best.values(), strict=True):
        (seed,) = results.view.predictions(key)
        among = top_k_accuracy_score(seed.labels, seed.logits, k=5)
        assert seed.accuracy < among < 1 and float(row[3]) == pytest.approx(100 * among, abs=0.005)
