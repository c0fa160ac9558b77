"""What the user sees while a study runs: a bar with an ETA on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

# Seconds of work for which the estimates are believed, however the first runs fared: starting up is no pace.
TRUSTED = 60.0


def duration(seconds: float) -> str:
    """A duration the way people say it: "42 s", "3 min 05 s", "1 h 02 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


@dataclass
class _Active:
    """A run under way: its number among all, the images it will process and those it has."""

    number: int
    images: int
    seen: int = 0


class Reporter:
    """Reports runs, one or several at a time, whose durations were estimated; use it as a context manager.

    The bar measures estimated seconds, so its ETA corrects the estimates by the pace so far.
    """

    def __init__(self, estimates: dict[str, float], console: Console | None = None) -> None:
        self.console = console or Console(soft_wrap=True, highlight=False)
        self.estimates, self.total = estimates, max(sum(estimates.values()), 1e-9)
        self.done, self.begun = 0.0, 0
        self.active: dict[str, _Active] = {}
        self.started = time.perf_counter()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("study", total=self.total)

    def __enter__(self) -> Reporter:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def say(self, line: str) -> None:
        """Print one line above the bar."""
        self.console.print(line, markup=False)

    def begin(self, name: str, images: int) -> None:
        """A run starts; it will process about ``images`` images."""
        self.begun += 1
        self.active[name] = _Active(self.begun, max(images, 1))
        self._update()
        if not self.console.is_terminal:
            self.say(f"{self._numbered(name)} (about {duration(self.estimates[name])})")

    def advance(self, name: str, images: int) -> None:
        """The run has processed ``images`` more images."""
        self.active[name].seen += images
        self._update()

    def end(self, name: str, summary: str, seconds: float) -> None:
        """The run is complete."""
        line = f"{self._numbered(name)}: {summary} in {duration(seconds)}"
        self.done += self.estimates[name]
        del self.active[name]
        self._update()
        self.say(line + self._left())

    def _numbered(self, name: str) -> str:
        return f"[{self.active[name].number}/{len(self.estimates)}] {name}"

    def _update(self) -> None:
        names = ", ".join(map(self._numbered, self.active)) or None
        self.bar.update(self.task, completed=self._worked(), description=names)

    def _worked(self) -> float:
        """Estimated seconds of what is done, runs under way included."""
        shares = (min(run.seen / run.images, 1.0) * self.estimates[name] for name, run in self.active.items())
        return self.done + sum(shares)

    def _left(self) -> str:
        left = self.total - self._worked()
        if self.console.is_terminal or left < 1:
            return ""
        pace = (time.perf_counter() - self.started + TRUSTED) / (self._worked() + TRUSTED)
        return f"; about {duration(left * pace)} left"
