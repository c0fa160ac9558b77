from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from study import execution, records
from study.data.datasets import Dataset
from study.design.levels import experiments
from study.errors import StudyError
from study.execution import Context, execute
from study.experiment import Experiment, Search, Training, Vote, identity
from study.inference.evaluation import Setting
from study.inference.runtime import run_onnx
from study.machine import Machine
from study.models.classifier import image_size
from study.running import runner
from study.running.jobs import Job, Options, Study, prepare
from study.running.progress import Reporter
from study.training import checkpoints, searching
from study.training.trainer import Progress

Contents = Callable[[Path], dict[str, bytes]]


def test_every_planned_run_is_complete(tiny_study: Path) -> None:
    planned = {entry["key"] for entry in records.load_plan(tiny_study)["experiments"]}
    assert {run.key for run in records.load_runs(tiny_study)} == planned
    assert not list(tiny_study.rglob(records.CHECKPOINT))


def test_second_study_changes_no_run(tiny_study: Path, tiny_options: Options, folder_contents: Contents) -> None:
    before = folder_contents(tiny_study)
    lines: list[str] = []
    runner.run(tiny_options, say=lines.append)
    assert folder_contents(tiny_study) == before
    jobs = len(prepare(tiny_options).jobs)
    assert any(f"{jobs} of {jobs} runs complete, 0 to do" in line for line in lines)


def test_runs_share_their_validation_and_test_images(tiny_study: Path) -> None:
    for split in records.SPLITS:
        predictions = [run.predictions(split) for run in records.load_runs(tiny_study) if run.arrays]
        assert len(predictions) > 20
        assert all(np.array_equal(predictions[0].indices, other.indices) for other in predictions)


def test_recorded_accuracy_is_that_of_the_recorded_predictions(tiny_study: Path) -> None:
    for run in records.load_runs(tiny_study):
        if run.arrays:
            assert run.metrics["test_accuracy"] == run.predictions("test").accuracy


@pytest.mark.parametrize(("key", "count"), [("level5/student", 1), ("level5/student-ensemble", 3)])
def test_teachers_are_the_best_members_by_validation(tiny_study: Path, key: str, count: int) -> None:
    runs = {run.key: run for run in records.load_runs(tiny_study)}
    candidates = runs[key].spec["experiment"]["distillation"]["candidates"]
    judged = {name: runs[name].metrics["validation_accuracy"] for name in candidates}
    teachers = runs[key].metrics["teacher"].split(", ")
    assert [judged[name] for name in teachers] == sorted(judged.values(), reverse=True)[:count]
    if count == 1:  # in int8, or it would be the very accuracy recorded
        assert abs(runs[key].metrics["teacher_validation_accuracy"] - judged[teachers[0]]) <= 0.1


@pytest.mark.parametrize("key", ["level5/int8-static", "level5/int8-dynamic"])
def test_int8_answers_to_an_image_do_not_depend_on_its_neighbours(
    tiny_study: Path, tiny_options: Options, key: str
) -> None:
    run = records.load_run(records.run_folder(tiny_study, key, 0))
    dataset = prepare(tiny_options).dataset
    images = dataset.images[dataset.test].numpy()[::-1][:5]
    alone = run_onnx(run.folder / "model-int8.onnx", images, batch_size=1)
    assert np.array_equal(alone, run.predictions("test").logits[::-1][:5])


def test_dropout_was_active(tiny_study: Path) -> None:
    run = next(run for run in records.load_runs(tiny_study) if run.key == "level5/mc-dropout")
    assert run.arrays["test_mutual_information"].max() > 1e-4


