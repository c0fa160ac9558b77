"""Diagrams of the networks, from their recorded blocks."""

from __future__ import annotations

from analysis.results import Results
from analysis.subjects.architecture import architecture, details, distinct
from study.experiment import network_name


def test_details_omit_parameters_where_there_are_none() -> None:
    assert details([384], 0) == "384"
    assert details([48, 32, 32], 1392) == "48×32×32\n1.39 k"


def test_networks_of_level_3_are_shown_once_each_with_what_their_runs_recorded(results: Results) -> None:
    shown = distinct(results)
    assert list(shown) == ["SE head", "CompactCNN", "Small CompactCNN"]
    recorded = results.view.runs_of("level3/se-head")[0].metrics["blocks"]
    assert shown["SE head"] == [
        (network_name(name), details(shape, parameters)) for name, shape, parameters in recorded
    ]
    assert ("SE attention", "1280×2×2\n90.0 k") in shown["SE head"]


def test_diagram_is_pending_before_the_first_network(empty: Results, results: Results) -> None:
    assert architecture(empty) is None
    figure = architecture(results)
    assert figure is not None and figure.caption.startswith("The 3 networks of level 3.")
