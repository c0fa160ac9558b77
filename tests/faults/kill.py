"""Kill a study with SIGKILL at every file boundary and at random moments, go on, and compare with one never killed.

``python -m tests.faults.kill --points 200`` prints each point with its outcome, and how many had which.

Drivers and workers are processes of their own, forked from one that has everything imported. A point is a file
boundary, just before or after the n-th time that one of them puts a file in place, or a moment in seconds; a victim:
the process that is there, the driver, or all; and a scenario, the part of the work that it falls into.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
import torch

from report.build import build
from study import records
from study.data import datasets
from study.description import Level
from study.design import levels, presets
from study.experiment import Architecture, Augmentation, Distillation, Recipe, Stage, Subset
from study.kinds import Kind, Quantization, Search, TeacherAnswers, Training, Vote
from study.kinds.export import Export
from study.running import runner, workers
from study.running.options import Options
from study.training.trainer import Trainer
from tests.fabricate import fabricate

Victim = Literal["writer", "driver", "all"]
FORK = multiprocessing.get_context("fork")
PRESET = replace(presets.QUICK, name="killed", subset=Subset(80, 40, 40))
SMALL = Architecture("compact_cnn_small")
SHIFTED = Augmentation(crop=2)
RECIPE = Recipe((Stage(2, 3e-3, 16, SHIFTED),), 20, label_smoothing=0.1)
NET = Training(level=1, name="net", title="Net", architecture=SMALL, recipe=RECIPE)
SEARCH = Search(
    level=2,
    name="search",
    title="Search",
    base=replace(NET, level=2, name="base"),
    trials=3,
    trial_epochs=2,
    trial_images=40,
    learning_rate=(1e-4, 1e-2),
    weight_decay=(1e-4, 1e-1),
    label_smoothing=(0.0, 0.2),
)
VOTE = Vote(level=4, name="hard", title="Vote", rule="hard", members=(NET.key, SEARCH.key))
TEACHER = TeacherAnswers(
    level=5, name="teacher", title="Teacher", candidates=(NET.key, SEARCH.key), augmentation=SHIFTED, views=2
)
STUDENT = Training(
    level=5,
    name="student",
    title="Student",
    architecture=SMALL,
    recipe=replace(RECIPE, fixed_views=2),
    distillation=Distillation((TEACHER.key,)),
)
INT8 = Quantization(level=5, name="int8", title="int8", source=STUDENT.key, method="static", calibration_images=20)
EXPORT = Export(level=5, name="export", title="Export", candidates=(INT8.key,))
BY_LEVEL: dict[int, tuple[Kind, ...]] = {
    1: (NET,),
    2: (SEARCH,),
    4: (VOTE,),
    5: (TEACHER, STUDENT, INT8, EXPORT),
}
NETWORKS = ("level1/*", "level2/*", "level4/*", "level5/teacher", "level5/student")


@contextmanager
def designed() -> Iterator[None]:
    """Let the levels be those of this study, read the digits once, fork workers, and note every epoch begun."""
    modules = {
        number: SimpleNamespace(LEVEL=Level(number, f"level {number}"), experiments=lambda _, found=found: found)
        for number, found in BY_LEVEL.items()
    }
    digits = datasets.load("digits", None, PRESET.subset)
    epoch = Trainer._fit_epoch

    def noted(trainer: Trainer, *arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - as Trainer's
        with Path(os.environ["EPOCHS_BEGUN"]).open("a") as log:
            log.write("epoch\n")
        return epoch(trainer, *arguments)

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, PRESET.name, PRESET)
        patch.setattr(levels, "_modules", lambda: modules)
        patch.setattr(datasets, "load", lambda *_: digits)
        patch.setattr(workers.multiprocessing, "get_context", lambda _: FORK)
        patch.setattr(Trainer, "_fit_epoch", noted)
        yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Scenario:
    """A part of the work: which runs are to do, by how many workers, or that the paper is to be written.

    Of its file boundaries every ``step``-th is tried, as some take long.
    """

    name: str
    workers: int = 1
    only: tuple[str, ...] = ()
    paper: bool = False
    step: int = 1

    def carry_out(self, runs: Path, executor: str) -> None:
        """Do what is missing of it."""
        if self.paper:
            build(runs / "killed", runs / "paper")
            return
        chosen = {"executor": executor} if "executor" in Options.__dataclass_fields__ else {}
        options = Options("killed", None, self.only, dataset="digits", device="cpu", runs=runs, study="killed")
        runner.run(replace(options, workers=self.workers, **chosen), say=lambda _: None)  # type: ignore[arg-type]


TRAINING = Scenario("training, search, vote, students", only=NETWORKS)
BESIDE = Scenario("the same in two workers", workers=2, only=NETWORKS)
EXPORTING = Scenario("int8 and export", step=3)
PAPER = Scenario("report", paper=True, step=5)
SCENARIOS = (TRAINING, BESIDE, EXPORTING, PAPER)


@dataclass(frozen=True)
class Point:
    """Where a study is killed: at the n-th file, before or after it is in its place, or after so many seconds."""

    scenario: Scenario
    victim: Victim = "writer"
    file: int = 0
    before: bool = False
    seconds: float = 0.0

    def __str__(self) -> str:
        where = f"{self.seconds:.2f} s" if self.seconds else f"{'before' if self.before else 'after'} file {self.file}"
        return f"{self.scenario.name} | {where} | {self.victim}"


class Files:
    """Counts, over all processes, the files that are put in their place, and strikes at one."""

    def __init__(self, point: Point | None) -> None:
        self.point, self.count, self.driver = point, FORK.Value("i", 0), 0

    def install(self) -> None:
        """Count from now on, in this process, which is the driver, and its children."""
        self.driver = os.getpid()
        put = Path.replace

        def counted(path: Path, target: Path) -> Path:
            with self.count.get_lock():
                self.count.value += 1
                number = self.count.value
            if self.point and number == self.point.file and self.point.before:
                self.strike()
            placed = put(path, target)
            if self.point and number == self.point.file and not self.point.before:
                self.strike()
            return placed

        Path.replace = counted  # type: ignore[method-assign, assignment]

    def strike(self) -> None:
        """Kill the point's victim from within."""
        assert self.point
        if self.point.victim == "all":
            os.killpg(self.driver, signal.SIGKILL)
        os.kill(os.getpid() if self.point.victim == "writer" else self.driver, signal.SIGKILL)
        time.sleep(30)  # a worker ends when its driver does


