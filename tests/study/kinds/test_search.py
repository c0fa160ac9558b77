from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from study.errors import StudyError
from study.experiment import Recipe, Stage
from study.files import read_json
from study.kinds import Search
from study.kinds import search as kind
from study.kinds.search import JOURNAL, best_recipe, run_trials
from study.records import TRIALS
from tests.study.kinds.workshop import Workshop, network

pytestmark = pytest.mark.usefixtures("one_thread")

BASE = network("base", Recipe((Stage(3, 1e-3, 32),), 20))
SEARCH = Search(
    level=2,
    name="search",
    base=BASE,
    trials=4,
    trial_epochs=2,
    trial_images=40,
    learning_rate=(1e-4, 1e-2),
    weight_decay=(1e-3, 0.1),
    label_smoothing=(0.0, 0.2),
)
KILLED_AFTER_STEPS = 7


class Killed(BaseException):
    pass


Seen = list[tuple[int, bool]]  # images, and whether they were processed before it was resumed


def trials_of(
    workshop: Workshop, killed_after: int = 0, search: Search = SEARCH, seen: Seen | None = None
) -> list[dict]:
    told: Seen = [] if seen is None else seen

    def count(images: int, resumed: bool = False) -> None:
        told.append((images, resumed))
        if killed_after and [before for _, before in told].count(False) == killed_after:
            raise Killed

    return run_trials(search, workshop.context(search, count))


def without_times(trials: list[dict]) -> list[dict]:
    return [{name: value for name, value in trial.items() if name != "seconds"} for trial in trials]


def test_interrupted_search_resumes_to_the_same_trials_and_a_finished_one_adds_none(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Seen] = {"whole": [], "resumed": []}
    whole = trials_of(workshop, seen=seen["whole"])
    assert len(whole) == 4 and {trial["state"] for trial in whole} <= {"COMPLETE", "PRUNED"}
    for name, (low, high) in (("learning_rate", (1e-4, 1e-2)), ("weight_decay", (1e-3, 0.1))):
        assert all(low <= trial["params"][name] <= high for trial in whole)
    assert without_times(trials_of(workshop)) == without_times(whole)

    (workshop.root / "relative").mkdir()
    monkeypatch.chdir(workshop.root / "relative")
    other = replace(workshop, root=Path("."))  # as with --runs runs: Optuna's lock is then a link to nowhere
    with pytest.raises(Killed):
        trials_of(other, KILLED_AFTER_STEPS)
    journal = other.context(SEARCH).folder / JOURNAL
    journal.with_name(f"{journal.name}.lock").symlink_to(journal)
    with journal.open("ab") as file:
        file.write(b'{"op_code": 6, "wor')  # a kill in the middle of a line
    assert without_times(trials_of(other, seen=seen["resumed"])) == without_times(whole)
    before = sum(images for images, resumed in seen["resumed"] if resumed)
    assert before == KILLED_AFTER_STEPS // 2 * 40, "whole epochs of two steps, of two trials"
    assert sum(images for images, _ in seen["resumed"]) == sum(images for images, _ in seen["whole"])


def test_winner_has_the_best_validation_accuracy_and_the_base_budget() -> None:
    params = {"learning_rate": 5e-3, "weight_decay": 0.02, "label_smoothing": 0.05}
    trials = [
        {"number": 0, "state": "COMPLETE", "value": 0.5, "params": {}},
        {"number": 1, "state": "COMPLETE", "value": 0.7, "params": params},
        {"number": 2, "state": "PRUNED", "value": 0.9, "params": {}},
    ]
    winner, recipe = best_recipe(SEARCH, trials)
    assert winner["number"] == 1
    assert recipe == replace(BASE.recipe, stages=(Stage(3, 5e-3, 32),), weight_decay=0.02, label_smoothing=0.05)


def test_search_in_which_every_trial_diverges_says_so(workshop: Workshop) -> None:
    base = replace(BASE, recipe=replace(BASE.recipe, optimizer="sgd"))
    wild = replace(SEARCH, base=base, learning_rate=(1e29, 1e30), trials=2)
    trials = trials_of(workshop, search=wild)
    assert [trial["state"] for trial in trials] == ["FAIL", "FAIL"]
    with pytest.raises(StudyError, match="every trial of level2/search diverged"):
        best_recipe(wild, trials)


@pytest.mark.parametrize("seconds", [0.0, 50.0])
def test_trials_of_an_interrupted_session_count_in_the_time_of_a_search(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    params = {"learning_rate": 5e-3, "weight_decay": 0.02, "label_smoothing": 0.05}
    trial = {"state": "COMPLETE", "value": 0.5, "params": params, "seconds": seconds}
    trials = [trial | {"number": number} for number in range(4)]
    monkeypatch.setattr(kind, "run_trials", lambda *_: trials)
    context = workshop.context(SEARCH)
    outcome = SEARCH.carry_out(context)
    assert outcome.durations["earlier"] == pytest.approx(4 * seconds, abs=1.0)
    assert outcome.durations["search"] == pytest.approx(4 * seconds, abs=1.0)
    assert outcome.metrics["best_trial"] == 0 and outcome.metrics["epochs"] == 3
    assert read_json(context.folder / TRIALS) == trials
