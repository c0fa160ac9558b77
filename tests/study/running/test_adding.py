from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from study import records, status
from study.errors import StudyError
from study.kinds import Added, JoinedVote
from study.records import Predictions, Run
from study.running import runner
from study.running.adding import add
from study.running.options import Options
from study.running.study import prepare
from tests.fabricate import experiments, fabricate

CONTROL, IMAGES = "level2/augmented", 60
Contents = Callable[[Path], dict[str, bytes]]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate(tmp_path_factory.mktemp("original"), seeds=(0, 1), images=IMAGES, planned=experiments(1, 2, 3, 4))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "runs" / "quick-cifar10")


def _predictions(folder: Path, split: str = "test", seed: int = 0) -> Predictions:
    return records.load_run(folder / f"{CONTROL}/seed-{seed}").predictions(split)


def _file(folder: Path, **changes: Any) -> Path:  # noqa: ANN401 - arrays
    """The control's own logits on both splits, as if they had been made elsewhere; None leaves an array out."""
    arrays: dict[str, Any] = {}
    for split in ("validation", "test"):
        predictions = _predictions(folder, split)
        arrays |= {f"{split}_labels": predictions.labels, f"{split}_logits": predictions.logits}
    path = folder.parent.parent / "mine.npz"
    np.savez(path, **{name: array for name, array in (arrays | changes).items() if array is not None})
    return path


def _current(folder: Path) -> dict[str, Run]:
    return records.current_runs(folder, records.read_plan(folder))


def _only_test(folder: Path) -> dict[str, Any]:
    return {"validation_labels": None, "validation_logits": None, "test_logits": None}


def test_logits_join_as_they_are_beside_the_study_s_own_indices(folder: Path) -> None:
    (said,) = add(folder, _file(folder), "Mine", CONTROL)
    run = _current(folder)["added/mine/seed-0"]
    assert said == f"added/mine/seed-0: test accuracy {100 * _predictions(folder).accuracy:.2f} %"
    for split in ("validation", "test"):
        ours, theirs = run.predictions(split), _predictions(folder, split)
        for name in ("indices", "labels", "logits"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert run.experiment == Added(name="mine", form="logits") and run.experiment.title == "Mine (added)"


def test_probabilities_become_logits_with_the_same_softmax(folder: Path) -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(10), IMAGES)
    add(folder, _file(folder, **_only_test(folder), test_probabilities=probs), "Mine")
    logits = _current(folder)["added/mine/seed-0"].predictions("test").logits
    np.testing.assert_allclose(np.exp(logits), probs, rtol=1e-5)


def test_hard_labels_are_recorded_as_predicted_and_as_no_more(folder: Path) -> None:
    labels = (_predictions(folder).labels + (np.arange(IMAGES) < 15)) % 10
    add(folder, _file(folder, **_only_test(folder), test_predicted=labels), "Mine")
    run = _current(folder)["added/mine/seed-0"]
    np.testing.assert_array_equal(run.predictions("test").predicted, labels)
    assert run.metrics["test_accuracy"] == 45 / 60
    assert isinstance(run.experiment, Added) and not run.experiment.graded
    assert run.predicts("test") and not run.predicts("validation")


def test_another_seed_of_the_same_title_is_a_repetition(folder: Path) -> None:
    for seed in (0, 1):
        add(folder, _file(folder), "Mine", CONTROL if seed == 0 else "", seed)
    (added,) = [each for each in records.read_plan(folder).experiments if each.elsewhere]
    assert isinstance(added, Added) and added.seeds == (0, 1) and added.control == CONTROL
    assert {"added/mine/seed-0", "added/mine/seed-1"} <= set(_current(folder))


def test_a_vote_takes_no_other_additions_place(folder: Path) -> None:
    add(folder, _file(folder), "Mine in hard")
    with pytest.raises(StudyError, match="has added/mine-in-hard already, and it is no such vote; choose another"):
        add(folder, _file(folder), "Mine", vote="level4/hard")
    assert "added/mine-in-hard/seed-0" in _current(folder) and "added/mine/seed-0" not in _current(folder)


def test_seeds_without_predictions_are_not_pending(folder: Path) -> None:
    add(folder, _file(folder), "Mine", vote="level4/hard")
    summary = status.summary(folder, records.read_plan(folder), _current(folder), {})
    rows = {row["run"]: row["state"] for row in summary if row["run"].startswith("added")}
    assert rows == {"added/mine/seed-0": "complete", "added/mine-in-hard/seed-0": "to do"}


