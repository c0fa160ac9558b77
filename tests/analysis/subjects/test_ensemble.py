"""What voting gains, and how differently members err."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.results import Results
from analysis.subjects.ensemble import diversity, ensemble_facts, ensemble_findings, members, overlap


def test_gain_of_the_ensemble_is_fixed_less_broken(results: Results, named: Callable) -> None:
    facts = named(ensemble_facts(results))
    images = facts["ensemble/fixed"].value - facts["ensemble/broken"].value
    assert facts["ensemble/gain"].value == pytest.approx(images / 300)


def test_finding_compares_the_chosen_vote_with_the_best_member(results: Results) -> None:
    (finding,) = ensemble_findings(results)
    assert results.ensemble is not None
    assert finding.verdict == results.judged[results.ensemble.best_vote].verdict
    assert f"its best member ({results.view.title(results.ensemble.best_member)})" in finding.sentence
    assert finding.sentence[0].isupper()


def test_members_come_before_votes_and_only_the_chosen_vote_has_a_p(results: Results) -> None:
    table = members(results, {})
    assert table is not None and results.ensemble is not None
    assert [row[1] for row in table.rows] == ["member"] * 5 + ["vote"] * 5
    assert [row[2] for row in table.rows[:5]] == ["0.20"] * 5
    tested = [row[0] for row in table.rows if row[-1] != "–"]
    assert tested == [results.view.title(results.ensemble.best_vote)]


def test_diversity_has_a_row_per_pair(results: Results) -> None:
    table = diversity(results, {})
    assert table is not None
    assert len(table.rows) == 10  # pairs of five members


def test_ensemble_waits_for_its_runs(empty: Results) -> None:
    assert list(ensemble_facts(empty)) == list(ensemble_findings(empty)) == []
    assert members(empty, {}) is diversity(empty, {}) is overlap(empty, {}) is None
