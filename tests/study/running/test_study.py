"""What the flags of `invoke study` come to, and when the images have to be read for it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from study import records
from study.data import datasets, sources
from study.data.datasets import Dataset
from study.data.sources import Unavailable, cifar10
from study.description import Description
from study.errors import StudyError
from study.running import runner
from study.running.options import Options
from study.running.study import prepare

SMALL = Options(preset="quick", dataset="digits", device="cpu", levels=(1,))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"preset": "huge"}, "unknown preset 'huge'"),
        ({"levels": (6,)}, "unknown level 6"),
        ({"dataset": "mice"}, "unknown dataset 'mice'"),
        ({"study": "../elsewhere"}, "must be a plain name"),
        ({"study": ".hidden"}, "must be a plain name"),
        ({"workers": 0}, "--workers takes a number from 1 upwards, not 0"),
        ({"executor": "spark"}, "unknown executor 'spark'; choose one of processes, ray"),
        ({"executor": "ray", "device": "cuda:1"}, "use CUDA_VISIBLE_DEVICES instead of --device cuda:1"),
        ({"address": "auto"}, "--address is that of a Ray cluster; add --executor ray"),
        ({"only": ("level9/*",)}, "no experiment is called 'level9/"),
    ],
)
def test_bad_flags_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        prepare(replace(SMALL, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{"levels": (6,)}, {"only": ("level9/*",)}, {"only": ("level2/*",)}])
def test_what_does_not_exist_is_refused_before_the_images_are_read(
    changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "load", None)
    with pytest.raises(StudyError, match="unknown level|no experiment is called"):
        prepare(replace(SMALL, **changes))  # type: ignore[arg-type]


def test_an_experiment_that_only_some_data_have_can_be_chosen() -> None:
    key = "level3/multi-task-superclass"
    assert prepare(replace(SMALL, levels=None, only=(key,))).jobs[-1].name == f"{key}/seed-0"


def test_an_absent_device_is_refused() -> None:
    with pytest.raises(StudyError, match="device 'quantum' is not available"):
        prepare(replace(SMALL, device="quantum")).machine  # noqa: B018


def test_jobs_are_all_of_one_seed_before_the_next() -> None:
    study = prepare(replace(SMALL, seeds=(3, 1)))
    assert [job.name for job in study.jobs] == [
        "level1/head-only/seed-3",
        "level1/finetuned/seed-3",
        "level1/head-only/seed-1",
        "level1/finetuned/seed-1",
    ]
    votes = prepare(replace(SMALL, levels=None, only=("level4/hard",))).jobs
    assert votes[-1].needs == tuple(job.name for job in votes[:-1])


@pytest.mark.parametrize(("changes", "name"), [({}, "quick-digits"), ({"study": "mine"}, "mine")])
def test_a_study_is_named_by_preset_and_dataset_unless_told_otherwise(changes: dict[str, str], name: str) -> None:
    assert prepare(replace(SMALL, runs=Path("there"), **changes)).folder == Path("there") / name  # type: ignore[arg-type]


@pytest.mark.parametrize(("requested", "jobs", "given"), [(None, 2, 2), (None, 1, 1), (3, 1, 3)])
def test_two_runs_at_a_time_unless_told_otherwise(
    requested: int | None, jobs: int, given: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.machine.available_threads", lambda: 2)
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    only = ("level1/*",) if jobs == 2 else ("level1/head-only",)
    study = prepare(replace(SMALL, only=only, workers=requested))
    assert (study.workers, study.threads) == (given, max(1, 2 // given))


def test_plan_holds_every_level_and_the_seeds_of_earlier_calls(tmp_path: Path) -> None:
    options = replace(SMALL, runs=tmp_path, seeds=(2,))
    first = prepare(options)
    assert first.plan.seeds == (2,) and {e.level for e in first.plan.experiments} == {1, 2, 3, 4, 5}
    records.write_plan(first.folder, first.plan)
    assert prepare(replace(options, seeds=(0,))).plan.seeds == (0,), "nothing is complete with the seed of before"
    result = first.folder / "level1/head-only/seed-2" / records.RESULT
    result.parent.mkdir(parents=True)
    result.touch()
    later = prepare(replace(options, seeds=(0,)))
    assert later.plan.seeds == (0, 2) and {job.seed for job in later.jobs} == {0}


def test_a_plan_of_another_version_is_as_none(tmp_path: Path) -> None:
    study = prepare(replace(SMALL, runs=tmp_path))
    study.folder.mkdir()
    (study.folder / records.STUDY).write_text('{"format": 1}')
    assert prepare(replace(SMALL, runs=tmp_path)).recorded is None


def test_images_are_not_read_again_for_data_that_have_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = prepare(replace(SMALL, runs=tmp_path))
    records.write_plan(study.folder, study.plan)
    monkeypatch.setattr(datasets, "load", None)
    assert prepare(replace(SMALL, runs=tmp_path)).data == study.data


@dataclass
class Disk:
    """A data folder with one file in CIFAR-10's place, whose content is whatever ``dataset`` holds."""

    root: Path
    dataset: Dataset
    reads: int = 0

    def touch(self) -> None:
        os.utime(self.root / "cifar-10-batches-py" / "test_batch", ns=(self.reads, self.reads))

    def load(self, root: Path) -> Dataset:
        self.reads += 1
        return self.dataset

    def change_pixels(self) -> None:
        self.dataset = replace(self.dataset, fingerprint="another")