def test_the_same_seed_again_replaces_the_predictions_and_keeps_the_old_ones(folder: Path) -> None:
    add(folder, _file(folder), "Mine")
    worse = _predictions(folder).logits[::-1]
    add(folder, _file(folder, test_logits=worse), "Mine")
    np.testing.assert_array_equal(_current(folder)["added/mine/seed-0"].predictions("test").logits, worse)
    assert len(list((folder / records.SUPERSEDED / "added/mine").iterdir())) == 1


@pytest.mark.parametrize(("title", "name"), [("Résnet 50!", "resnet-50"), ("模型", "")])
def test_titles_of_any_script_have_a_folder(folder: Path, title: str, name: str) -> None:
    add(folder, _file(folder), title)
    (added,) = [each for each in records.read_plan(folder).experiments if each.elsewhere]
    assert added.title == f"{title} (added)"
    assert added.name == name if name else added.name.isalnum() and added.name.isascii()


def _nan(logits: np.ndarray) -> np.ndarray:
    return np.where(np.arange(logits.size).reshape(logits.shape) == 3, np.nan, logits)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: {"test_labels": p.labels[:-1]}, "the study has 60 test images, and the file 59 test labels"),
        (lambda p: {"test_labels": p.labels[::-1]}, r"row 1 has 9 and the study 0 \(airplane\), and 60 of 60 differ"),
        (lambda p: {"test_labels": p.labels.astype(float)}, "test labels must be whole numbers, not float64"),
        (
            lambda p: {"test_indices": p.indices + 1},
            "test indices are not the study's: row 1 has 121 and the study 120",
        ),
        (lambda p: {"test_logits": p.logits[:, :9]}, r"test logits must be 60 × 10 \(images by classes\), not 60 × 9"),
        (lambda p: {"test_logits": _nan(p.logits)}, "test logits must be finite numbers"),
        (lambda p: {"test_logits": p.logits * 1e300}, "test logits must be finite numbers"),
        (lambda p: {"test_logits": p.logits.astype(str)}, "test logits must be finite numbers"),
        (lambda p: {"test_logits": None, "test_probabilities": p.logits}, "not both labels and probabilities"),
        (lambda p: {"validation_labels": p.labels[1:]}, "and the file 59 validation labels"),
    ],
)
def test_predictions_that_do_not_fit_are_one_line_and_nothing_is_written(
    folder: Path, folder_contents: Contents, change: Callable[[Predictions], dict[str, Any]], says: str
) -> None:
    with np.errstate(over="ignore"):
        file = _file(folder, **change(_predictions(folder)))
        before = folder_contents(folder)
        with pytest.raises(StudyError, match=says) as caught:
            add(folder, file, "Mine", CONTROL)
    assert "\n" not in str(caught.value)
    assert folder_contents(folder).keys() - {runner.LOCK} == before.keys()
    assert folder_contents(folder)[records.STUDY] == before[records.STUDY]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"test_probabilities": np.full((IMAGES, 10), 0.2)}, "test probabilities must not be negative and sum to 1"),
        ({"test_predicted": np.full(IMAGES, 10)}, "test predicted must be classes, whole numbers from 0 to 9"),
        ({"test_predicted": np.full((IMAGES, 1), 1)}, r"test predicted must be 60 \(images by classes\), not 60 × 1"),
    ],
)
def test_values_that_are_not_what_they_are_called_are_one_line(
    folder: Path, values: dict[str, np.ndarray], says: str
) -> None:
    with pytest.raises(StudyError, match=says):
        add(folder, _file(folder, **_only_test(folder), **values), "Mine")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"control": "level2/augmentd"},
            "no experiment 'level2/augmentd' to be the control; nearest: level2/augmented",
        ),
        ({"control": "level3/grad-cam"}, "level3/grad-cam predicts nothing that could be compared"),
        ({"control": "added/mine"}, "no experiment 'added/mine' to be the control"),
        ({"seed": 7}, "the study has no seed 7; its seeds are 0, 1"),
        ({"title": "two\nlines"}, "--title takes one line"),
        ({"title": "x" * 61}, "at most 60 characters"),
        ({"vote": "level2/augmented"}, "no vote 'level2/augmented'; its votes are level4/soft-probabilities, "),
    ],
)
def test_flags_that_fit_nothing_are_one_line(folder: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(StudyError, match=says):
        add(folder, _file(folder), **({"title": "Mine"} | options))
    assert not (folder / "added").exists()


def test_a_title_stands_for_one_form_of_predictions(folder: Path) -> None:
    add(folder, _file(folder), "Mine")
    hard = _file(folder, **_only_test(folder), test_predicted=_predictions(folder).labels)
    with pytest.raises(StudyError, match="added/mine holds logits called 'Mine .added.'; choose another --title"):
        add(folder, hard, "Mine", seed=1)


def test_hard_labels_join_a_hard_vote_only_and_votes_need_validation_images(folder: Path) -> None:
    hard = {f"{split}_predicted": _predictions(folder, split).labels for split in ("validation", "test")}
    both = _file(folder, validation_logits=None, test_logits=None, **hard)
    with pytest.raises(StudyError, match=r"hard labels have no probabilities to vote with; .* \(level4/hard\)"):
        add(folder, both, "Mine", vote="level4/soft-logits")
    add(folder, both, "Mine", vote="level4/hard")
    (vote,) = [each for each in records.read_plan(folder).experiments if isinstance(each, JoinedVote)]
    assert vote.control == "level4/hard" and vote.members[-1] == "added/mine" and vote.key == "added/mine-in-hard"
    test_only = _file(folder, validation_labels=None, validation_logits=None)
    with pytest.raises(StudyError, match="a member of a vote needs predictions on validation images"):
        add(folder, test_only, "Other", vote="level4/hard")


def test_a_study_without_predictions_or_without_a_plan_says_so(folder: Path, tmp_path: Path) -> None:
    file = _file(folder)
    fresh = fabricate(tmp_path / "fresh", images=IMAGES, skip=[e.key for e in experiments()])
    with pytest.raises(StudyError, match="run `invoke study` first"):
        add(fresh, file)
    with pytest.raises(StudyError, match="no study in"):
        add(tmp_path / "nowhere", file)
    assert not (tmp_path / "nowhere").exists()


def test_what_was_added_survives_the_next_study_and_its_vote_is_taken(
    tiny_study: Path, tiny_options: Options, tmp_path: Path
) -> None:
    folder = tmp_path / tiny_study.name
    shutil.copytree(tiny_study, folder)
    run = records.load_run(folder / f"{CONTROL}/seed-0")
    np.savez(tmp_path / "mine.npz", **{n: v for n, v in run.arrays.items() if n.endswith(("labels", "logits"))})
    add(folder, tmp_path / "mine.npz", "Mine", CONTROL, vote="level4/soft-logits")
    said: list[str] = []
    runner.run(replace(tiny_options, runs=tmp_path), said.append)
    current = _current(folder)
    assert "1 to do" in said[1]
    vote = current["added/mine-in-soft-logits/seed-0"]
    members = [current[f"{key}/seed-0"].predictions("test").logits for key in vote.metrics["members"]]
    assert vote.metrics["members"][-1] == "added/mine"
    expected = np.mean(members, axis=0)
    expected -= np.log(np.exp(expected).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(vote.predictions("test").logits, expected, atol=1e-5)
    runner.run(replace(tiny_options, runs=tmp_path, levels=(1,)), said.append)
    assert "added/mine/seed-0" in _current(folder)


def test_a_vote_that_predictions_join_is_taken_by_a_call_with_other_seeds(folder: Path) -> None:
    add(folder, _file(folder), "Mine", vote="level4/hard")
    options = Options(preset="quick", runs=folder.parent, dataset="digits", device="cpu", study=folder.name, seeds=(1,))
    assert [job.name for job in prepare(options).joined(_current(folder))] == ["added/mine-in-hard/seed-0"]


def test_what_was_added_outlives_a_damaged_plan(folder: Path) -> None:
    for seed in (0, 1):
        add(folder, _file(folder), "Mine", CONTROL, seed, vote="level4/hard")
    plan = records.read_plan(folder)
    (folder / records.STUDY).write_text("{")
    options = Options(preset="quick", runs=folder.parent, dataset="digits", device="cpu", study=folder.name)
    found = prepare(options)
    mine = [each for each in plan.experiments if each.elsewhere]
    assert found.added[:1] == tuple(mine) and found.added[0].seeds == (0, 1)  # type: ignore[attr-defined]
    assert found.unreadable[0].endswith("study.json is written anew")
    for spec in (folder / "added").rglob(records.SPEC):
        spec.write_text('{"format": 1}')
    again = prepare(options)
    assert again.added == () and again.unreadable[0].endswith("and what was added has to be added again")
