"""A disk that is full or read-only, no permission, a clock that goes back, signals, two drivers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from textwrap import dedent

import pytest

from study import records
from study.errors import StudyError
from study.running import runner
from study.status import summary
from tests.faults import small

ROOT = Path(__file__).parents[2]
STUDY = small.OPTIONS.study


def _mount(folder: Path, *options: str) -> None:
    """Mount memory there, or skip where that is not permitted."""
    try:
        subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a tmpfs cannot be mounted here: {error}")


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A small file system in memory."""
    folder.mkdir()
    _mount(folder, *options)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_one_line_and_the_study_goes_on_when_there_is_room(whole: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, "-o", "size=256k"):
        filler = disk / "filler"
        filler.write_bytes(bytes(200 * 1024))
        with pytest.raises(StudyError, match="No space left on device; free space") as error:
            small.run(disk)
        assert "\n" not in str(error.value)
        done = list(small.Small.carried_out)
        filler.unlink()
        lines, carried_out = small.run(disk)
        assert 0 < len(done) < 4 and carried_out in [list(small.NAMES)[n:] for n in (len(done) - 1, len(done))]
        assert small.results(disk / STUDY) == small.results(whole / STUDY)


def test_a_read_only_study_is_one_line_and_can_still_be_read(whole: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with mounted(disk):
        shutil.copytree(whole / STUDY, disk / STUDY)
        shutil.rmtree(disk / STUDY / small.NAMES[-1])
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(StudyError, match="cannot write to .*: Read-only file system; choose another place"):
            small.run(disk)
        states = [row["state"] for row in summary(disk / STUDY, *_recorded(disk / STUDY), {})]
        assert states == ["complete"] * 3 + ["to do"]


@contextmanager
def _forbidden(folder: Path) -> Iterator[None]:
    """Nothing may be created in the folder, not even by root."""
    if os.geteuid():
        folder.chmod(0o500)
    elif subprocess.run(["chattr", "+i", str(folder)], capture_output=True).returncode:
        pytest.skip("root can write anywhere here: the file system knows no immutable folders")
    try:
        yield
    finally:
        if os.geteuid():
            folder.chmod(0o700)
        else:
            subprocess.run(["chattr", "-i", str(folder)], check=True)


@pytest.mark.parametrize("where", [STUDY, "."])
def test_no_permission_is_one_line_and_changes_nothing(runs: Path, where: str) -> None:
    (runs / STUDY / runner.LOCK).unlink()
    before = small.results(runs / STUDY)
    other = {} if where == STUDY else {"study": "another"}
    with _forbidden(runs / where), pytest.raises(StudyError, match="cannot write to .*permi"):
        small.run(runs, **other)
    assert small.results(runs / STUDY) == before


def test_a_run_whose_folder_may_not_be_written_ends_the_study_with_one_line(runs: Path) -> None:
    folder = runs / STUDY / small.NAMES[0]
    (folder / records.RESULT).unlink()
    with _forbidden(folder), pytest.raises(StudyError, match="cannot write .*permi.*another folder"):
        small.run(runs)
    assert small.run(runs)[1] == [small.NAMES[0]]


def test_a_clock_that_goes_back_changes_nothing(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [2e9]

    def back() -> float:
        now[0] -= 1000.0
        return now[0]

    monkeypatch.setattr(time, "time", back)
    monkeypatch.setattr(time, "time_ns", lambda: int(back() * 1e9))
    _, carried_out = small.run(tmp_path)
    assert tuple(carried_out) == small.NAMES
    (tmp_path / STUDY / small.NAMES[0] / records.MODEL).write_bytes(b"altered")
    (tmp_path / STUDY / small.NAMES[2] / records.MODEL).write_bytes(b"altered")
    assert small.run(tmp_path)[1] == [small.NAMES[0], small.NAMES[2]]
    assert small.results(tmp_path / STUDY) == small.results(whole / STUDY)
    assert all(run.durations["total"] >= 0 for run in _recorded(tmp_path / STUDY)[1].values())


def _recorded(study: Path) -> tuple[records.Plan, dict[str, records.Run]]:
    plan = records.read_plan(study)
    return plan, records.current_runs(study, plan)


SLOW_STUDY = dedent("""
    import sys, time
    from pathlib import Path
    from invoke import Program
    import tasks
    from tests.faults import small

    carry_out = small.Small.carry_out

    def wait_in_the_second(self, context):
        while context.folder.as_posix().endswith(small.NAMES[1]) and not Path(sys.argv[1], "go").exists():
            time.sleep(0.02)
        return carry_out(self, context)

    small.Small.carry_out = wait_in_the_second
    with small.designed():
        flags = ["--preset", "quick", "--dataset", "digits", "--device", "cpu", "--workers", "1", "--study", "small"]
        Program(namespace=tasks.namespace).run(["invoke", "study", *flags, "--runs", sys.argv[1]])
""")


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`invoke study` in a process of its own, in the middle of the second of four runs."""
    command = [sys.executable, "-c", SLOW_STUDY, str(tmp_path)]
    default = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **default,
    )
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / STUDY / small.NAMES[1] / records.SPEC).exists():
            assert process.poll() is None and time.monotonic() < deadline, "it ended before its second run began"
            time.sleep(0.02)
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sent", "code", "says"),
    [
        (signal.SIGINT, 130, "interrupted; the same command goes on from here"),
        (signal.SIGTERM, 143, "interrupted; the same command goes on from here"),
        (signal.SIGKILL, -signal.SIGKILL, ""),
    ],
)
def test_a_signal_ends_a_study_which_then_goes_on(
    driver: subprocess.Popen[str], whole: Path, tmp_path: Path, sent: signal.Signals, code: int, says: str
) -> None:
    os.kill(driver.pid, sent)
    _, said = driver.communicate(timeout=60)
    assert (driver.returncode, said.strip()) == (code, says)
    _, carried_out = small.run(tmp_path)  # which a lock left by the dead process does not keep from it
    assert tuple(carried_out) == small.NAMES[1:]
    assert small.results(tmp_path / STUDY) == small.results(whole / STUDY)


@pytest.mark.slow
def test_a_second_driver_in_the_folder_is_refused_and_the_first_goes_on(
    driver: subprocess.Popen[str], whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match="another study is running in .*; wait for it or choose another --study name"):
        small.run(tmp_path)
    (tmp_path / "go").touch()
    _, said = driver.communicate(timeout=60)
    assert (driver.returncode, said) == (0, "")
    assert small.results(tmp_path / STUDY) == small.results(whole / STUDY)
