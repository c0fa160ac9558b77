from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from study import records
from study.data import datasets
from study.errors import RunsFailed, StudyError
from study.kinds import Training
from study.records import Run
from study.running import runner
from study.running.options import Options
from study.running.progress import Reporter
from study.running.study import prepare
from study.status import summary

Contents = Callable[[Path], dict[str, bytes]]
HEAVY = (".safetensors", ".onnx")


def runs_of(study: Path) -> dict[str, Run]:
    return records.current_runs(study, records.read_plan(study))


def test_every_planned_run_is_complete(tiny_study: Path) -> None:
    plan = records.read_plan(tiny_study)
    assert list(runs_of(tiny_study)) == [f"{experiment.key}/seed-0" for experiment in plan.experiments]
    assert not list(tiny_study.rglob(records.CHECKPOINT))


def test_second_study_changes_nothing_and_does_not_read_the_images(
    tiny_study: Path, tiny_options: Options, folder_contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = folder_contents(tiny_study)
    lines: list[str] = []
    monkeypatch.setattr(datasets, "load", None)
    runner.run(tiny_options, say=lines.append)
    assert folder_contents(tiny_study) == before
    jobs = len(prepare(tiny_options).jobs)
    assert any(f"{jobs} of {jobs} runs complete, 0 to do" in line for line in lines)


def test_runs_share_their_validation_and_test_images(tiny_study: Path) -> None:
    for split in records.SPLITS:
        predictions = [run.predictions(split) for run in runs_of(tiny_study).values() if run.predicts()]
        assert len(predictions) > 20
        assert all(np.array_equal(predictions[0].indices, other.indices) for other in predictions)


def test_recorded_accuracy_is_that_of_the_recorded_predictions(tiny_study: Path) -> None:
    for run in runs_of(tiny_study).values():
        if run.predicts():
            for split in records.SPLITS:
                assert run.metrics[f"{split}_accuracy"] == run.predictions(split).accuracy


def _linked(source: str, target: str) -> None:
    """Copy a file, but for the large ones, which nothing writes into."""
    (os.link if source.endswith(HEAVY) else shutil.copy2)(source, target)


@pytest.fixture
def copied(tiny_study: Path, tiny_options: Options, tmp_path: Path) -> Options:
    """Options of a copy of the study, to be harmed."""
    shutil.copytree(tiny_study, tmp_path / tiny_study.name, copy_function=_linked)
    return replace(tiny_options, runs=tmp_path)


def test_what_is_redone_to_the_same_result_leaves_what_builds_on_it_alone(copied: Options, tiny_study: Path) -> None:
    study = copied.runs / tiny_study.name
    shutil.rmtree(study / "level3/scratch-cnn")
    shutil.rmtree(study / "level5/export")
    runner.run(copied)
    assert set(runs_of(study)) == set(runs_of(tiny_study))
    for key in ("level4/hard", "level5/teacher-1", "level5/compact-student"):
        name = f"{key}/seed-0/{records.RESULT}"
        assert (study / name).read_bytes() == (tiny_study / name).read_bytes()
    assert not (study / records.SUPERSEDED).exists()
    manifests = {(folder / "level5/export/seed-0/export.json").read_bytes() for folder in (study, tiny_study)}
    assert len(manifests) == 1, "a lost export comes back as it was"


def test_altered_run_is_set_aside_and_done_again(copied: Options, tiny_study: Path) -> None:
    study = copied.runs / tiny_study.name
    (study / "level4/hard/seed-0" / records.PREDICTIONS).write_bytes(b"tampered")
    lines: list[str] = []
    runner.run(copied, say=lines.append)
    jobs = len(prepare(copied).jobs)
    assert any(f"{jobs - 1} of {jobs} runs complete, 1 to do" in line for line in lines)
    assert set(runs_of(study)) == set(runs_of(tiny_study))
    (aside,) = (study / records.SUPERSEDED).rglob(records.PREDICTIONS)
    assert aside.read_bytes() == b"tampered"


class Killed(BaseException):
    pass


def test_study_killed_in_the_middle_of_an_epoch_goes_on_to_the_same_result(
    tiny_study: Path, tiny_options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, steps = "level3/scratch-cnn", 0
    options = replace(tiny_options, runs=tmp_path, levels=(3,), only=(key,))

    def die_in_second_epoch(
        reporter: Reporter, name: str, images: int, resumed: bool = False, advance: Callable = Reporter.advance
    ) -> None:
        nonlocal steps
        advance(reporter, name, images, resumed)
        steps += name.startswith(key) and not resumed
        if steps == 6:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, "advance", die_in_second_epoch)
        with pytest.raises(Killed):
            runner.run(options)
    study, name = tmp_path / tiny_study.name, f"{key}/seed-0"
    assert (study / name / records.CHECKPOINT).is_file() and not runs_of(study)
    runner.run(options)
    resumed, whole = runs_of(study)[name], runs_of(tiny_study)[name]
    assert np.array_equal(resumed.arrays["test_logits"], whole.arrays["test_logits"])
    assert not (study / records.SUPERSEDED).exists()


def test_a_failed_run_is_told_and_tried_again_by_the_next_study(
    copied: Options, tiny_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = copied.runs / tiny_study.name
    for key in ("level3/scratch-cnn", "level4/hard"):
        shutil.rmtree(study / key)
    lines: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(Training, "carry_out", lambda *_: [][0])
        with pytest.raises(RunsFailed, match=r"^failed: level3/scratch-cnn/seed-0 \(IndexError: .*; [0-9]+ wait for"):
            runner.run(copied, say=lines.append)
    plan = records.read_plan(study)
    states = {row["run"]: row["state"] for row in summary(study, plan, records.current_runs(study, plan), {})}
    assert states["level3/scratch-cnn/seed-0"] == "failed: IndexError: list index out of range"
    assert states["level4/hard/seed-0"] == "to do" and states["level1/finetuned/seed-0"] == "complete"
    runner.run(copied)
    assert set(runs_of(study)) == set(runs_of(tiny_study)) and not list(study.rglob(records.FAILED))


def test_what_a_kill_left_is_removed_and_a_report_under_way_is_not(copied: Options, tiny_study: Path) -> None:
    folder = copied.runs / tiny_study.name
    left = [folder / name for name in (".study.json.1.partial", ".cluster-1", ".arriving-1/record")]
    left.append(folder / "level1/finetuned/seed-0/.epochs.jsonl.1.partial")
    written = folder / "report/latex/figures/.curves.pdf.1.partial"
    for path in (*left, written):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    runner.run(copied)
    assert not [path for path in left if path.exists()] and not left[2].parent.exists() and written.exists()


def test_new_titles_reach_the_plan_without_a_run(copied: Options, tiny_study: Path) -> None:
    study = copied.runs / tiny_study.name
    plan = records.read_plan(study)
    old = replace(plan, experiments=tuple(replace(each, title="Old") for each in plan.experiments), seeds=(0,))
    records.write_plan(study, old)
    runner.run(copied)
    assert (study / records.STUDY).read_bytes() == (tiny_study / records.STUDY).read_bytes()


def test_a_renamed_class_has_what_is_shipped_made_again(tiny_study: Path) -> None:
    plan, runs = records.read_plan(tiny_study), records.current_runs(tiny_study, records.read_plan(tiny_study))
    renamed = replace(plan, dataset=replace(plan.dataset, classes=("nought", *plan.dataset.classes[1:])))
    assert runs.keys() - records.current_runs(tiny_study, renamed).keys() == {"level5/export/seed-0"}


def test_refused_command_leaves_the_plan_alone(copied: Options, tiny_study: Path) -> None:
    plan = copied.runs / tiny_study.name / records.STUDY
    before = plan.read_bytes()
    with pytest.raises(StudyError, match="add level 1"):
        runner.run(replace(copied, levels=(4,), seeds=(7,)))
    assert plan.read_bytes() == before


def test_two_studies_in_one_folder_are_refused(tiny_options: Options, tiny_study: Path) -> None:
    with pytest.raises(StudyError, match="holds a study of preset tiny.*choose another name with --study"):
        runner.run(replace(tiny_options, preset="quick", study=tiny_study.name))


def test_folder_in_use_is_refused(tiny_options: Options, tmp_path: Path) -> None:
    options = replace(tiny_options, runs=tmp_path)
    folder = prepare(options).folder
    folder.mkdir()
    with FileLock(folder / runner.LOCK), pytest.raises(StudyError, match="another study is running"):
        runner.run(options)


def test_level_without_what_it_needs_is_refused(tiny_options: Options, tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="needs level1/finetuned/seed-0: add level 1 to --levels"):
        runner.run(replace(tiny_options, runs=tmp_path, levels=(4,)))


def test_folder_that_cannot_be_written_is_refused(tiny_options: Options, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StudyError, match="cannot write to"):
        runner.run(replace(tiny_options, runs=tmp_path / "file"))


def test_dry_run_lists_every_run_with_an_estimate_and_writes_nothing(tiny_options: Options, tmp_path: Path) -> None:
    lines: list[str] = []
    options = replace(tiny_options, runs=tmp_path, levels=(1, 4), only=("level1/*",), dry_run=True)
    runner.run(options, say=lines.append)
    said = "\n".join(lines)
    for name in ("level1/head-only/seed-0", "level1/finetuned/seed-0"):
        assert any(name in line and "to do" in line and line.rstrip().endswith(" s") for line in said.splitlines())
    assert "2 runs, about" in said and "NOTICE: Stand-in data" in said
    assert not list(tmp_path.iterdir())


def test_an_estimate_is_called_a_guess_until_a_run_has_told_how_fast_it_is_here(
    tiny_options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    options = replace(tiny_options, runs=tmp_path / "runs", levels=(1,), dry_run=True)

    def said() -> str:
        lines: list[str] = []
        runner.run(options, say=lines.append)
        return "\n".join(lines)

    assert "to go on this machine (a guess until a run has ended there)" in said()
    estimator = runner._estimator(prepare(options), {})
    estimator.ratios["any"] = 1.0
    estimator.remember()
    assert "to go on this machine;" in said()


def test_dry_run_of_a_complete_study_has_nothing_to_do(tiny_study: Path, tiny_options: Options) -> None:
    lines: list[str] = []
    runner.run(replace(tiny_options, dry_run=True), say=lines.append)
    jobs = len(prepare(tiny_options).jobs)
    assert f"{jobs} runs, about 0 s to go" in lines[-1] and "to do" not in lines[-1]