def test_dropout_is_sampled_under_autocast_too(
    tiny_study: Path, tiny_options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = prepare(tiny_options)
    experiment = next(e for e in experiments(study.preset) if e.key == "level5/mc-dropout")
    recorded = records.load_run(records.run_folder(tiny_study, experiment.key, 0)).arrays["test_logits"]
    monkeypatch.setattr(Machine, "autocast", lambda self, wished: torch.autocast("cpu", torch.bfloat16))
    narrow = _rerun(study, experiment, tmp_path)
    assert not np.array_equal(narrow, recorded)
    assert (narrow.argmax(1) == recorded.argmax(1)).mean() > 0.75


def test_a_pass_of_dropout_is_one_network_for_all_views(
    tiny_study: Path, tiny_options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, source = prepare(tiny_options), records.load_run(records.run_folder(tiny_study, "level3/se-head", 0))
    context = Context(study.dataset, study.machine, study.folder, tmp_path, 0, lambda _: None)
    images, setting = context.images("test")[:20], Setting(image_size(source))
    one, two = [], []
    for found, shown in ((one, replace(setting, flip=False)), (two, replace(setting, flip=True))):
        monkeypatch.setattr(execution, "_setting", lambda run, shown=shown: shown)
        monkeypatch.setattr(execution, "views", lambda x, flip: [x, x] if flip else [x])
        found.append(execution._dropout_samples(source, "test", images, 5, context))
    np.testing.assert_allclose(one[0], two[0], atol=1e-6)


def _rerun(
    study: Study, experiment: Experiment, folder: Path, advance: Callable[[int], None] = lambda _: None
) -> np.ndarray:
    context = Context(study.dataset, study.machine, study.folder, folder, 0, advance)
    return execute(experiment, context).arrays["test_logits"]


@pytest.mark.parametrize("key", ["level2/two-stage-mixup", "level5/compact-student"])
def test_same_spec_and_seed_give_bit_identical_predictions(
    tiny_study: Path, tiny_options: Options, tmp_path: Path, key: str
) -> None:
    study = prepare(tiny_options)
    experiment = next(e for e in experiments(study.preset) if e.key == key)
    recorded = records.load_run(records.run_folder(tiny_study, key, 0)).arrays["test_logits"]
    assert np.array_equal(_rerun(study, experiment, tmp_path), recorded)


def test_branch_equals_training_in_one_go_and_trains_only_what_is_left(
    tiny_study: Path, tiny_options: Options, tmp_path: Path
) -> None:
    study, key = prepare(tiny_options), "level5/compact-student"
    experiment = next(e for e in experiments(study.preset) if e.key == key)
    assert isinstance(experiment, Training) and experiment.branches_off == experiment.control
    student, control = (records.load_run(records.run_folder(tiny_study, k, 0)) for k in (key, experiment.control))
    seen: list[int] = []
    whole = _rerun(study, replace(experiment, branches_off=""), tmp_path / "whole", seen.append)
    assert np.array_equal(whole, student.arrays["test_logits"])
    assert len(seen) == student.metrics["steps"]
    seen.clear()
    branched = _rerun(study, experiment, tmp_path / "branched", seen.append)
    assert np.array_equal(branched, student.arrays["test_logits"])
    assert len(seen) == student.metrics["steps"] // 2, "one of two epochs is the control's"
    assert student.epochs.iloc[0].equals(control.epochs.iloc[0]) and not student.epochs.equals(control.epochs)
    assert records.BRANCH in control.files and records.BRANCH not in student.files
    assert student.durations["earlier"] == 0.0, "the time of the shared epochs is the control's"


def test_branch_at_another_epoch_is_refused(tiny_options: Options, tmp_path: Path, tiny_study: Path) -> None:
    study, key = prepare(tiny_options), "level5/compact-student"
    experiment = next(e for e in experiments(study.preset) if e.key == key)
    assert isinstance(experiment, Training) and experiment.distillation
    longer = replace(experiment, distillation=replace(experiment.distillation, last_epochs=2))
    with pytest.raises(StudyError, match="scratch-cnn/seed-0 does not hold its state after 0 epochs"):
        _rerun(study, longer, tmp_path)


def test_control_redone_to_the_same_result_leaves_what_builds_on_it_alone(copied: Options, tiny_study: Path) -> None:
    study = copied.runs / tiny_study.name
    shutil.rmtree(study / "level3/scratch-cnn")
    runner.run(copied)
    assert records.is_complete(study / "level3/scratch-cnn/seed-0")
    for key in ("level4/hard", "level5/compact-student", "level5/int8-static-compact"):
        name = f"{key}/seed-0/{records.RESULT}"
        assert (study / name).read_bytes() == (tiny_study / name).read_bytes()
    assert not (study / records.SUPERSEDED).exists()


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    ("key", "left"),
    [("level3/se-head", 1), ("level3/scratch-cnn", 2), ("level5/compact-student", 0)],
    ids=["after an epoch", "after the branch alone was kept", "after the epoch of its own"],
)
def test_killed_and_resumed_run_equals_the_recorded_one(
    tiny_study: Path, tiny_options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, left: int
) -> None:
    study = prepare(tiny_options)
    experiment = next(e for e in experiments(study.preset) if e.key == key)

    def save_then_die(
        path: Path, progress: Progress, save: Callable[[Path, Progress], None] = checkpoints.save
    ) -> None:
        save(path, progress)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", save_then_die)
        with pytest.raises(Killed):
            _rerun(study, experiment, tmp_path)
    recorded = records.load_run(records.run_folder(tiny_study, key, 0))
    seen: list[int] = []
    assert np.array_equal(_rerun(study, experiment, tmp_path, seen.append), recorded.arrays["test_logits"])
    assert len(seen) == left * recorded.metrics["steps"] // 2, "of two epochs"
    assert (tmp_path / records.BRANCH).exists() == (records.BRANCH in recorded.files)


@pytest.fixture
def copied(tiny_study: Path, tiny_options: Options, tmp_path: Path) -> Options:
    """Options of a copy of the study, to be harmed."""
    shutil.copytree(tiny_study, tmp_path / tiny_study.name)
    return replace(tiny_options, runs=tmp_path)


def test_curves_of_a_run_killed_after_its_last_epoch_are_whole(
    tiny_study: Path, tiny_options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, key = prepare(tiny_options), "level3/se-head"
    experiment = next(e for e in experiments(study.preset) if e.key == key)
    epochs = records.load_run(records.run_folder(tiny_study, key, 0)).metrics["epochs"]

    def die_at_the_end(path: Path, progress: Progress, save: Callable = checkpoints.save) -> None:
        save(path, progress)
        if len(progress.rows) == epochs:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save", die_at_the_end)
        with pytest.raises(Killed):
            _rerun(study, experiment, tmp_path)
    _rerun(study, experiment, tmp_path)
    assert len(records.read_epochs(tmp_path)) == epochs


def test_trials_of_an_interrupted_session_count_in_the_time_of_a_search(
    tiny_study: Path, tiny_options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, key = prepare(tiny_options), "level2/search"
    experiment = next(e for e in experiments(study.preset) if e.key == key)
    recorded = records.load_run(records.run_folder(tiny_study, key, 0))
    trials = [trial | {"seconds": 50.0} for trial in records.read_json(recorded.folder / "trials.json")]
    monkeypatch.setattr(searching, "run_trials", lambda *_: trials)
    context = Context(study.dataset, study.machine, study.folder, tmp_path, 0, lambda _: None)
    durations = execute(experiment, context).durations
    assert recorded.durations["earlier"] == 0.0
    assert durations["earlier"] == pytest.approx(50 * len(trials), abs=5.0)
    assert durations["search"] == pytest.approx(50 * len(trials))


def test_altered_run_is_set_aside_and_done_again(copied: Options, tiny_study: Path) -> None:
    run = copied.runs / tiny_study.name / "level4/hard/seed-0"
    (run / records.PREDICTIONS).write_bytes(b"tampered")
    runner.run(copied)
    assert records.is_complete(run)
    aside = list((copied.runs / tiny_study.name / "superseded").rglob(records.PREDICTIONS))
    assert [path.read_bytes() for path in aside] == [b"tampered"]


def test_changed_spec_is_a_different_run(tiny_options: Options, tiny_study: Path) -> None:
    study = prepare(tiny_options)
    assert study.is_done(Job(next(e for e in experiments(study.preset) if e.key == "level4/hard"), 0))
    changed = Vote(level=4, name="hard", title="Hard", rule="hard", members=("level1/finetuned", "level3/se-head"))
    assert not study.is_done(Job(changed, 0))
    assert not study.is_done(Job(changed, 1))


def test_study_killed_in_the_middle_of_an_epoch_goes_on_to_the_same_result(
    tiny_study: Path, tiny_options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, key, steps = replace(tiny_options, runs=tmp_path, levels=(1,)), "level1/finetuned", 0

    def die_in_second_epoch(reporter: Reporter, name: str, images: int, advance: Callable = Reporter.advance) -> None:
        nonlocal steps
        advance(reporter, name, images)
        steps += name.startswith(key)
        if steps == 6:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "advance", die_in_second_epoch)
        with pytest.raises(Killed):
            runner.run(options)
    study = tmp_path / tiny_study.name
    assert (records.run_folder(study, key, 0) / records.CHECKPOINT).is_file()
    assert [run.key for run in records.load_runs(study)] == ["level1/head-only"]
    runner.run(options)
    logits = [records.load_run(records.run_folder(s, key, 0)).arrays["test_logits"] for s in (study, tiny_study)]
    assert np.array_equal(*logits)
    assert not (study / "superseded").exists()


def test_lost_export_comes_back(copied: Options, tiny_study: Path) -> None:
    manifest = copied.runs / tiny_study.name / "export" / "export.json"
    expected = manifest.read_bytes()
    manifest.unlink()
    runner.run(copied)
    assert manifest.read_bytes() == expected


def test_a_student_that_is_gone_is_not_exported(copied: Options, tiny_study: Path) -> None:
    folder = copied.runs / tiny_study.name
    (folder / "level5/compact-student/seed-0" / records.PREDICTIONS).write_bytes(b"tampered")
    (folder / "level5/student/seed-0" / records.PREDICTIONS).write_bytes(b"tampered")
    manifest = folder / "export" / "export.json"
    before = manifest.read_bytes()
    shutil.rmtree(folder / "level1/head-only")
    runner.run(replace(copied, levels=(1,)))
    assert manifest.read_bytes() == before


def test_run_that_builds_on_a_changed_result_is_done_again(copied: Options, tiny_study: Path) -> None:
    study = prepare(copied)
    votes = [job for job in study.jobs if job.experiment.level == 4]
    assert all(map(study.is_done, votes))
    member = records.run_folder(study.folder, "level1/finetuned", 0)
    arrays = {name: np.roll(a, 1) for name, a in records.load_run(member).arrays.items()}
    records.write_arrays(member / records.PREDICTIONS, arrays)
    records.finish(member, {}, {"total": 1.0})
    assert not any(map(study.is_done, votes))


def test_refused_command_leaves_the_plan_alone(copied: Options, tiny_study: Path) -> None:
    plan = copied.runs / tiny_study.name / records.STUDY
    before = plan.read_bytes()
    with pytest.raises(StudyError, match="add level 1"):
        runner.run(replace(copied, levels=(4,), seeds=(7,)))
    assert plan.read_bytes() == before


@pytest.mark.parametrize("key", ["level2/search", "level2/augmented", "level4/hard"])
def test_presentation_is_no_part_of_the_identity(tiny_options: Options, key: str) -> None:
    experiment = next(e for e in experiments(prepare(tiny_options).preset) if e.key == key)
    changed = replace(experiment, title="Another title", control="", differs="")
    if isinstance(changed, Search):
        changed = replace(changed, base=replace(changed.base, title="Another title"))
    assert identity(changed) == identity(experiment)
    assert identity(replace(experiment, name="other")) != identity(experiment)


def test_two_studies_in_one_folder_are_refused(copied: Options, tiny_study: Path) -> None:
    with pytest.raises(StudyError, match="holds a study of preset tiny.*choose another name with --study"):
        runner.run(replace(copied, preset="quick", study=tiny_study.name))


def test_folder_in_use_is_refused(copied: Options, tiny_study: Path) -> None:
    with (
        FileLock(copied.runs / tiny_study.name / runner.LOCK),
        pytest.raises(StudyError, match="another study is running"),
    ):
        runner.run(copied)


def test_level_without_what_it_needs_is_refused(tiny_options: Options, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="needs level1/finetuned/seed-0: add level 1 to --levels"):
        runner.run(replace(tiny_options, runs=tmp_path, levels=(4,)))


def test_folder_that_cannot_be_written_is_refused(tiny_options: Options, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match="cannot write to"):
        runner.run(replace(tiny_options, runs=tmp_path / "file"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"levels": (6,)}, "unknown level 6"),
        ({"dataset": "mnist"}, "unknown dataset 'mnist'"),
        ({"device": "quantum"}, "device 'quantum' is not available"),
        ({"study": "../elsewhere"}, "plain folder name"),
    ],
)
def test_bad_flags_are_refused(tiny_options: Options, changes: dict[str, object], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        prepare(replace(tiny_options, **changes))  # type: ignore[arg-type]


def test_dry_run_estimates_every_missing_run(tiny_options: Options, tmp_path: Path) -> None:
    rows = runner.dry_run(replace(tiny_options, runs=tmp_path, levels=(1, 4)))
    assert [(state, seconds > 0) for _, state, seconds in rows] == [("to do", True)] * len(rows)
    assert not list(tmp_path.iterdir())


def test_calibration_images_are_training_images(digits: Dataset) -> None:
    from study.execution import calibration_images

    context = Context(digits, None, Path(), Path(), 0, lambda _: None)  # type: ignore[arg-type]
    chosen = calibration_images(30, context)
    train = {image.numpy().tobytes() for image in digits.images[digits.train]}
    assert len(chosen) == 30 and all(image.tobytes() in train for image in chosen)


def test_training_leaves_the_global_random_state_alone(tiny_study: Path, tiny_options: Options, tmp_path: Path) -> None:
    study = prepare(tiny_options)
    experiment = next(e for e in experiments(study.preset) if e.key == "level3/scratch-cnn")
    before = torch.get_rng_state()
    _rerun(study, experiment, tmp_path)
    assert torch.equal(before, torch.get_rng_state())
