"""Kill a study with SIGKILL at every file boundary and at random moments, go on, and compare with one never killed.

``python -m tests.faults.kill`` prints each point with its outcome, and how many had which.

A point is a file boundary, just before or after the n-th time that a process puts a file in place, or a moment in
seconds; a scenario, the part of the work that it falls into; and a victim: of processes of this machine the one that
is there, the driver, or all; of two nodes of Ray the driver, a worker, a node, or both nodes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from tabulate import tabulate

from tests.fabricate import experiments, fabricate
from tests.faults.killed import BEGUN, EMPTY, FORK, NETWORKS, PAPER, TRAINED, Scenario, designed, drive, epochs, found
from tests.faults.nodes import Nodes, descendants, two_nodes

LONGEST = 600  # seconds that a driver may take
ON_NODES = ("driver", "worker", "node", "worker", "both nodes")
TRAINING = Scenario("training, search, vote, students", EMPTY, NETWORKS, step=2)
HERE = (
    TRAINING,
    replace(TRAINING, name="the same in two workers", workers=2, victims=("writer", "driver", "all"), step=3),
    Scenario("int8 and export", TRAINED, step=3),
    Scenario("report", PAPER, step=5),
)
THERE = (
    replace(TRAINING, workers=2, victims=ON_NODES, step=0, executor="ray"),
    Scenario("int8 and export", TRAINED, victims=ON_NODES, step=0, executor="ray"),
)
OF_ONE_RUN = ("writer", "worker", "node")
ALLOWED = ("identical", "at most one epoch lost, then identical")


@dataclass(frozen=True)
class Point:
    """Where a study is killed: at the n-th file, before or after it is in its place, or after so many seconds."""

    scenario: Scenario
    victim: str
    file: int = 0
    before: bool = False
    seconds: float = 0.0

    def __str__(self) -> str:
        where = f"{self.seconds:.2f} s" if self.seconds else f"{'before' if self.before else 'after'} file {self.file}"
        return f"{self.scenario.executor} | {self.scenario.name} | {where} | {self.victim}"

    @property
    def sooner(self) -> Point:
        """The point at half the way, for one that was never reached."""
        return replace(self, file=self.file // 2, seconds=self.seconds / 2)


@dataclass(frozen=True)
class Whole:
    """What a scenario does when nobody kills it: its result, epochs begun, files placed, and seconds taken."""

    result: dict[str, str]
    epochs: int
    files: int
    seconds: float


class Driver:
    """A process that carries out a scenario and is struck at a point; counts files that it and its children place."""

    def __init__(self, scenario: Scenario, runs: Path, point: Point | None = None) -> None:
        self.point, self.files, self.struck = point, FORK.Value("i", 0), FORK.Value("b", False)
        self.process = FORK.Process(target=self._drive, args=(scenario, runs))
        self.process.start()
        while scenario.on_nodes and self.process.is_alive() and not (runs / BEGUN).exists():
            time.sleep(0.02)  # so that moments are those of the work
        self.begun = time.perf_counter()

    def _drive(self, scenario: Scenario, runs: Path) -> None:
        put = Path.replace

        def counted(path: Path, target: Path) -> Path:
            with self.files.get_lock():
                self.files.value += 1
                number = self.files.value
            self._strike_within(number, before=True)
            placed = put(path, target)
            self._strike_within(number, before=False)
            return placed

        Path.replace = counted  # type: ignore[method-assign, assignment]
        drive(scenario, runs)

    def _strike_within(self, number: int, before: bool) -> None:
        """Kill the victim if this is the point's file."""
        if self.point is None or (self.point.file, self.point.before) != (number, before):
            return
        self.struck.value = True
        if self.point.victim == "all":
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid() if self.point.victim == "writer" else os.getpgid(0), signal.SIGKILL)
        time.sleep(30)  # a worker ends when its driver does

    def strike(self, point: Point, nodes: Nodes | None) -> None:
        """Kill the victim when the point's moment has come, if it is there then."""
        self.process.join(point.seconds)
        own = self.process.pid
        assert own
        if not self.process.is_alive():
            return
        with contextlib.suppress(ProcessLookupError, IndexError):  # between two runs there is no worker
            if nodes and point.victim in ("node", "both nodes"):
                nodes.kill(both=point.victim == "both nodes")
            elif point.victim == "all":
                os.killpg(own, signal.SIGKILL)
            else:
                there = {"writer": descendants(own) or [own], "worker": nodes.workers() if nodes else []}
                os.kill(random.choice(there.get(point.victim, [own])), signal.SIGKILL)
            self.struck.value = True

    def end(self) -> int:
        """Wait until it has ended; returns its exit code. RuntimeError when it does not end."""
        self.process.join(LONGEST)
        if self.process.exitcode is None:
            self.process.kill()
            raise RuntimeError(f"a driver did not end after it was struck at {self.point}")
        return self.process.exitcode