def _driver(scenario: Scenario, runs: Path, files: Files, executor: str) -> None:
    """Carry out a scenario; leave the names of the modules that it took."""
    os.setsid()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.environ["EPOCHS_BEGUN"] = str(runs / "epochs")
    files.install()
    scenario.carry_out(runs, executor)
    (runs / ".modules").write_text(" ".join(sys.modules))


def start(scenario: Scenario, runs: Path, point: Point | None = None, executor: str = "processes") -> tuple[Any, Files]:
    """Begin a scenario in a process of its own."""
    files = Files(point)
    process = FORK.Process(target=_driver, args=(scenario, runs, files, executor))
    process.start()
    return process, files


def _children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _strike_from_outside(point: Point, driver: Any) -> None:  # noqa: ANN401 - a process of FORK
    """Wait until the moment and kill."""
    driver.join(point.seconds)
    if not driver.is_alive():
        return
    if point.victim == "all":
        os.killpg(driver.pid, signal.SIGKILL)
        return
    victims = [driver.pid] if point.victim == "driver" else _children(driver.pid) or [driver.pid]
    os.kill(random.choice(victims), signal.SIGKILL)


@dataclass(frozen=True)
class Whole:
    """What a scenario does when nobody kills it: its result, epochs begun, files placed, and seconds taken."""

    start: Path
    result: dict[str, str]
    epochs: int
    files: int
    seconds: float


def never_killed(scenario: Scenario, start_from: Path, runs: Path, executor: str = "processes") -> Whole:
    """Carry out a scenario in ``runs`` from a copy of ``start_from``."""
    shutil.copytree(start_from, runs)
    begun = time.perf_counter()
    process, files = start(scenario, runs, executor=executor)
    process.join()
    assert process.exitcode == 0
    seconds, begun_epochs = time.perf_counter() - begun, epochs(runs)
    for module in (runs / ".modules").read_text().split():  # so that no later process has to
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    return Whole(start_from, found(runs), begun_epochs, files.count.value, seconds)


def epochs(runs: Path) -> int:
    """How many epochs were begun since the last time."""
    log = runs / "epochs"
    number = len(log.read_text().splitlines()) if log.is_file() else 0
    log.unlink(missing_ok=True)
    return number


def found(runs: Path) -> dict[str, str]:
    """Digests of what a study found and of its paper, by path; times aside."""
    timed = (records.ENVIRONMENT, records.TRIALS, records.EPOCHS, runner.LOCK, "trials.journal")
    kept = [p for p in sorted(runs.rglob("*")) if p.is_file() and p.name not in timed and p.name[0] != "."]
    return {path.relative_to(runs).as_posix(): hashlib.sha256(_timeless(path)).hexdigest() for path in kept}


