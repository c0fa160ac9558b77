"""What the runs ran on and found."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.results import Results
from analysis.subjects.reproducibility import environment, environment_facts, revision_of, runs, threads_of
from study.files import sha256


def test_compute_adds_up_every_run(two_seeds: Results, named: Callable) -> None:
    fact, count = named(environment_facts(two_seeds))["study/compute"], 2 * len(two_seeds.view.experiments)
    assert fact.value == pytest.approx(count * 30 / 60)  # runs of 30 s, in minutes
    assert (fact.unit, fact.text) == ("minutes", f"{count / 2:.1f} min")
    assert len(fact.runs) == count


def test_study_without_runs_has_no_device(empty: Results) -> None:
    assert list(environment_facts(empty)) == []
    assert environment(empty) is None and runs(empty) is None


def test_threads_and_revisions_are_those_of_all_runs(results: Results) -> None:
    first = results.view.runs_of("level1/finetuned")[0].environment
    assert threads_of([first, first]) == "2 threads"
    assert revision_of([first, first]) == "0" * 12
    other = first | {"threads": 1, "commit": "1" * 40}
    assert threads_of([first, other]) == "1 to 2 threads"
    assert revision_of([first, other]) == f"{'0' * 12} and {'1' * 12}"


def test_switches_that_change_predictions_are_told(
    results: Results, named: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = results.view.own_runs[-1]
    assert "study/switches" not in named(environment_facts(results))
    monkeypatch.setitem(run.environment, "deterministic", True)
    assert named(environment_facts(results))["study/switches"].text == "--deterministic"


@pytest.mark.parametrize(("deterministic", "told"), [(True, "as here"), (False, "which was not done here")])
def test_kernels_of_a_gpu_are_told(
    results: Results, named: Callable, monkeypatch: pytest.MonkeyPatch, deterministic: bool, told: str
) -> None:
    assert "study/kernels" not in named(environment_facts(results))
    where = results.view.own_runs[-1].environment
    monkeypatch.setitem(where, "device", "cuda")
    monkeypatch.setitem(where, "deterministic", deterministic)
    assert named(environment_facts(results))["study/kernels"].text == told


def test_environment_adds_up_compute_level_by_level(results: Results) -> None:
    table = environment(results)
    assert table is not None
    values = {row[0]: row[1] for row in table.rows}
    assert values["Compute, level 1"] == "1.0 min"  # two runs of 30 s
    assert values["Compute, total"] == f"{len(results.view.experiments) / 2:.1f} min"
    assert values["Peak memory"] == "900 MB"


def test_runs_carry_the_digest_of_what_they_predicted(results: Results) -> None:
    table = runs(results)
    assert table is not None
    folder, count = results.view.runs_of("level1/finetuned")[0].folder, len(results.view.experiments)
    (row,) = (row for row in table.rows if row[0] == "level1/finetuned")
    assert row[-1] == sha256(folder / "predictions.npz")[:12]
    assert table.caption.startswith(f"{count} of {count} planned runs are complete.")
