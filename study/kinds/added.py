"""Predictions made elsewhere on a study's own images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from study.errors import StudyError
from study.kinds.kind import Context, Kind, Scale, predicted
from study.metrics.voting import TINY
from study.records import Outcome, Predictions

Form = Literal["logits", "probabilities", "predicted"]
Arrays = dict[str, np.ndarray]
MARK = " (added)"  # ends the title, so that whatever prints it says where it comes from
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Added(Kind):
    """Predictions made elsewhere, of which a study knows nothing but what they say: ``invoke add`` records them.

    ``form`` is what was given: logits, probabilities, or hard labels ("predicted"), which tell no confidence; such a
    label is recorded as the logits of a network that is sure of it. ``seeds`` are those that there are predictions of.
    """

    level: int = 0
    form: Form
    seeds: tuple[int, ...] = field(default=(), compare=False)

    elsewhere: ClassVar[bool] = True

    @property
    def retrained(self) -> bool:
        return True

    @property
    def graded(self) -> bool:
        """Whether its probabilities mean something: hard labels have none."""
        return self.form != "predicted"

    def made_with(self, seed: int) -> bool:
        return seed in self.seeds

    def carry_out(self, context: Context) -> Outcome:
        raise StudyError(f"{self.key} was made elsewhere; `invoke add` brings it into a study")

    def cost(self, scale: Scale) -> float:
        return 0.0


def accepted(
    form: Form, given: Mapping[str, Arrays], known: Mapping[str, Predictions], classes: tuple[str, ...]
) -> Outcome:
    """What a run with predictions made elsewhere records.

    ``given`` holds ``labels`` (N,), the values named ``form``, (N, C) or (N,), and perhaps ``indices`` (N,) by split,
    ``known`` another run's predictions on the same images. StudyError when count, order, shape or values do not fit.
    """
    outcome = Outcome()
    for split, arrays in given.items():
        known_here = known[split]
        _require_order(split, arrays, known_here, classes)
        logits = _logits(form, np.asarray(arrays[form]), split, (len(known_here.labels), len(classes)))
        found = predicted(split, known_here.indices, known_here.labels, logits)
        outcome.arrays |= found.arrays
        outcome.metrics |= found.metrics
    return outcome


def _require_order(split: str, arrays: Arrays, known: Predictions, classes: tuple[str, ...]) -> None:
    """StudyError unless labels, and indices where they are given, are those of the study's images in its order."""
    for name in ("labels", "indices"):
        values, ours = arrays.get(name), getattr(known, name)
        if values is None:
            continue
        if np.shape(values) != ours.shape:
            raise StudyError(f"the study has {len(ours)} {split} images, and the file {_extent(values)} {split} {name}")
        if not np.issubdtype(values.dtype, np.integer):
            raise StudyError(f"{split} {name} must be whole numbers, not {values.dtype}")
        if len(wrong := np.flatnonzero(values != ours)):
            row, (is_now, was) = wrong[0], (values[wrong[0]], ours[wrong[0]])
            told = f"{was} ({classes[was]})" if name == "labels" else was
            raise StudyError(
                f"{split} {name} are not the study's: row {row + 1} has {is_now} and the study {told}, and "
                f"{len(wrong)} of {len(ours)} differ; bring the rows into the order of the study's predictions.npz"
            )


def _logits(form: Form, values: np.ndarray, split: str, shape: tuple[int, int]) -> np.ndarray:
    """Logits (N, C) of what was given. StudyError when it is of another shape, not finite, or not what it is called."""
    what = f"{split} {form}"
    expected = shape[:1] if form == "predicted" else shape
    if values.shape != expected:
        raise StudyError(f"{what} must be {_extent(np.empty(expected))} (images by classes), not {_extent(values)}")
    if form == "predicted":
        if not np.issubdtype(values.dtype, np.integer) or values.min() < 0 or values.max() >= shape[1]:
            raise StudyError(f"{what} must be classes, whole numbers from 0 to {shape[1] - 1}")
        return np.log(np.eye(shape[1])[values] + TINY)
    real = any(np.issubdtype(values.dtype, kind) for kind in (np.floating, np.integer))
    if not real or not np.isfinite(values.astype(np.float32)).all():
        raise StudyError(f"{what} must be finite numbers; the file holds NaN, infinity or text")
    values = values.astype(float)
    if form == "logits":
        return values
    if values.min() < 0 or abs(values.sum(axis=1) - 1).max() > SUM_TOLERANCE:
        raise StudyError(f"{what} must not be negative and sum to 1 for each image; name them logits if that is so")
    return np.log(values + TINY)


def _extent(values: np.ndarray) -> str:
    return " × ".join(map(str, np.shape(values))) or "a single value"
