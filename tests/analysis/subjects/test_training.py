"""What training costs, and level 1's curves."""

from __future__ import annotations

from collections.abc import Callable

from analysis.results import Results
from analysis.subjects.training import accuracies, cost_facts, curves


def test_accuracies_of_all_experiments_stand_beside_what_they_cost(results: Results, empty: Results) -> None:
    table = accuracies(results)
    assert table is not None and accuracies(empty) is None
    rows = {row[0]: row for row in table.rows}
    assert len(rows) == len(results.accuracies)
    assert rows["Fine-tuned backbone"][-3:] == ("3.40 M", "60.0 M", "25.0 s")
    assert rows["Mean of probabilities"][-3:] == ("–", "–", "–")


def test_costs_are_those_of_every_network_that_was_trained(results: Results, named: Callable) -> None:
    facts = named(cost_facts(results))
    assert facts["training-time/level3/se-head"].text == "25.0 s"
    assert {name.split("/", 1)[1] for name in facts} == {experiment.key for experiment in results.view.trained}


def test_curves_wait_for_level_1(results: Results, empty: Results) -> None:
    figure = curves(results)
    assert figure is not None and curves(empty) is None
    assert "40 validation images" in figure.caption
