from __future__ import annotations

import io

import pytest
from rich.console import Console

from study.progress import Reporter, duration


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


def test_terminal_gets_a_bar_with_an_eta() -> None:
    out = io.StringIO()
    report(Console(file=out, force_terminal=True, width=100))
    assert "ETA" in out.getvalue() and "\x1b" in out.getvalue()