def never_killed(scenario: Scenario, start: Path, runs: Path) -> Whole:
    """Carry out a scenario in ``runs`` from a copy of ``start``."""
    shutil.copytree(start, runs)
    driver = Driver(scenario, runs)
    assert driver.end() == 0
    seconds = time.perf_counter() - driver.begun
    for module in (runs / ".modules").read_text().split():  # so that no later process has to
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    return Whole(found(runs), epochs(runs), driver.files.value, seconds)


def prepare(folder: Path, scenarios: Sequence[Scenario]) -> dict[Scenario, Whole]:
    """Every scenario without a kill; those of one start must come to one result. The paper is of a made-up study."""
    never_killed(TRAINING, folder / EMPTY, folder / TRAINED)  # takes longer than later, as it imports
    wholes, results = {}, dict[str, dict[str, str]]()
    for number, scenario in enumerate(scenarios):
        whole = never_killed(scenario, folder / scenario.start, folder / f"whole-{number}")
        assert results.setdefault(scenario.start, whole.result) == whole.result, scenario
        wholes[scenario] = whole
    return wholes


def points_of(wholes: dict[Scenario, Whole], scenarios: Sequence[Scenario], count: int) -> list[Point]:
    """``count`` points of the scenarios in random order: file boundaries, then random moments of each in turn."""
    rng, points = random.Random(0), list[Point]()
    for each in scenarios:
        both = [(file, before) for file in range(1, wholes[each].files + 1) for before in (True, False)]
        chosen = zip(both[:: each.step] if each.step else [], cycle(each.victims), strict=False)
        points += [Point(each, victim, file, before) for (file, before), victim in chosen]
    for n, each in zip(range(count - len(points)), cycle(scenarios), strict=False):
        victim = each.victims[n // len(scenarios) % len(each.victims)]
        points.append(Point(each, victim, seconds=rng.uniform(0, wholes[each].seconds)))
    return rng.sample(points, count)


def outcome(point: Point, whole: Whole, folder: Path, nodes: Nodes | None) -> str:
    """Kill a copy of the study at the point, go on, and say what came of it."""
    runs = folder / "killed"
    shutil.copytree(folder / point.scenario.start, runs)
    driver = Driver(point.scenario, runs, point)
    if point.seconds:
        driver.strike(point, nodes)
    driver.end()
    if nodes:
        nodes.ready()
    struck, code = driver.struck.value, Driver(point.scenario, runs).end()
    lost, differing = epochs(runs) - whole.epochs, {*found(runs).items()} ^ {*whole.result.items()}
    shutil.rmtree(runs)
    if not struck:
        return outcome(point.sooner, whole, folder, nodes)
    if code or differing:
        return f"exit code {code}" if code else f"{min(differing)[0]} differs"
    if lost == 0:
        return ALLOWED[0]
    at_once = 1 if point.victim in OF_ONE_RUN else point.scenario.workers
    return ALLOWED[1] if 0 < lost <= at_once else f"{lost} epochs lost, then identical"


def run_all(count: int, on_nodes: int) -> Counter[tuple[str, ...]]:
    """Try so many points, of them so many on nodes; says what came of each, and returns how many had what outcome."""
    outcomes: Counter[tuple[str, ...]] = Counter()
    with contextlib.ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        (folder / EMPTY).mkdir()
        fabricate(folder / PAPER / "killed", images=20, planned=experiments(1))
        held.enter_context(designed())
        nodes = held.enter_context(two_nodes()) if on_nodes else None
        wholes = prepare(folder, (*HERE, *THERE) if nodes else HERE)
        for scenario, whole in wholes.items():
            about = f"{whole.files} files, {whole.epochs} epochs, {whole.seconds:.1f} s"
            print(f"# {scenario.executor}, {scenario.name}: {about}", flush=True)
        points = points_of(wholes, HERE, count - on_nodes) + (points_of(wholes, THERE, on_nodes) if nodes else [])
        for number, point in enumerate(points, 1):
            came = outcome(point, wholes[point.scenario], folder, nodes if point.scenario.on_nodes else None)
            outcomes[point.scenario.executor, point.scenario.name, point.victim, came] += 1
            print(f"| {number} | {point} | {came} |", flush=True)
    return outcomes


def main() -> None:
    """Print the table of kill points and outcomes; exit code 1 when one is not allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=210)
    parser.add_argument("--on-nodes", type=int, default=30, help="so many of them on two nodes of Ray")
    arguments = parser.parse_args()
    outcomes = run_all(arguments.points, arguments.on_nodes)
    print(tabulate([(*what, count) for what, count in sorted(outcomes.items())]))
    sys.exit(any(came not in ALLOWED for *_, came in outcomes))


if __name__ == "__main__":
    main()
