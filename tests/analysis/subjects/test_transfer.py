"""What training costs, and level 1's curves."""

from __future__ import annotations

from collections.abc import Callable

from analysis.results import Results
from analysis.subjects.comparisons import level_tables
from analysis.subjects.transfer import cost_facts, curves


def test_level1_adds_costs_in_place_of_the_controls(results: Results) -> None:
    table = dict(level_tables(results, {}))["level1"]
    assert table is not None
    assert table.rows[0][-3:] == ("3.40 M", "60.0 M", "25.0 s")
    assert "Control" not in table.header


def test_costs_are_those_of_every_network_that_was_trained(results: Results, named: Callable) -> None:
    facts = named(cost_facts(results))
    assert facts["training-time/level3/se-head"].text == "25.0 s"
    assert {name.split("/", 1)[1] for name in facts} == {experiment.key for experiment in results.view.trained}


def test_curves_wait_for_level_1(results: Results, empty: Results) -> None:
    figure = curves(results, {})
    assert figure is not None and curves(empty, {}) is None
    assert "40 validation images" in figure.caption