def _timeless(path: Path) -> bytes:
    if path.name != records.RESULT:
        return path.read_bytes()
    metrics = json.loads(path.read_text())["metrics"]
    return json.dumps({name: value for name, value in metrics.items() if "per_second" not in name}).encode()


def outcome(point: Point, whole: Whole, runs: Path, executor: str = "processes") -> str:
    """Kill a copy of the study at the point, go on, and say what came of it."""
    shutil.copytree(whole.start, runs)
    driver, _ = start(point.scenario, runs, point, executor)
    if point.seconds:
        _strike_from_outside(point, driver)
    driver.join()
    killed = "" if driver.exitcode else "not killed: "
    again, _ = start(point.scenario, runs, executor=executor)
    again.join()
    lost, same = epochs(runs) - whole.epochs, found(runs) == whole.result
    shutil.rmtree(runs)
    if again.exitcode or not same:
        return f"{killed}{'different' if not again.exitcode else f'exit code {again.exitcode}'}"
    at_once = point.scenario.workers if point.victim != "writer" else 1
    if lost == 0:
        return "identical"
    return "at most one epoch lost, then identical" if 0 < lost <= at_once else f"{lost} epochs lost, then identical"


def boundaries(scenario: Scenario, whole: Whole, victims: tuple[Victim, ...]) -> list[Point]:
    """Files of a scenario, before and after, each with the next of the victims."""
    both = [(file, before) for file in range(1, whole.files + 1) for before in (True, False)][:: scenario.step]
    return [Point(scenario, victims[n % len(victims)], file, before) for n, (file, before) in enumerate(both)]


def moments(
    scenario: Scenario, whole: Whole, victims: tuple[Victim, ...], count: int, rng: random.Random
) -> list[Point]:
    """So many random moments of a scenario."""
    return [
        Point(scenario, victims[n % len(victims)], seconds=rng.uniform(0.02, whole.seconds) or 0.02)
        for n in range(count)
    ]


VICTIMS: dict[str, tuple[Victim, ...]] = {BESIDE.name: ("writer", "driver", "all")}


def prepare(folder: Path, executor: str = "processes") -> dict[Scenario, Whole]:
    """Every scenario without a kill, each from where the one that it builds on ends; the paper is of ``fabricated``."""
    empty = folder / "empty"
    empty.mkdir()
    never_killed(TRAINING, empty, folder / "first", executor)  # which takes longer, as it imports
    wholes = {TRAINING: never_killed(TRAINING, empty, folder / "trained", executor)}
    wholes[BESIDE] = never_killed(BESIDE, empty, folder / "beside", executor)
    wholes[EXPORTING] = never_killed(EXPORTING, folder / "trained", folder / "exported", executor)
    wholes[PAPER] = never_killed(PAPER, folder / "fabricated", folder / "written", executor)
    return wholes


def points_of(wholes: dict[Scenario, Whole], count: int) -> list[Point]:
    """File boundaries of all scenarios, and random moments until there are ``count`` points, in random order."""
    victims = {scenario: VICTIMS.get(scenario.name, ("writer",)) for scenario in wholes}
    points = [p for scenario, whole in wholes.items() for p in boundaries(scenario, whole, victims[scenario])]
    rng, left = random.Random(0), max(0, count - len(points))
    for n, (scenario, whole) in enumerate(wholes.items()):
        share = left // len(wholes) + (n < left % len(wholes))
        points += moments(scenario, whole, victims[scenario], share, rng)
    return rng.sample(points, count)


def run_all(count: int, executor: str, say: Callable[[str], None]) -> Counter[str]:
    """Try the points and say what came of each; how many had which outcome."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fabricate(folder / "fabricated" / "killed", images=20)
        with designed():
            wholes = prepare(folder, executor)
            return _tried(wholes, points_of(wholes, count), folder, executor, say)


def _tried(
    wholes: dict[Scenario, Whole], points: list[Point], folder: Path, executor: str, say: Callable[[str], None]
) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for scenario, whole in wholes.items():
        say(f"# {scenario.name}: {whole.files} files, {whole.epochs} epochs, {whole.seconds:.1f} s")
    for number, point in enumerate(points, 1):
        came = outcome(point, wholes[point.scenario], folder / str(number), executor)
        outcomes[came] += 1
        say(f"| {number} | {point} | {came} |")
    return outcomes


def main() -> None:
    """Print the table of kill points and outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--executor", default="processes")
    arguments = parser.parse_args()
    outcomes = run_all(arguments.points, arguments.executor, lambda line: print(line, flush=True))
    for came, count in outcomes.most_common():
        print(f"{count:4d} {came}")


if __name__ == "__main__":
    main()
