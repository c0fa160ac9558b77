"""Time several models interleaved in one process, each at every batch size and thread count."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Literal

import numpy as np

from study import files, records
from study.deployment.int8 import FP32, INT8
from study.errors import StudyError
from study.experiment import reads
from study.inference.runtime import INPUT, open_session
from study.kinds.kind import Context, Kind, Scale
from study.kinds.quantization import Quantization, export
from study.records import Outcome

FEWEST_REPEATS = 10
TIMED_IMAGES = 1_000
SECONDS_PER_REPEAT = 0.25
EXPORT_SECONDS = 6.0


@dataclass(frozen=True)
class Candidate:
    """A model to time: its experiment's key, its precision and its ONNX file."""

    model: str
    precision: Literal["float32", "int8"]
    path: Path


@dataclass(frozen=True, kw_only=True)
class Latency(Kind):
    """Time all sources against each other: fp32 and int8 of the quantised ones, fp32 of the others."""

    sources: tuple[str, ...] = reads()
    batch_sizes: tuple[int, ...] = (1, 64)
    repeats: int = 100

    alone: ClassVar[bool] = True

    def carry_out(self, context: Context) -> Outcome:
        from study.machine import available_threads
        from study.streams import numpy_generator

        with TemporaryDirectory() as folder:
            rows = measure(
                self._candidates(Path(folder), context),
                self._images(context),
                self.batch_sizes,
                (1, available_threads()),
                self.repeats,
                numpy_generator(context.seed, "latency"),
            )
        files.write_json(context.folder / records.LATENCY, rows)
        return Outcome()

    def _images(self, context: Context) -> np.ndarray:
        """Test images (n, 3, S, S), some of them again where there are fewer than in a batch."""
        images = context.dataset.at(context.dataset.spread("test", TIMED_IMAGES))[:].numpy()
        return np.resize(images, (max(len(images), *self.batch_sizes), *images.shape[1:]))

    def _candidates(self, folder: Path, context: Context) -> list[Candidate]:
        """The int8 model of each quantised source, and the fp32 model of every network once, written if need be."""
        runs = [context.run(key) for key in self.sources]
        int8 = [run for run in runs if isinstance(run.experiment, Quantization)]
        full = {run.key: folder / f"{number}.onnx" for number, run in enumerate(runs) if run not in int8}
        for key, path in full.items():
            export(context.run(key), path, context)
        full |= {source: run.folder / FP32 for run in int8 for source in run.experiment.needs}
        return [Candidate(key, "float32", path) for key, path in full.items()] + [
            Candidate(run.key, "int8", run.folder / INT8) for run in int8
        ]

    def cost(self, scale: Scale) -> float:
        return EXPORT_SECONDS + SECONDS_PER_REPEAT * self.repeats


def measure(
    candidates: Sequence[Candidate],
    images: np.ndarray,
    batch_sizes: Iterable[int],
    threads: Iterable[int],
    repeats: int,
    rng: np.random.Generator,
    warmup: int = 10,
) -> list[dict[str, Any]]:
    """Latencies of every candidate at every batch size and thread count, one row each.

    ``images`` (N, 3, H, W) uint8; all candidates get the same ones. They share one process and take
    turns in an order drawn anew for every repeat, so that drift of the machine falls on all alike. The
    smallest batch is timed ``repeats`` times, larger ones a fifth as often but at least ten times. A row
    holds ``p50_ms``, ``p95_ms`` and ``p99_ms`` of one batch, ``p50_low_ms`` and ``p50_high_ms``, the 95 % interval
    of the median by order statistics (None for fewer than six repeats), ``images_per_second`` and the file's ``bytes``.
    StudyError when there is nothing to time or too few images for a batch.
    """
    batch_sizes = list(batch_sizes)
    if not candidates or not batch_sizes or repeats < 1:
        raise StudyError("latency needs at least one model, one batch size and one repeat")
    if len(images) < max(batch_sizes):
        raise StudyError(f"batch size {max(batch_sizes)} needs as many images; there are {len(images)}")
    rows: list[dict[str, Any]] = []
    for count, batch in product(dict.fromkeys(threads), batch_sizes):
        turns, first = repeats, warmup
        if batch > min(batch_sizes):  # it takes longer and varies less from turn to turn
            turns, first = min(repeats, max(FEWEST_REPEATS, repeats // 5)), min(warmup, 2)
        full = [np.ascontiguousarray(images[i : i + batch]) for i in range(0, len(images) - batch + 1, batch)]
        seconds = _interleaved(candidates, full, count, turns, first, rng)
        rows += [_row(c, batch, count, s) for c, s in zip(candidates, seconds, strict=True)]
    return rows


def _interleaved(
    candidates: Sequence[Candidate],
    batches: Sequence[np.ndarray],
    threads: int,
    repeats: int,
    warmup: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Seconds per batch, (candidates, repeats)."""
    sessions = [open_session(candidate.path, threads) for candidate in candidates]
    seconds = np.empty((len(sessions), warmup + repeats))
    for turn in range(warmup + repeats):
        feed = {INPUT: batches[turn % len(batches)]}
        for at in rng.permutation(len(sessions)):
            start = time.perf_counter()
            sessions[at].run(None, feed)
            seconds[at, turn] = time.perf_counter() - start
    return seconds[:, warmup:]


def _row(candidate: Candidate, batch: int, threads: int, seconds: np.ndarray) -> dict[str, Any]:
    from scipy.stats import quantile_test

    p50, p95, p99 = (float(value) for value in np.percentile(seconds * 1000, (50, 95, 99)))
    low, high = quantile_test(seconds * 1000, p=0.5).confidence_interval()
    return {
        "model": candidate.model,
        "precision": candidate.precision,
        "runtime": "onnxruntime",
        "batch": batch,
        "threads": threads,
        "p50_ms": p50,
        "p50_low_ms": None if np.isnan(low) else float(low),
        "p50_high_ms": None if np.isnan(high) else float(high),
        "p95_ms": p95,
        "p99_ms": p99,
        "images_per_second": float(batch * len(seconds) / seconds.sum()),
        "bytes": candidate.path.stat().st_size,
    }
