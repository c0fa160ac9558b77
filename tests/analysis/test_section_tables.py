"""Tables of the ensemble, deployment, trust, environment and runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.results import Results, results_of
from analysis.section_tables import deployment, diversity, environment, members, runs, trust
from analysis.view import view_study
from study.records import sha256
from tests.fabricate import fabricate


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results_of(view_study(fabricate(tmp_path_factory.mktemp("study"), images=100)))


def test_members_come_before_votes_and_only_the_chosen_vote_has_a_p(results: Results) -> None:
    table = members(results, {})
    assert table is not None and results.ensemble is not None
    assert [row[1] for row in table.rows] == ["member"] * 3 + ["vote"] * 5
    assert [row[2] for row in table.rows[:3]] == ["0.33"] * 3
    tested = [row[0] for row in table.rows if row[-1] != "–"]
    assert tested == [results.view.title(results.ensemble.best_vote)]


def test_diversity_has_a_row_per_pair(results: Results) -> None:
    table = diversity(results, {})
    assert table is not None
    assert len(table.rows) == 3


def test_deployment_prints_megabytes_and_milliseconds(results: Results) -> None:
    table = deployment(results, {})
    assert table is not None
    (int8,) = (row for row in table.rows if row[1] == "int8")
    assert int8[3:6] == ("1.60", "0.70", "0.84")


def test_trust_has_a_row_per_uncertainty(results: Results) -> None:
    table = trust(results, {})
    assert table is not None and results.trust is not None
    assert [row[0] for row in table.rows] == [u.title for u in results.trust.uncertainties.values()]


def test_environment_adds_up_compute_level_by_level(results: Results) -> None:
    table = environment(results, {})
    assert table is not None
    values = {row[0]: row[1] for row in table.rows}
    assert values["Compute, level 1"] == "1.0 min"  # two runs of 30 s
    assert values["Compute, total"] == "15.0 min"  # thirty


def test_runs_carry_the_digest_of_what_they_predicted(results: Results) -> None:
    table = runs(results, {})
    assert table is not None
    folder: Path = results.view.runs_of("level1/finetuned")[0].folder
    (row,) = (row for row in table.rows if row[0] == "level1/finetuned")
    assert row[-1] == sha256(folder / "predictions.npz")[:12]
    assert table.caption.startswith("30 of 30 planned runs are complete.")
