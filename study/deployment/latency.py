"""Time exported models against each other under the same conditions."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from study.errors import StudyError
from study.inference.runtime import INPUT, open_session

FEWEST_REPEATS = 10


@dataclass(frozen=True)
class Candidate:
    """A model to time: its experiment's key, its precision and its ONNX file."""

    model: str
    precision: Literal["float32", "int8"]
    path: Path


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
    holds ``p50_ms``, ``p95_ms`` and ``p99_ms`` of one batch, ``images_per_second`` and the file's ``bytes``.
    StudyError when there is nothing to time or too few images for a batch.
    """
    batch_sizes = list(batch_sizes)
    if not candidates or not batch_sizes or repeats < 1:
        raise StudyError("latency needs at least one model, one batch size and one repeat")
    if len(images) < max(batch_sizes):
        raise StudyError(f"batch size {max(batch_sizes)} needs as many images; there are {len(images)}")
    rows: list[dict[str, Any]] = []
    for count, batch in product(dict.fromkeys(threads), batch_sizes):
        turns, first = (repeats, warmup) if batch == min(batch_sizes) else _fewer(repeats, warmup)
        seconds = _interleaved(candidates, _batches(images, batch), count, turns, first, rng)
        rows += [_row(c, batch, count, s) for c, s in zip(candidates, seconds, strict=True)]
    return rows


def _fewer(repeats: int, warmup: int) -> tuple[int, int]:
    """Turns and warm-up of the larger batches, which take longer and vary less from turn to turn."""
    return min(repeats, max(FEWEST_REPEATS, repeats // 5)), min(warmup, 2)


def _batches(images: np.ndarray, size: int) -> list[np.ndarray]:
    """The full batches that the images make."""
    return [np.ascontiguousarray(images[i : i + size]) for i in range(0, len(images) - size + 1, size)]


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
    p50, p95, p99 = (float(value) for value in np.percentile(seconds * 1000, (50, 95, 99)))
    return {
        "model": candidate.model,
        "precision": candidate.precision,
        "runtime": "onnxruntime",
        "batch": batch,
        "threads": threads,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "images_per_second": float(batch * len(seconds) / seconds.sum()),
        "bytes": candidate.path.stat().st_size,
    }
