from __future__ import annotations

import io

import pytest
from rich.console import Console

from study.running import progress
from study.running.progress import Reporter, duration


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0 s"), (59.4, "59 s"), (185, "3 min 05 s"), (3720, "1 h 02 min")])
def test_durations_read_naturally(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def report(console: Console) -> None:
    with Reporter({"a/seed-0": 10.0, "b/seed-0": 30.0}, console) as reporter:
        reporter.begin("a/seed-0", 100)
        reporter.advance("a/seed-0", 50)
        reporter.end("a/seed-0", "test accuracy 50.00 %", 12.0)
        reporter.begin("b/seed-0", 100)
        reporter.end("b/seed-0", "done", 31.0)


def test_log_gets_plain_lines() -> None:
    out = io.StringIO()
    report(Console(file=out, force_terminal=False))
    lines = out.getvalue().splitlines()
    assert lines[0] == "[1/2] a/seed-0 (about 10 s)"
    assert lines[1].startswith("[1/2] a/seed-0: test accuracy 50.00 % in 12 s")
    assert lines[-1] == "[2/2] b/seed-0: done in 31 s"
    assert "\x1b" not in out.getvalue()


def test_time_left_follows_the_pace_but_does_not_trust_the_first_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    out, now = io.StringIO(), [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    with Reporter({"a": 1.0, "b": 599.0, "c": 600.0}, Console(file=out, force_terminal=False)) as reporter:
        for name, at in (("a", 62.0), ("b", 1260.0)):
            reporter.begin(name, 1)
            now[0] = at
            reporter.end(name, "done", 1.0)
    first, second = (line.partition("about ")[2] for line in out.getvalue().splitlines() if "done" in line)
    assert first == f"{duration(1199 * (62 + 60) / (1 + 60))} left"  # not 62 times the estimate
    assert second == f"{duration(600 * 2)} left"


def test_terminal_gets_a_bar_with_an_eta() -> None:
    out = io.StringIO()
    report(Console(file=out, force_terminal=True, width=100))
    assert "ETA" in out.getvalue() and "\x1b" in out.getvalue()