@pytest.fixture
def disk(tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> Disk:
    root = tmp_path / "data"
    (root / "cifar-10-batches-py").mkdir(parents=True)
    (root / "cifar-10-batches-py" / "test_batch").write_bytes(b"pixels")
    told = Description(title="CIFAR-10")
    found = Disk(root, replace(digits, name="cifar10", title="CIFAR-10", notice="", folder=str(root), description=told))
    monkeypatch.setattr(cifar10, "load", found.load)
    return found


@pytest.fixture
def options(disk: Disk, tmp_path: Path) -> Options:
    """Options of a study on those data that was planned before."""
    options = replace(SMALL, dataset="auto", data=str(disk.root), runs=tmp_path / "runs", only=("level1/head-only",))
    study = prepare(options)
    assert disk.reads == 1 and study.data.fingerprint == disk.dataset.fingerprint and study.data.stamp
    records.write_plan(study.folder, study.plan)
    return options


def test_unchanged_files_are_not_read_again(disk: Disk, options: Options) -> None:
    before = prepare(options).data
    assert disk.reads == 1
    assert before.name == "cifar10" and before.sizes == disk.dataset.sizes
    assert prepare(options).dataset.fingerprint == before.fingerprint and disk.reads == 2, "only when a run needs them"


def test_touched_files_are_read_again(disk: Disk, options: Options) -> None:
    disk.touch()
    assert prepare(options).data.fingerprint == disk.dataset.fingerprint and disk.reads == 2


def test_a_description_that_changed_with_this_package_is_read_again(
    disk: Disk, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.data.sources.shipped", lambda name: Description(title="Renamed"))
    prepare(options)
    assert disk.reads == 2


def test_networks_that_see_images_with_another_mean_are_not_mixed(disk: Disk, options: Options) -> None:
    channels = (0.5, 0.5, 0.5)
    disk.dataset = replace(disk.dataset, description=Description(title="CIFAR-10", mean=channels, std=channels))
    disk.touch()
    with pytest.raises(StudyError, match="see images with another mean and std.*choose another name"):
        runner.run(options)


@pytest.mark.parametrize("changes", [{"preset": "cpu"}, {"study": "other"}])
def test_another_study_reads_the_files_itself(disk: Disk, options: Options, changes: dict[str, str]) -> None:
    prepare(replace(options, **changes))  # type: ignore[arg-type]
    assert disk.reads == 2


def test_touched_files_with_other_pixels_are_other_data(disk: Disk, options: Options) -> None:
    disk.change_pixels()
    disk.touch()
    assert prepare(options).data.fingerprint == "another"
    with pytest.raises(StudyError, match="holds a study of preset quick on CIFAR-10; choose another name"):
        runner.run(options)


def test_pixels_that_change_under_a_study_are_refused(disk: Disk, options: Options) -> None:
    disk.change_pixels()  # unnoticed: the files' sizes and times are those of before
    study = prepare(options)
    with pytest.raises(StudyError, match="images in .*data changed under the study; run it again"):
        study.dataset  # noqa: B018


def test_stand_in_data_are_looked_up_every_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digits: Dataset
) -> None:
    def absent(root: Path) -> Dataset:
        raise Unavailable("no network")

    monkeypatch.setattr(cifar10, "load", absent)
    study = prepare(replace(SMALL, dataset="auto", data=str(tmp_path), runs=tmp_path))
    assert study.data.name == "digits" and study.data.notice and study.data.stamp == ""


def test_files_of_named_out_of_distribution_images_are_looked_at_too(
    disk: Disk, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("study.data.ood.available", lambda *_: None)
    asked = replace(options, ood="mnist", study="asked")
    raw = disk.root / "MNIST" / "raw" / "train-images-idx3-ubyte"
    stamps = [prepare(asked).data.stamp]
    raw.parent.mkdir(parents=True)
    raw.write_bytes(b"strange")
    stamps += [prepare(asked).data.stamp, prepare(asked).data.stamp]
    assert stamps[0] != stamps[1] == stamps[2]


def test_an_upgrade_of_what_reads_images_has_them_read_again(
    disk: Disk, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "version", lambda name: f"another {name}")
    assert prepare(options).data.fingerprint == disk.dataset.fingerprint and disk.reads == 2


@pytest.mark.parametrize(("device", "preset"), [("cpu", "quick"), ("auto", "paper")])
def test_the_usual_preset_is_that_of_the_device(device: str, preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("study.running.study.shutil.which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert prepare(replace(SMALL, preset="auto", device=device)).preset.name == preset
