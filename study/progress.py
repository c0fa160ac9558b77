"""What the user sees while a study runs: a bar with an ETA on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def duration(seconds: float) -> str:
    """A duration the way people say it: "42 s", "3 min 05 s", "1 h 02 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Reporter:
    """Reports a list of runs whose durations were estimated; use it as a context manager.

    The bar measures estimated seconds, so its ETA corrects the estimates by the pace so far.
    """

    def __init__(self, estimates: dict[str, float], console: Console | None = None) -> None:
        self.console = console or Console(soft_wrap=True, highlight=False)
        self.estimates, self.total = estimates, max(sum(estimates.values()), 1e-9)
        self.done, self.number, self.images, self.seen = 0.0, 0, 0, 0
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
        self.name, self.images, self.seen = name, max(images, 1), 0
        self.number += 1
        self.bar.update(self.task, description=f"[{self.number}/{len(self.estimates)}] {name}")
        if not self.console.is_terminal:
            self.say(f"[{self.number}/{len(self.estimates)}] {name} (about {duration(self.estimates[name])})")

    def advance(self, images: int) -> None:
        """The current run has processed ``images`` more images."""
        self.seen += images
        share = min(self.seen / self.images, 1.0)
        self.bar.update(self.task, completed=self.done + share * self.estimates[self.name])

    def end(self, summary: str, seconds: float) -> None:
        """The current run is complete."""
        self.done += self.estimates[self.name]
        self.bar.update(self.task, completed=self.done)
        self.say(f"[{self.number}/{len(self.estimates)}] {self.name}: {summary} in {duration(seconds)}{self._left()}")

    def _left(self) -> str:
        left = self.total - self.done
        if self.console.is_terminal or left < 1:
            return ""
        pace = (time.perf_counter() - self.started) / max(self.done, 1e-9)
        return f"; about {duration(left * pace)} left"
