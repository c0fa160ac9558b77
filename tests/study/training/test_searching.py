from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from study.data.datasets import Dataset
from study.errors import StudyError
from study.experiment import Architecture, Recipe, Search, Stage, Training
from study.machine import Machine
from study.training import searching

pytestmark = pytest.mark.usefixtures("one_thread")

SEARCH = Search(
    level=2, name="search", title="Search", trials=4, trial_epochs=2, trial_images=40,
    learning_rate=(1e-4, 1e-2), weight_decay=(1e-3, 0.1), label_smoothing=(0.0, 0.2),
    base=Training(
        level=2, name="base", title="Base", architecture=Architecture("compact_cnn_small"),
        recipe=Recipe((Stage(3, 1e-3, 32),), 20),
    ),
)  # fmt: skip


class Killed(BaseException):
    pass


def run(folder: Path, digits: Dataset, cpu: Machine, killed_after_steps: int | None = None) -> list[dict]:
    steps = 0

    def on_images(_: int) -> None:
        nonlocal steps
        steps += 1
        if steps == killed_after_steps:
            raise Killed

    return searching.run_trials(SEARCH, digits, cpu, 0, folder, on_images)


def without_times(trials: list[dict]) -> list[dict]:
    return [{name: value for name, value in trial.items() if name != "seconds"} for trial in trials]


def test_interrupted_search_resumes_to_the_same_trials(tmp_path: Path, digits: Dataset, cpu: Machine) -> None:
    (tmp_path / "whole").mkdir(), (tmp_path / "killed").mkdir()
    whole = run(tmp_path / "whole", digits, cpu)
    with pytest.raises(Killed):
        run(tmp_path / "killed", digits, cpu, killed_after_steps=7)
    assert without_times(run(tmp_path / "killed", digits, cpu)) == without_times(whole)


def test_trials_stay_in_their_ranges_and_a_finished_search_adds_none(
    tmp_path: Path, digits: Dataset, cpu: Machine
) -> None:
    trials = run(tmp_path, digits, cpu)
    assert len(trials) == 4 and {trial["state"] for trial in trials} <= {"COMPLETE", "PRUNED"}
    assert all(1e-4 <= trial["params"]["learning_rate"] <= 1e-2 for trial in trials)
    assert without_times(run(tmp_path, digits, cpu)) == without_times(trials)


def test_a_kill_in_the_middle_of_a_line_loses_no_trial(
    tmp_path: Path, digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("search")  # as with --runs runs: Optuna's lock is then a link to nowhere
    folder.mkdir()
    with pytest.raises(Killed):
        run(folder, digits, cpu, killed_after_steps=7)
    journal = folder / searching.JOURNAL
    journal.with_name(f"{journal.name}.lock").symlink_to(journal)
    with journal.open("ab") as file:
        file.write(b'{"op_code": 6, "wor')
    (tmp_path / "whole").mkdir()
    assert without_times(run(folder, digits, cpu)) == without_times(run(tmp_path / "whole", digits, cpu))


def test_winner_has_the_best_validation_accuracy_and_the_base_budget() -> None:
    params = {"learning_rate": 5e-3, "weight_decay": 0.02, "label_smoothing": 0.05}
    trials = [
        {"number": 0, "state": "COMPLETE", "value": 0.5, "params": {}},
        {"number": 1, "state": "COMPLETE", "value": 0.7, "params": params},
        {"number": 2, "state": "PRUNED", "value": 0.9, "params": {}},
    ]
    winner, recipe = searching.best_recipe(SEARCH, trials)
    assert winner["number"] == 1
    assert recipe == replace(
        SEARCH.base.recipe, stages=(Stage(3, 5e-3, 32),), weight_decay=0.02, label_smoothing=0.05
    )  # fmt: skip


def test_search_in_which_every_trial_diverges_says_so(tmp_path: Path, digits: Dataset, cpu: Machine) -> None:
    recipe = replace(SEARCH.base.recipe, optimizer="sgd")
    wild = replace(SEARCH, base=replace(SEARCH.base, recipe=recipe), learning_rate=(1e29, 1e30), trials=2)
    trials = searching.run_trials(wild, digits, cpu, 0, tmp_path, lambda _: None)
    assert [trial["state"] for trial in trials] == ["FAIL", "FAIL"]
    with pytest.raises(StudyError, match="every trial of level2/search diverged"):
        searching.best_recipe(wild, trials)
