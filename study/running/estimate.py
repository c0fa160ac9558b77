"""How long runs will take: as long as such runs took in this study, else on this machine, else nominally."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from study import files
from study.errors import StudyError
from study.experiment import structured
from study.kinds import Kind, Scale
from study.records import Run

TELLING_SECONDS = 3.0  # a run of less, nominally or by the clock, spends its time on starting and tells no pace
TRIAL_SECONDS, TRIAL_BYTES = 0.2, 2**20  # of work that shows how busy the processors are, in blocks of so many bytes


def cache_file() -> Path:
    """Where the paces of this machine are kept between studies."""
    return files.cache_folder() / "paces.json"


@dataclass
class Estimator:
    """Estimates that learn: a run's nominal cost times the ratio at which runs of the same pace took longer.

    ``where`` names the processor, device and threads of a run, ``ratios`` are those known there, by pace. One of
    another pace gets the median of all and of 1, which is what is thought while little is known. Other processes make
    everything take ``slowdown`` times as long now; ratios are those without them.
    """

    scale: Scale
    where: str
    ratios: dict[str, float] = field(default_factory=dict)
    slowdown: float = 1.0
    nominal: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)  # pace and cost by key

    @classmethod
    def of(cls, scale: Scale, where: str, runs: Iterable[Run], slowdown: float = 1.0) -> Estimator:
        """What the machine's cache holds, and of other paces what the study's own runs took on such a machine.

        The cache comes first as it knows how busy the machine was.
        """
        estimator, known = cls(scale, where, slowdown=slowdown), _cached().get(where, {})
        for run in runs:
            if run.experiment.elsewhere or not isinstance(run.experiment, Kind):
                continue
            if place(run.environment) == where:
                estimator.learn(run.experiment, slowdown * float(run.durations["total"]))
        estimator.ratios |= known
        return estimator

    def seconds(self, experiment: Kind) -> float:
        """Estimated duration of one run of the experiment, in seconds."""
        if experiment.key not in self.nominal:
            self.nominal[experiment.key] = experiment.pace, experiment.cost(self.scale)
        pace, cost = self.nominal[experiment.key]
        ratio = self.ratios[pace] if pace in self.ratios else median([1.0, *self.ratios.values()])
        return cost * ratio * self.slowdown

    @property
    def caveat(self) -> str:
        """What to say after an estimate where nothing has run yet, so that it may be far off."""
        return "" if self.ratios else " (a guess until a run has ended there)"

    def learn(self, experiment: Kind, seconds: float) -> None:
        """A run of the experiment took so long, which tells a pace where it is long enough."""
        cost = experiment.cost(self.scale)
        if min(cost, seconds) >= TELLING_SECONDS:
            self.ratios[experiment.pace] = seconds / cost / self.slowdown

    def remember(self) -> None:
        """Keep what is known for the next study on this machine, where its cache can be written."""
        with contextlib.suppress(StudyError):
            files.write_json(cache_file(), _cached() | {self.where: self.ratios})


def place(environment: dict[str, object]) -> str:
    """What decides how fast a run goes, as environment.json describes it."""
    return f"{environment['processor']}, {environment['device']}, {environment['threads']} threads"


def _cached() -> dict[str, dict[str, float]]:
    with contextlib.suppress(StudyError):
        return structured(files.read_json(cache_file()), dict[str, dict[str, float]])
    return {}


def slowdown_now(threads: int) -> float:
    """How many times longer work on so many threads takes at this moment, as other processes compute, too; at least 1.

    It is tried: what a thread is not given of a processor while it has work to do, others have.
    """
    block, end = bytes(TRIAL_BYTES), time.perf_counter() + TRIAL_SECONDS

    def work(_: int) -> None:
        while time.perf_counter() < end:
            hashlib.sha256(block)  # which leaves the interpreter to the other threads

    begun, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    given = time.process_time() - processor
    return max(1.0, threads * (time.perf_counter() - begun) / given)


def shared(seconds: Sequence[float], lanes: int) -> float:
    """Seconds that runs take in so many lanes: their sum's share, but no less than the longest of them."""
    return max(sum(seconds) / lanes, max(seconds, default=0.0))
