from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from study import files
from study.design.levels import experiments
from study.design.presets import QUICK
from study.experiment import Experiment
from study.kinds import Kind, Scale
from study.running import estimate
from study.running.estimate import Estimator, cache_file, place

BY_KEY = {experiment.key: experiment for experiment in experiments(QUICK)}
SCALE = Scale({"train": 800, "validation": 100, "test": 200, "ood": 50}, BY_KEY, bfloat16=False)
TUNED, PLAIN, FROZEN, SCRATCH, SEARCH, VOTE = (
    BY_KEY[f"level{key}"] for key in ("2/augmented", "2/plain", "1/head-only", "3/scratch-cnn", "2/search", "4/hard")
)
HERE = {"processor": "Fast", "device": "cpu", "threads": 2}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@dataclass
class Recorded:
    """What an estimator reads of a run."""

    experiment: Experiment
    durations: dict[str, float]
    environment: dict[str, Any] = field(default_factory=lambda: dict(HERE))


def estimator(*runs: Recorded) -> Estimator:
    return Estimator.of(SCALE, place(HERE), runs)  # type: ignore[arg-type]


def test_without_anything_known_estimates_are_nominal() -> None:
    assert estimator().seconds(TUNED) == TUNED.cost(SCALE)


def test_a_run_teaches_what_runs_of_its_pace_take() -> None:
    found = estimator()
    found.learn(TUNED, 3 * TUNED.cost(SCALE))
    assert found.seconds(TUNED) == pytest.approx(3 * TUNED.cost(SCALE))
    assert PLAIN.pace == TUNED.pace and found.seconds(PLAIN) == pytest.approx(3 * PLAIN.cost(SCALE))
    found.learn(PLAIN, 2 * PLAIN.cost(SCALE))
    assert found.seconds(TUNED) == pytest.approx(2 * TUNED.cost(SCALE)), "the last one counts"


def test_runs_of_another_pace_get_the_median_of_what_is_known_and_of_what_was_thought_before() -> None:
    found = estimator()
    for experiment, ratio, median in ((TUNED, 8.0, 4.5), (FROZEN, 2.0, 2.0), (SEARCH, 3.0, 2.5)):
        found.learn(experiment, ratio * experiment.cost(SCALE))
        assert found.seconds(SCRATCH) == pytest.approx(median * SCRATCH.cost(SCALE))


def test_other_processes_make_all_runs_take_longer_and_paces_are_those_without_them() -> None:
    found = Estimator.of(SCALE, place(HERE), [], slowdown=2.5)
    assert found.seconds(SCRATCH) == pytest.approx(2.5 * SCRATCH.cost(SCALE))
    found.learn(TUNED, 5 * TUNED.cost(SCALE))
    assert found.seconds(TUNED) == pytest.approx(5 * TUNED.cost(SCALE))
    found.remember()
    assert estimator().seconds(TUNED) == pytest.approx(2 * TUNED.cost(SCALE))


def test_slowdown_is_what_threads_that_have_work_are_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    given, clock = iter([1.0, 1.1]), itertools.count(0.0, 0.0625)
    monkeypatch.setattr(estimate.time, "process_time", lambda: next(given))
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(clock))
    assert estimate.slowdown_now(1) == pytest.approx(0.25 / 0.1), "from the second look at the clock to the sixth"


def test_a_short_run_teaches_nothing() -> None:
    found = estimator()
    found.learn(TUNED, 0.0)
    found.learn(TUNED, estimate.TELLING_SECONDS / 2)
    assert VOTE.cost(SCALE) < estimate.TELLING_SECONDS
    found.learn(VOTE, 100.0)
    assert found.ratios == {}


def test_runs_of_the_study_teach_where_they_ran_on_such_a_machine() -> None:
    took = {"total": 5 * TUNED.cost(SCALE)}
    assert estimator(Recorded(TUNED, took)).seconds(TUNED) == pytest.approx(5 * TUNED.cost(SCALE))
    for elsewhere in ({"processor": "Slow"}, {"device": "cuda"}, {"threads": 1}):
        assert estimator(Recorded(TUNED, took, HERE | elsewhere)).ratios == {}


def test_what_was_learnt_is_kept_for_the_next_study_on_the_same_machine(tmp_path: Path) -> None:
    found = estimator()
    found.learn(TUNED, 4 * TUNED.cost(SCALE))
    found.remember()
    assert cache_file().is_file() and cache_file().is_relative_to(tmp_path)
    assert estimator().ratios == found.ratios
    assert Estimator.of(SCALE, "another machine", []).ratios == {}
    own = estimator(
        Recorded(TUNED, {"total": 7 * TUNED.cost(SCALE)}), Recorded(SEARCH, {"total": 9 * SEARCH.cost(SCALE)})
    )
    assert own.seconds(TUNED) == pytest.approx(4 * TUNED.cost(SCALE)), "the cache knows how busy the machine was"
    assert own.seconds(SEARCH) == pytest.approx(9 * SEARCH.cost(SCALE))


def test_other_machines_paces_stay_in_the_cache() -> None:
    files.write_json(cache_file(), {"another machine": {"Vote": 2.0}})
    found = estimator()
    found.learn(SEARCH, SEARCH.cost(SCALE))
    found.remember()
    assert json.loads(cache_file().read_text()) == {"another machine": {"Vote": 2.0}, place(HERE): {SEARCH.pace: 1.0}}


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '"text"', json.dumps({place(HERE): 3}), json.dumps({place(HERE): {"Vote": "x"}})],
)
def test_a_damaged_cache_is_ignored(content: str) -> None:
    cache_file().parent.mkdir(parents=True)
    cache_file().write_text(content)
    found = estimator()
    assert found.seconds(TUNED) == TUNED.cost(SCALE)
    found.learn(TUNED, 2 * TUNED.cost(SCALE))
    found.remember()
    assert estimator().seconds(TUNED) == pytest.approx(2 * TUNED.cost(SCALE))


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    found = estimator()
    found.learn(TUNED, 2 * TUNED.cost(SCALE))
    found.remember()
    assert estimator().seconds(TUNED) == TUNED.cost(SCALE)


def test_the_cache_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(estimate.Path, "home", lambda: tmp_path)
    assert cache_file() == tmp_path / ".cache" / "image-classification-study" / "paces.json"


def test_every_kind_of_the_study_can_be_estimated() -> None:
    assert all(isinstance(e, Kind) and estimator().seconds(e) > 0 for e in BY_KEY.values())
