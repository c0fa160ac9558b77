"""What the runs ran on, what they took, and the digests of what they found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from analysis import formats
from analysis.captions import join
from analysis.evidence import Fact, Origin, Table, facts, table
from analysis.results import Results
from study.records import LATENCY, PREDICTIONS, Run

SHORT_DIGEST = 12


@facts
def environment_facts(results: Results) -> Iterator[Fact]:
    """Device, versions and compute as the runs recorded them; nothing before the first run."""
    runs = results.view.own_runs
    if not runs:
        return
    environments = [run.environment for run in runs]
    every = Origin(environment_facts, tuple(run.name for run in runs))
    last, environment = Origin(environment_facts, every.runs[-1:]), environments[-1]
    yield every.duration("study/compute", _seconds(runs))
    yield last.text("study/device", environment["device_name"] or environment["device"])
    yield every.text("study/threads", threads_of(environments))
    yield every.text("study/commit", revision_of(environments))
    yield every.megabytes("study/memory", max(each["peak_memory_bytes"] for each in environments), digits=0)
    if switches := [f"--{name}" for name in ("compile", "deterministic") if environment.get(name)]:
        yield last.text("study/switches", " ".join(switches))
    if environment["device"] != "cpu":
        yield last.text("study/kernels", "as here" if environment.get("deterministic") else "which was not done here")
    for package, version in environment["versions"].items():
        yield last.text(f"version/{package}", str(version))


def threads_of(environments: Sequence[Mapping[str, Any]]) -> str:
    """How many threads a run had, from the fewest to the most."""
    fewest, most = (pick(int(environment["threads"]) for environment in environments) for pick in (min, max))
    return formats.plural(most, "thread") if fewest == most else f"{fewest} to {most} threads"


def revision_of(environments: Sequence[Mapping[str, Any]]) -> str:
    """The source revisions that the runs recorded, or, of more than three, how many."""
    recorded = sorted({str(environment["commit"] or "not recorded")[:12] for environment in environments})
    return formats.listing(recorded) if len(recorded) <= 3 else f"{recorded[0]} and {len(recorded) - 1} others"


def _seconds(runs: Sequence[Run]) -> float:
    return sum(float(run.durations["total"]) for run in runs)


@table
def environment(results: Results) -> Table | None:
    """What the runs ran on, and what they took, level by level."""
    view, done = results.view, results.view.own_runs
    if not done:
        return None
    environments = [run.environment for run in done]
    recorded = environments[-1]
    totals = {n: _seconds([run for run in done if run.experiment.level == n]) for n in view.levels}
    precisions = sorted({str(run.environment["precision"]) for run in done if run.experiment.trained})
    takes = formats.duration(_seconds(done))[2]
    rows = (
        ("Device", str(recorded["device_name"] or recorded["device"])),
        ("Platform", str(recorded.get("platform", formats.MISSING))),
        ("Threads of a run", threads_of(environments)),
        ("Precision of trainings", formats.listing(precisions) or formats.MISSING),
        ("Source revision", revision_of(environments)),
        *((package, str(version)) for package, version in recorded["versions"].items()),
        ("Peak memory", f"{formats.count(max(each['peak_memory_bytes'] for each in environments) / 1e6)} MB"),
        *((f"Compute, level {level}", formats.duration(seconds)[2]) for level, seconds in totals.items()),
        ("Compute, total", takes),
    )
    caption = join(
        f"{formats.plural(len(done), 'run')} took {takes} of compute in all.",
        "Device and versions as the last run recorded them; peak memory is the largest of any run; times are wall "
        "time, for some runs beside another one.",
    )
    return Table("environment", caption, ("Item", "Value"), rows, "ll")


@table
def runs(results: Results) -> Table | None:
    """Every complete run with its seed, duration and digest."""
    done = results.view.all_runs
    if not done:
        return None
    planned = len(done) + len(results.view.pending)
    caption = join(
        f"{formats.count(len(done))} of {formats.plural(planned, 'planned run')} are complete.",
        f"The digest is the first {SHORT_DIGEST} digits of the SHA-256 of what the run predicted or timed; "
        "equal digests mean equal results.",
    )
    rows = []
    for run in done:
        accuracy = run.metrics.get("test_accuracy", math.nan)
        digest = next((run.files[name] for name in (PREDICTIONS, LATENCY) if name in run.files), formats.MISSING)
        took = formats.duration(run.durations["total"])[2]
        rows.append((run.key, str(run.seed), formats.percent(accuracy), took, digest[:SHORT_DIGEST]))
    head = ("Experiment", "Seed", "Test accuracy, %", "Duration", "Digest")
    return Table("runs", caption, head, tuple(rows), "lrrrl")
