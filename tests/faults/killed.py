"""A study of every kind of work that takes seconds, in parts that a process of its own carries out and that are killed.

Such processes are forked from one that has everything imported.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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
from study.running import node, runner, workers
from study.running.node import Order
from study.running.options import Options
from study.training.trainer import Trainer

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
EXPORT = Export(level=5, name="export", title="Export", candidates=(INT8.key,), built_on=(INT8.source, TEACHER.key))
BY_LEVEL: dict[int, tuple[Kind, ...]] = {
    1: (NET,),
    2: (SEARCH,),
    4: (VOTE,),
    5: (TEACHER, STUDENT, INT8, EXPORT),
}
NETWORKS = ("level1/*", "level2/*", "level4/*", "level5/teacher", "level5/student")
# In the environment: where the nodes of Ray are, and the file that gets a line with every epoch.
ADDRESS, EPOCHS = "KILLED_STUDYS_NODES", "KILLED_STUDYS_EPOCHS"
EMPTY, TRAINED, PAPER = "empty", "trained", "paper"  # folders that scenarios start from
CARRY_OUT = node.carry_out
BEGUN, EPOCHS_LOG = ".begun", ".epochs"  # there as soon as a node carries out a run; a line for every epoch


@dataclass(frozen=True)
class Scenario:
    """A part of the work: which runs are to do, by how many workers of which executor, or that the paper is written.

    It starts from the folder ``start``. Its ``victims`` take turns. Of its file boundaries every ``step``-th is tried,
    as some take long; 0 for none.
    """

    name: str
    start: str
    only: tuple[str, ...] = ()
    workers: int = 1
    victims: tuple[str, ...] = ("writer",)
    step: int = 1
    executor: str = "processes"

    @property
    def on_nodes(self) -> bool:
        """Whether Ray carries it out."""
        return self.executor == "ray"

    def carry_out(self, runs: Path) -> None:
        """Do what is missing of it."""
        if self.start == PAPER:
            build(runs / "killed", runs / "paper")
            return
        address = os.environ[ADDRESS] if self.on_nodes else ""
        options = Options("killed", None, self.only, dataset="digits", device="cpu", runs=runs, study="killed")
        given = replace(options, workers=self.workers, executor=self.executor, address=address)
        runner.run(given, say=lambda _: None)


@contextmanager
def designed() -> Iterator[None]:
    """Let the levels be those of this study, read the digits once, fork workers, and note every epoch begun."""
    modules = {
        number: SimpleNamespace(LEVEL=Level(number, f"level {number}"), experiments=lambda _, found=found: found)
        for number, found in BY_LEVEL.items()
    }
    digits = datasets.load("digits", None, PRESET.subset)
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(presets.PRESETS, PRESET.name, PRESET)
        patch.setattr(levels, "_modules", lambda: modules)
        patch.setattr(datasets, "load", lambda *_: digits)
        patch.setattr(workers.multiprocessing, "get_context", lambda _: FORK)
        # Forked workers hold each other's pipes open, and so never hear of the end.
        patch.setattr(workers, "TIDY_SECONDS", 0.1)
        patch.setattr("study.machine.available_threads", lambda: 2)
        patch.setattr(runner, "slowdown_now", lambda threads: 1.0)
        patch.setattr(node, "carry_out", carry_out_noted)
        _note_epochs(patch)
        yield
    torch.set_num_threads(before)


def carry_out_noted(order: Order, *arguments: Any) -> Any:  # noqa: ANN401 - as the original's
    """What a node of Ray does, with a note that it begins and of every epoch."""
    runs = order.study.folder.parent
    os.environ[EPOCHS] = str(runs / EPOCHS_LOG)
    (runs / BEGUN).touch()
    with pytest.MonkeyPatch.context() as patch:
        _note_epochs(patch)
        return CARRY_OUT(order, *arguments)


def _note_epochs(patch: pytest.MonkeyPatch) -> None:
    """Have the trainer write a line for every epoch that it begins."""
    epoch = Trainer._fit_epoch

    def noted(trainer: Trainer, *arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - as Trainer's
        with Path(os.environ[EPOCHS]).open("a") as log:
            log.write("epoch\n")
        return epoch(trainer, *arguments)

    patch.setattr(Trainer, "_fit_epoch", noted)


def drive(scenario: Scenario, runs: Path) -> None:
    """Be the process that carries out a scenario, the head of its group; leave the names of the modules it took."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.environ[EPOCHS] = str(runs / EPOCHS_LOG)
    scenario.carry_out(runs)
    (runs / ".modules").write_text(" ".join(sys.modules))


def epochs(runs: Path) -> int:
    """How many epochs were begun since the last time."""
    log = runs / EPOCHS_LOG
    number = len(log.read_text().splitlines()) if log.is_file() else 0
    log.unlink(missing_ok=True)
    return number


def found(runs: Path) -> dict[str, str]:
    """Digests of what a study found and of its paper, by path; times aside."""
    timed = (records.ENVIRONMENT, records.TRIALS, records.EPOCHS, "trials.journal")
    kept = [path for path in sorted(runs.rglob("*")) if path.is_file() and path.name not in timed]
    named = {path.relative_to(runs).as_posix(): path for path in kept}
    return {name: hashlib.sha256(_timeless(path)).hexdigest() for name, path in named.items() if "/." not in f"/{name}"}


def _timeless(path: Path) -> bytes:
    if path.name != records.RESULT:
        return path.read_bytes()
    metrics = json.loads(path.read_text())["metrics"]
    return json.dumps({name: value for name, value in metrics.items() if "per_second" not in name}).encode()
