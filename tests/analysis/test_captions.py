"""Sentences shared by captions."""

from __future__ import annotations

import pytest

from analysis.captions import accuracy_interval, difference_interval, join, takeaway
from analysis.evidence import Finding
from analysis.results import results_of
from analysis.view import view_study
from tests.fabricate import fabricate


def test_caption_says_which_variability_its_interval_covers(tmp_path_factory: pytest.TempPathFactory) -> None:
    one, two = (
        results_of(view_study(fabricate(tmp_path_factory.mktemp("study"), seeds=seeds, images=60)))
        for seeds in ((0,), (0, 1))
    )
    assert "Wilson" in accuracy_interval(one) and "not variation between training seeds" in accuracy_interval(one)
    assert "n = 2 seeds" in accuracy_interval(two) and "t intervals" in accuracy_interval(two)
    assert "McNemar" in difference_interval(one) and "bootstrap" in difference_interval(two)


def test_takeaway_is_the_first_finding_there_is() -> None:
    finding = Finding("b", "B holds.", "supported", ())
    assert takeaway({"b": finding}, "a", "b") == "B holds."
    assert takeaway({}, "a", "b") == ""


def test_empty_sentences_leave_no_gap() -> None:
    assert join("A.", "", "B.") == "A. B."
