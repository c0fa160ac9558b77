"""A study of four runs that leave every file a record may hold, and take no time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from study import files, machine, records
from study.data import datasets
from study.description import Level
from study.design import levels
from study.experiment import reads
from study.kinds import Context, Kind, Scale
from study.records import Outcome
from study.running import runner
from study.running.options import Options
from study.streams import numpy_generator

OPTIONS = Options(preset="quick", dataset="digits", device="cpu", workers=1, study="small")


@dataclass(frozen=True, kw_only=True)
class Small(Kind):
    """A run that leaves files of every name, drawn with its seed, and notes that it was carried out."""

    sources: tuple[str, ...] = reads()

    carried_out: ClassVar[list[str]] = []

    def carry_out(self, context: Context) -> Outcome:
        name = f"{self.key}/seed-{context.seed}"
        self.carried_out.append(name)
        rng = numpy_generator(context.seed, self.key)
        inputs = sum(float(context.run(key).arrays["test_logits"].sum()) for key in self.sources)
        records.write_epochs(context.folder, [{"epoch": n, "train_loss": rng.random()} for n in range(3)])
        for file in (records.TRIALS, records.LATENCY, "export.json"):
            files.write_json(context.folder / file, [{"of": name, "value": rng.random()}])
        for file in (records.MODEL, "model-int8.onnx", "trials.journal", "README.md"):
            files.write_bytes(context.folder / file, rng.bytes(300))
        logits = {split: rng.random((4, 2)) + inputs for split in records.SPLITS}
        arrays = {f"{split}_logits": scores for split, scores in logits.items()}
        return Outcome({"test_accuracy": float(rng.random())}, arrays)

    def cost(self, scale: Scale) -> float:
        return 0.01


FIRST = Small(level=1, name="first", sources=())
SECOND = Small(level=1, name="second", sources=(FIRST.key,))
ALONE = Small(level=2, name="alone", sources=())
LAST = Small(level=2, name="last", sources=(SECOND.key, ALONE.key))
NAMES = tuple(f"{each.key}/seed-0" for each in (FIRST, SECOND, ALONE, LAST))
FILES = (
    records.SPEC,
    records.ENVIRONMENT,
    records.EPOCHS,
    records.TRIALS,
    records.LATENCY,
    records.MODEL,
    records.PREDICTIONS,
    records.RESULT,
    "export.json",
    "model-int8.onnx",
    "trials.journal",
    "README.md",
)


@contextmanager
def designed() -> Iterator[None]:
    """Let the levels be those of the small study, and read the digits once."""
    chosen = {
        1: SimpleNamespace(LEVEL=Level(1, "small"), experiments=lambda _: (FIRST, SECOND)),
        2: SimpleNamespace(LEVEL=Level(2, "alone"), experiments=lambda _: (ALONE, LAST)),
    }
    load = cache(datasets.load)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "_modules", lambda: chosen)
        patch.setattr(datasets, "load", lambda *arguments: load(*arguments[:4]))  # no description, which has no hash
        patch.setattr(runner, "slowdown_now", lambda threads: 1.0)  # takes longer than the runs
        peaks = count(10**9)  # no two runs take the same memory
        patch.setattr(machine, "peak_memory_bytes", lambda _: next(peaks))
        yield


def run(runs: Path, **changes: object) -> tuple[list[str], list[str]]:
    """Run the small study in a folder; returns the lines it said and the names of what was carried out."""
    lines: list[str] = []
    Small.carried_out.clear()
    runner.run(replace(OPTIONS, runs=runs, **changes), say=lines.append)  # type: ignore[arg-type]
    return lines, list(Small.carried_out)


def results(study: Path) -> dict[str, str]:
    """Digests of all that a study found, by path: every file but those that tell times and versions."""
    told = (records.ENVIRONMENT, records.RESULT, runner.LOCK)
    paths = [p for p in sorted(study.rglob("*")) if p.is_file() and records.SUPERSEDED not in p.parts]
    return {
        p.relative_to(study).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths if p.name not in told
    }


def metrics(study: Path) -> dict[str, object]:
    """Metrics of the complete runs by name."""
    return {name: run.metrics for name, run in records.current_runs(study, records.read_plan(study)).items()}
