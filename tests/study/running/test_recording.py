from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from study import records
from study.data import ood
from study.data.ood import OodImages
from study.errors import StoppingError, StudyError
from study.files import owner, write_sealed
from study.kinds import Context, Kind, Scale
from study.records import CHECKPOINT, RESULT, SUPERSEDED, Outcome
from study.running.options import Options
from study.running.recording import UNCHANGED, attempt, run_job
from study.running.study import Job, Study, prepare


@dataclass(frozen=True, kw_only=True)
class Noted(Kind):
    """A run whose result is ``value``, and which notes how often it was carried out and what it found there."""

    level: int = 1
    value: float = 0.5
    skips: bool = False
    source: tuple[str, ...] = ()

    found: ClassVar[list[list[str]]] = []

    @property
    def needs(self) -> tuple[str, ...]:
        return self.source

    def carry_out(self, context: Context) -> Outcome:
        self.found.append(sorted(path.name for path in context.folder.iterdir()))
        context.advance(3)
        if self.skips:
            return Outcome({"skipped": "there is nothing to do"})
        return Outcome({"test_accuracy": self.value}, {"value": np.array(self.value)}, {"earlier": 100.0})

    def cost(self, scale: Scale) -> float:
        return 1.0


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    Noted.found.clear()


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return prepare(Options(preset="quick", dataset="digits", device="cpu", runs=tmp_path_factory.mktemp("here")))


@pytest.fixture
def study(planned: Study, tmp_path: Path) -> Study:
    return replace(planned, folder=tmp_path / "study")


def carry_out(study: Study, experiment: Kind) -> tuple[str, float]:
    return run_job(study, Job(experiment, 0), lambda *_: None)


def test_a_run_becomes_a_record(study: Study) -> None:
    seen: list[int] = []
    said, seconds = run_job(study, Job(Noted(name="a"), 0), seen.append)
    run = records.load_run(study.folder / "level1/a/seed-0")
    assert said == "test accuracy 50.00 %" and seen == [3]
    assert run.spec == study.plan.spec(Noted(name="a"), 0, {})
    assert run.metrics == {"test_accuracy": 0.5} and run.arrays["value"] == 0.5
    # the sessions before count
    assert run.durations == {"earlier": 100.0, "total": seconds} and 100.0 < seconds < 110.0
    assert run.environment["device"] == "cpu" and run.environment["threads"] >= 1
    assert run.environment["peak_memory_bytes"] > 0


def test_a_run_that_is_done_is_not_done_again(study: Study) -> None:
    carry_out(study, Noted(name="a"))
    assert carry_out(study, replace(Noted(name="a"), title="Other")) == (UNCHANGED, 0.0)
    assert len(Noted.found) == 1


@pytest.mark.parametrize(
    ("experiment", "said"),
    [(Noted(name="a", value=0.25), "test accuracy 25.00 %"), (Noted(name="a", skips=True), "skipped: there is")],
)
def test_one_line_sums_it_up(study: Study, experiment: Kind, said: str) -> None:
    assert carry_out(study, experiment)[0].startswith(said)


def test_an_interrupted_run_of_the_same_spec_goes_on_where_it_is(study: Study) -> None:
    carry_out(study, Noted(name="a"))
    folder = study.folder / "level1/a/seed-0"
    (folder / RESULT).unlink()
    write_sealed(folder / CHECKPOINT, b"half-way", owner(folder / records.SPEC))
    carry_out(study, Noted(name="a"))
    assert CHECKPOINT in Noted.found[1] and not (folder / CHECKPOINT).exists()
    assert records.load_run(folder).metrics and not (study.folder / SUPERSEDED).exists()


def test_an_interrupted_run_that_is_called_otherwise_now_keeps_its_checkpoint(study: Study) -> None:
    carry_out(study, Noted(name="a"))
    folder = study.folder / "level1/a/seed-0"
    (folder / RESULT).unlink()
    write_sealed(folder / CHECKPOINT, b"half-way", before := owner(folder / records.SPEC))
    carry_out(study, replace(Noted(name="a"), title="Other"))
    assert CHECKPOINT in Noted.found[1] and owner(folder / records.SPEC) == before


@pytest.mark.parametrize("complete", [True, False])
def test_what_another_spec_left_is_set_aside(study: Study, complete: bool) -> None:
    carry_out(study, Noted(name="a"))
    folder = study.folder / "level1/a/seed-0"
    if not complete:
        (folder / RESULT).unlink()
    before = sorted(path.name for path in folder.iterdir())
    carry_out(study, Noted(name="a", value=0.75))
    assert Noted.found[1] == [records.SPEC]
    assert records.load_run(folder).metrics == {"test_accuracy": 0.75}
    (aside,) = (study.folder / SUPERSEDED / "level1/a").iterdir()
    assert aside.name.startswith("seed-0-") and sorted(path.name for path in aside.iterdir()) == before


def test_an_altered_run_is_set_aside_and_done_again(study: Study) -> None:
    carry_out(study, Noted(name="a"))
    folder = study.folder / "level1/a/seed-0"
    (folder / records.PREDICTIONS).write_bytes(b"tampered")
    assert carry_out(study, Noted(name="a"))[0] != UNCHANGED
    (aside,) = (study.folder / SUPERSEDED).rglob(records.PREDICTIONS)
    assert aside.read_bytes() == b"tampered" and records.load_run(folder).arrays["value"] == 0.5


def test_a_run_is_made_of_the_results_it_needs(study: Study) -> None:
    after = Noted(name="b", source=("level1/a",))
    with pytest.raises(StudyError, match="cannot read .*level1/a/seed-0/spec.json"):
        carry_out(study, after)
    carry_out(study, Noted(name="a"))
    carry_out(study, after)
    source, built = (records.load_run(study.folder / f"level1/{name}/seed-0") for name in "ab")
    assert built.spec.upstream == {"level1/a": source.digest} and source.digest
    assert carry_out(study, after) == (UNCHANGED, 0.0)
    carry_out(study, Noted(name="a", value=0.75))
    assert carry_out(study, after)[0] != UNCHANGED


@dataclass(frozen=True, kw_only=True)
class NotedOfOthers(Noted):
    """One that reads the out-of-distribution images."""

    reads_ood: ClassVar[bool] = True


def test_ood_images_that_change_under_a_study_are_refused(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    found = OodImages("Noise", torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    monkeypatch.setattr(ood, "available", lambda *_: found)
    carry_out(study, Noted(name="a"))  # which does not read them
    with pytest.raises(StudyError, match="the out-of-distribution images changed under the study; run it again"):
        carry_out(study, NotedOfOthers(name="b"))
    same = replace(study, data=replace(study.data, ood=found.fingerprint))
    carry_out(same, NotedOfOthers(name="b"))
    assert records.load_run(study.folder / "level1/b/seed-0").spec.ood == found.fingerprint


@pytest.mark.parametrize(("file", "named"), [(None, "level1/full/seed-0"), ("/elsewhere/view", "/elsewhere/view")])
def test_a_full_disk_is_named_by_the_file_that_found_it(study: Study, file: str | None, named: str) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Full(Noted):
        def carry_out(self, context: Context) -> Outcome:
            raise OSError(errno.ENOSPC, "No space left on device", file)

    with pytest.raises(StoppingError, match=f"cannot write .*{named}: No space left on device; free space"):
        attempt(study, Job(Full(name="full"), 0), lambda *_: None)
