from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from study.status import LOCK, UNDER_WAY, UnderWay, duration, note_under_way, under_way

NOTED = {"level1/a/seed-0": UnderWay("vm", "cpu", 0.254, 65.0), "level1/b/seed-0": UnderWay("big", "cuda", None, 3.0)}
HOLD = "import sys, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print('held', flush=True); input()"


def test_a_run_under_way_says_where_how_far_and_how_long() -> None:
    first, second = NOTED.values()
    assert str(first) == "under way on vm (cpu), 25 %, about 1 min 05 s left"
    assert str(second) == "under way on big (cuda), about 3 s left", "one that does not tell how far it is"


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    note_under_way(tmp_path, NOTED)
    return tmp_path


@pytest.fixture
def holder(noted: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the study."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(noted / LOCK)], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_what_is_under_way_can_be_read_by_another_process(noted: Path, holder: subprocess.Popen[str]) -> None:
    assert under_way(noted) == NOTED
    holder.kill()
    holder.wait()
    assert (noted / UNDER_WAY).exists() and under_way(noted) == {}, "its note outlived the study"


def test_nothing_is_under_way_when_nobody_holds_the_study(noted: Path) -> None:
    assert under_way(noted) == {} and not (noted / LOCK).exists()


def test_a_damaged_note_is_none(noted: Path) -> None:
    (noted / UNDER_WAY).write_text("{")
    with FileLock(noted / LOCK):
        assert under_way(noted) == {}


def test_the_note_goes_with_the_last_run(noted: Path) -> None:
    note_under_way(noted, {})
    assert not (noted / UNDER_WAY).exists()


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (59.4, "59 s"), (185, "3 min 05 s"), (3720, "1 h 02 min")])
def test_durations_read_naturally(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_folder_that_only_another_may_write_is_not_taken_for_a_running_study(
    noted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    (noted / LOCK).touch()
    monkeypatch.setattr(FileLock, "acquire", refuse)
    assert under_way(noted) == {}
