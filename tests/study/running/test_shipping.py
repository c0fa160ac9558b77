"""Records and data that travel between machines without a shared folder; here, from folder to folder."""

from __future__ import annotations

import errno
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from study import records
from study.data import datasets, sources
from study.data.datasets import Dataset
from study.data.sources import OneOf, cifar10
from study.errors import StoppingError, StudyError
from study.kinds import Vote
from study.records import Outcome, Spec
from study.running import shipping
from study.running.options import Options
from study.running.study import Study, prepare

Contents = Callable[[Path], dict[str, bytes]]


def record(root: Path, name: str, logits: float = 1.0, seed: int = 0) -> str:
    """A small complete run; returns its name."""
    spec = Spec(Vote(level=4, name=name, members=(), rule="hard"), seed, "quick", "f", "s", {})
    records.write_spec(root / spec.name, spec)
    records.finish(
        root / spec.name, Outcome({"test_accuracy": 0.5}, {"test_logits": np.full(3, logits)}, {"total": 1.0})
    )
    return spec.name


def tar(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.fixture
def there(tmp_path: Path) -> Path:
    """The study's folder on another machine."""
    return tmp_path / "there"


def test_records_arrive_as_they_were(tmp_path: Path, there: Path, folder_contents: Contents) -> None:
    here = tmp_path / "here"
    names = [record(here, "a"), record(here, "b")]
    (here / names[0] / ".leftover.partial").write_bytes(b"not part of the record")
    (here / names[0] / records.FAILED).write_text("{}")
    shipping.put_records(shipping.pack_records(here, names), there, names)
    for name in names:
        expected = folder_contents(here / name)
        kept = {file: content for file, content in expected.items() if file[0] != "." and file != records.FAILED}
        assert folder_contents(there / name) == kept and records.load_run(there / name).name == name
    assert [path.name for path in there.iterdir()] == ["level4"], "nothing else is left"


def test_nothing_to_send_arrives_as_nothing(tmp_path: Path, there: Path) -> None:
    shipping.put_records(shipping.pack_records(tmp_path, []), there, [])
    assert list(there.iterdir()) == []


def test_an_arriving_record_replaces_an_interrupted_run_and_sets_another_spec_aside(
    tmp_path: Path, there: Path
) -> None:
    name = record(tmp_path, "a")
    archive = shipping.pack_records(tmp_path, [name])
    record(there, "a")
    (there / name / records.RESULT).unlink()
    (there / name / records.EPOCHS).write_bytes(b"half-way")
    shipping.put_records(archive, there, [name])
    assert records.load_run(there / name) and not (there / name / records.EPOCHS).exists()
    assert not (there / records.SUPERSEDED).exists()
    records.write_spec(there / name, replace(records.read_spec(there / name), preset="cpu"))
    shipping.put_records(archive, there, [name])
    assert records.load_run(there / name).spec.preset == "quick"
    assert [path.name for path in (there / records.SUPERSEDED / "level4/a").iterdir()]


def test_an_incomplete_run_is_not_sent(tmp_path: Path) -> None:
    name = record(tmp_path, "a")
    (tmp_path / name / records.PREDICTIONS).unlink()
    with pytest.raises(StudyError, match="run the study again"):
        shipping.pack_records(tmp_path, [name])


@pytest.mark.parametrize("damage", ["truncated", "flipped", "another", "more", "escaping", "no archive"])
def test_what_does_not_arrive_as_it_was_sent_changes_nothing(
    damage: str, tmp_path: Path, there: Path, folder_contents: Contents
) -> None:
    here = tmp_path / "here"
    name, other = record(here, "a"), record(here, "b")
    record(there, "a", logits=2.0)
    before = folder_contents(tmp_path / "there")
    good = shipping.pack_records(here, [name])
    if damage == "more":
        (here / name / "extra").write_bytes(b"unasked for")
    archive = {
        "truncated": good[: len(good) // 2],
        "flipped": _flipped(good, good.index(b"PK") + 40),  # inside predictions.npz
        "another": shipping.pack_records(here, [other]),
        "more": shipping.packed(here, [path for path in (here / name).rglob("*") if path.is_file()]),
        "escaping": tar(**{"../../outside": b"x"}),
        "no archive": b"hello",
    }[damage]
    with pytest.raises(StudyError):
        shipping.put_records(archive, there, [name])
    assert folder_contents(tmp_path / "there") == before and not (tmp_path / "outside").exists()


@pytest.fixture
def study(tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study on what a file in CIFAR-10's place holds; the file's content decides what is read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def load(root: Path) -> Dataset:
        content = (root / "cifar-10-batches-py" / "test_batch").read_text()
        pixels = digits.images.clone()
        pixels[0, 0, 0, 0] = len(content)
        fingerprint = datasets.fingerprint(pixels.numpy(), digits.labels.numpy())
        return replace(digits, name="cifar10", title="CIFAR-10", images=pixels, fingerprint=fingerprint, notice="")

    monkeypatch.setattr(cifar10, "load", load)
    root = tmp_path / "data" / "cifar-10-batches-py"
    root.mkdir(parents=True)
    (root / "test_batch").write_text("pixels")
    options = Options(preset="quick", dataset="cifar10", device="cpu", data=str(root.parent), runs=tmp_path)
    return prepare(options)


def test_data_are_found_where_the_options_say(study: Study) -> None:
    assert shipping.located(study).options.data == study.options.data


@pytest.mark.parametrize("what", ["absent", "other"])
def test_data_that_a_machine_lacks_are_sent_to_it_once(study: Study, tmp_path: Path, what: str) -> None:
    archive = shipping.pack_data(study)
    elsewhere = replace(study, options=replace(study.options, data=str(tmp_path / "elsewhere")))
    if what == "other":
        (tmp_path / "elsewhere" / "cifar-10-batches-py").mkdir(parents=True)
        (tmp_path / "elsewhere" / "cifar-10-batches-py" / "test_batch").write_text("other pixels")
    with pytest.raises(StudyError, match="does not have .* with the fingerprint"):
        shipping.located(elsewhere)
    shipping.put_data(archive, elsewhere)
    found = shipping.located(elsewhere)
    assert found.dataset.fingerprint == study.data.fingerprint
    assert found.options.data.startswith(str(tmp_path / "cache"))


def test_data_that_come_with_a_package_are_everywhere() -> None:
    study = prepare(Options(preset="quick", dataset="digits", device="cpu"))
    assert shipping.located(study).dataset.fingerprint == study.data.fingerprint
    with pytest.raises(StudyError, match="copy them there"):
        shipping.pack_data(study)


def test_too_much_data_are_not_sent(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "MOST_BYTES", 3)
    with pytest.raises(StudyError, match=r"0.0 GB are not sent; copy them there, to .*data$"):
        shipping.pack_data(study)


def test_out_of_distribution_images_that_were_asked_for_are_sent_too_and_downloaded_nowhere(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = OneOf("strange.npz", lambda root: pytest.fail("it is read, perhaps downloaded, where it is not"))
    monkeypatch.setattr(sources, "names", lambda: {"cifar10": "cifar10", "strange": "strange"})
    known = {"cifar10": cifar10, "strange": strange}
    monkeypatch.setattr(sources, "named", known.__getitem__)
    asked = replace(study, options=replace(study.options, ood="strange"))
    with pytest.raises(StudyError, match="it does not have "):
        shipping.located(asked)
    (tmp_path / "data" / "strange.npz").touch()
    (tmp_path / "data" / "FashionMNIST" / "raw").mkdir(parents=True)
    (tmp_path / "data" / "FashionMNIST" / "raw" / "unasked").touch()
    assert [path.name for path in shipping.data_files(asked)[1]] == ["test_batch", "strange.npz"]
    assert [path.name for path in shipping.data_files(study)[1]] == ["unasked", "test_batch"]


def test_images_of_ones_own_are_not_sent_whatever_is_asked_for_beside_them(study: Study, tmp_path: Path) -> None:
    own = replace(study, data=replace(study.data, source=str(tmp_path)))
    assert shipping.data_files(own) == (tmp_path / "data", [])
    with pytest.raises(StudyError, match="images of one's own are not sent; copy them there, to the same path"):
        shipping.pack_data(own)


def test_a_disk_that_fills_up_while_a_record_arrives_ends_the_study_in_one_line(
    tmp_path: Path, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    name = record(tmp_path / "here", "a")
    archive = shipping.pack_records(tmp_path / "here", [name])
    monkeypatch.setattr(tarfile.TarFile, "extractall", full)
    with pytest.raises(StoppingError, match="cannot write to .*: No space left on device; free space"):
        shipping.put_records(archive, there, [name])
