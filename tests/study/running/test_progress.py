from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from study.experiment import structured
from study.kinds import Context, Kind, Scale
from study.records import Outcome
from study.running import progress
from study.running.estimate import Estimator, shared
from study.running.progress import Reporter
from study.status import UNDER_WAY, UnderWay


@dataclass(frozen=True, kw_only=True)
class Timed(Kind):
    """A run that nominally takes so many seconds, and reports so many images."""

    level: int = 1
    seconds: float
    reported: int = 100

    def carry_out(self, context: Context) -> Outcome:
        return Outcome()

    def cost(self, scale: Scale) -> float:
        return self.seconds

    def images(self, scale: Scale) -> int:
        return self.reported

    @property
    def pace(self) -> str:
        return self.name


def estimator() -> Estimator:
    return Estimator(Scale({}, {}, bfloat16=False), "here")


def reporter(lanes: int = 1, out: io.StringIO | None = None, **seconds: float) -> Reporter:
    runs = {name: Timed(name=name, seconds=cost) for name, cost in seconds.items()}
    return Reporter(runs, estimator(), lanes, Console(file=out or io.StringIO(), force_terminal=False))


def report(console: Console) -> None:
    runs = {"a/seed-0": Timed(name="a", seconds=10.0), "b/seed-0": Timed(name="b", seconds=30.0)}
    with Reporter(runs, estimator(), console=console) as shown:
        shown.begin("a/seed-0")
        shown.advance("a/seed-0", 50)
        shown.end("a/seed-0", "test accuracy 50.00 %", 12.0)
        shown.begin("b/seed-0")
        shown.end("b/seed-0", "done", 31.0)


def test_log_gets_plain_lines() -> None:
    out = io.StringIO()
    report(Console(file=out, force_terminal=False, width=200))
    assert out.getvalue().splitlines() == [
        "[1/2] a/seed-0 (about 10 s)",
        "[1/2] a/seed-0: test accuracy 50.00 % in 12 s; about 33 s left",  # 30 s at 1.1, between 1 and the first run
        "[2/2] b/seed-0 (about 33 s)",
        "[2/2] b/seed-0: done in 31 s",
    ]


def test_terminal_gets_a_bar_with_the_time_left() -> None:
    out = io.StringIO()
    report(Console(file=out, force_terminal=True, width=120))
    assert "about" in out.getvalue() and "left" in out.getvalue() and "\x1b" in out.getvalue()


def test_lines_that_nobody_reads_are_an_error_and_no_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> int:
        raise BrokenPipeError

    out = io.StringIO()
    monkeypatch.setattr(out, "write", refuse)
    monkeypatch.setattr("sys.stdout", out)
    with pytest.raises(BrokenPipeError):
        Reporter({}, estimator()).say("a line")


@pytest.mark.parametrize(
    ("seconds", "lanes", "left"), [([], 2, 0.0), ([3.0, 4.0], 1, 7.0), ([3.0, 4.0, 5.0], 2, 6.0), ([9.0, 1.0], 2, 9.0)]
)
def test_lanes_share_the_work_but_none_shares_a_run(seconds: list[float], lanes: int, left: float) -> None:
    assert shared(seconds, lanes) == left


def begin(shown: Reporter, *names: str) -> None:
    """Begin runs at zero of the clock."""
    for name in names:
        shown.begin(name)
        shown.active[name].begun = 0.0


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the reporter's clock shows."""
    shown = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: shown[0])
    return shown


def test_time_left_counts_what_waits_and_what_is_under_way(now: list[float]) -> None:
    shown = reporter(lanes=2, a=10.0, b=20.0, c=30.0)
    assert shown.left() == 30.0
    begin(shown, "a", "b")
    now[0] = 4.0  # 6 s of a, 16 s of b and 30 s of c are left
    assert shown.left() == 30.0
    shown.lanes = 1
    assert shown.left() == 52.0


def test_a_runs_own_pace_takes_over_as_it_goes_on(now: list[float]) -> None:
    shown = reporter(a=100.0)
    begin(shown, "a")
    now[0] = 10.0
    assert shown.left() == 90.0, "nothing processed: the estimate less what has passed"
    shown.advance("a", 50)  # half of it in 10 s: half by the estimate, half by the pace
    assert shown.left() == pytest.approx(0.5 * (0.5 * 100 + 10))
    now[0] = 19.0
    shown.advance("a", 45)
    assert shown.left() == pytest.approx(0.05 * (0.05 * 100 + 19))
    shown.advance("a", 10)  # more than expected
    assert shown.left() == 0.0


def test_a_resumed_run_goes_by_its_pace_since_then(now: list[float]) -> None:
    shown = reporter(a=100.0)
    begin(shown, "a")
    shown.advance("a", 60, resumed=True)
    assert shown.active["a"].share == 0.6 and shown.left() == 40.0
    now[0] = 5.0
    assert shown.left() == 35.0
    shown.advance("a", 20)  # half of what was to do in 5 s: half by the estimate of the rest, half by the pace
    assert shown.left() == pytest.approx(0.5 * 20 + 0.5 * 5)
    shown.advance("a", 20)
    assert shown.left() == 0.0


def test_time_left_is_never_negative(now: list[float]) -> None:
    shown = reporter(a=10.0)
    begin(shown, "a")
    now[0] = 60.0
    assert shown.left() == 0.0


def test_what_a_run_took_corrects_those_to_come(now: list[float]) -> None:
    shown = reporter(a=10.0, b=20.0)
    shown.begin("a")
    shown.end("a", "done", 5.0)
    assert shown.left() == shown.estimate("b") == 15.0, "between its own 20 s and what the first run's pace gives"
    shown.begin("b")
    shown.end("b", "unchanged", 0.0)
    assert shown.estimate("b") == 15.0 and shown.left() == 0.0


def test_a_run_that_reports_nothing_goes_by_its_estimate(now: list[float]) -> None:
    silent = {"vote": Timed(name="vote", seconds=8.0, reported=0)}
    shown = Reporter(silent, estimator(), console=Console(file=io.StringIO()))
    begin(shown, "vote")
    now[0] = 3.0
    assert shown.left() == 5.0


def test_others_are_told_how_far_the_runs_are(now: list[float], tmp_path: Path) -> None:
    runs = {"a": Timed(name="a", seconds=10.0), "silent": Timed(name="silent", seconds=8.0, reported=0)}
    told = tmp_path / UNDER_WAY
    with Reporter(runs, estimator(), 2, Console(file=io.StringIO()), tmp_path, "cpu") as shown:
        begin(shown, "a")
        now[0] = 1.0
        shown.advance("a", 50)
        shown.begin("silent", "another machine")
        found = structured(json.loads(told.read_text()), dict[str, UnderWay])
        assert found == {
            "a": UnderWay("", "cpu", 0.5, 0.5 * (0.5 * 10 + 1)),
            "silent": UnderWay("another machine", "cpu", None, 8.0),
        }
        now[0] = 2.0
        shown.advance("a", 10)
        assert json.loads(told.read_text())["a"]["done"] == 0.5, "not at every step"
        now[0] = 9.0
        shown.advance("a", 10)
        assert json.loads(told.read_text())["a"]["done"] == 0.7
        shown.end("a", "done", 9.0)
        shown.fail("silent", "so be it", [])
    assert not told.exists()
