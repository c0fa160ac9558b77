"""What the user sees while runs go on: a bar with the time left on a terminal, lines in a log."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from study.kinds import Kind
from study.running.estimate import Estimator, shared
from study.status import UnderWay, duration, note_under_way

NOTE_SECONDS = 2.0


@dataclass
class _Active:
    """A run under way: its number among all, the images it will process and those it has, where and when it began.

    Of those it has, an interrupted run had the ``resumed`` ones before. A run of no images does not tell how far it is.
    """

    number: int
    images: int
    node: str
    seen: int = 0
    resumed: int = 0
    begun: float = field(default_factory=lambda: time.perf_counter())

    @property
    def share(self) -> float:
        """The share that is done, in [0, 1]."""
        return min(self.seen / max(self.images, 1), 1.0)

    def left(self, estimate: float) -> float:
        """Seconds to go: the estimate gives way to the run's own pace as it goes on.

        Its own pace gives ``elapsed * (1 - here) / here``, and counts as much as the share ``here`` that is done of
        what was to do when it began.
        """
        rest, elapsed = (1 - self.share) * estimate, time.perf_counter() - self.begun
        here = min((self.seen - self.resumed) / max(self.images - self.resumed, 1), 1.0)
        if not here:
            return max(rest - elapsed, 0.0)
        return (1 - here) * (rest + elapsed)


class _Pipe(Console):
    """A console that leaves it to others to end the program when nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        raise  # the error at hand


class Reporter:
    """Reports runs, one or several at a time, given by name; use it as a context manager.

    What a run took corrects the estimates of those that are still to come.
    """

    def __init__(
        self,
        runs: Mapping[str, Kind],
        estimator: Estimator,
        lanes: int = 1,
        console: Console | None = None,
        folder: Path | None = None,
        device: str = "",
    ) -> None:
        """``lanes`` runs go on at a time, on the ``device``; in the study's ``folder`` is noted how far they are."""
        self.console = console or _Pipe(soft_wrap=True, highlight=False)
        self.runs, self.estimator, self.lanes = runs, estimator, lanes
        self.folder, self.device, self.noted = folder, device, 0.0
        self.waiting, self.active = set(runs), dict[str, _Active]()
        self.started = time.perf_counter()
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("study", total=1.0, left="")

    def __enter__(self) -> Reporter:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
        self.active.clear()
        self._note()

    def say(self, line: str) -> None:
        """Print one line above the bar."""
        self.console.print(line, markup=False)

    def estimate(self, name: str) -> float:
        """Seconds that a run is expected to take, by what is known now."""
        return self.estimator.seconds(self.runs[name])

    def left(self) -> float:
        """Seconds until all runs are complete."""
        under_way = [run.left(self.estimate(name)) for name, run in self.active.items()]
        return shared([*under_way, *map(self.estimate, self.waiting)], self.lanes)

    def begin(self, name: str, node: str = "") -> None:
        """A run starts on a machine."""
        self.waiting.discard(name)
        images = self.runs[name].images(self.estimator.scale)
        self.active[name] = _Active(len(self.runs) - len(self.waiting), images, node)
        self._update()
        self._note()
        if not self.console.is_terminal:
            self.say(f"{self._numbered(name)} (about {duration(self.estimate(name))})")

    def advance(self, name: str, images: int, resumed: bool = False) -> None:
        """The run has processed ``images`` more images; ``resumed`` are those of before it was interrupted."""
        run = self.active[name]
        run.seen += images
        run.resumed += images if resumed else 0
        self._update()

    def end(self, name: str, summary: str, seconds: float) -> None:
        """The run is complete."""
        self.estimator.learn(self.runs[name], seconds)
        self._leave(name, f"{summary} in {duration(seconds)}")

    def retry(self, name: str, why: str) -> None:
        """The run begins again later."""
        self.waiting.add(name)
        self._leave(name, f"{why}; it is tried again")

    def fail(self, name: str, why: str, never: Iterable[str]) -> None:
        """The run failed; others will ``never`` begin without it."""
        self.waiting -= set(never)
        self._leave(name, f"failed: {why}")

    def _leave(self, name: str, said: str) -> None:
        """The run is no longer under way; say what became of it."""
        line = f"{self._numbered(name)}: {said}"
        del self.active[name]
        self._update()
        left = self.left()
        self.say(line + (f"; about {duration(left)} left" if left >= 1 and not self.console.is_terminal else ""))

    def _numbered(self, name: str) -> str:
        return f"[{self.active[name].number}/{len(self.runs)}] {name}"

    def _note(self) -> None:
        """Tell other processes how far the runs are."""
        self.noted = time.perf_counter()
        if self.folder:
            found = {
                name: UnderWay(run.node, self.device, run.share if run.images else None, run.left(self.estimate(name)))
                for name, run in self.active.items()
            }
            note_under_way(self.folder, found)

    def _update(self) -> None:
        if time.perf_counter() - self.noted > NOTE_SECONDS:
            self._note()
        if self.bar.disable:
            return
        left, elapsed = self.left(), time.perf_counter() - self.started
        names = ", ".join(map(self._numbered, self.active)) or None
        done = elapsed / max(elapsed + left, 1e-9)
        self.bar.update(self.task, completed=done, description=names, left=f"about {duration(left)} left")
