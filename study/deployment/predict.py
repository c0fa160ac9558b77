"""Classify image files with the model a study exported; needs neither torch nor the data.

Images are read as those of a study are (``study.data.pixels``), at the size that the study stored; everything after
that is in the exported graph, so the dataset's own images get the logits of the study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from study.data.pixels import read_image
from study.errors import StudyError, printable
from study.experiment import structured
from study.files import inside, read_json
from study.inference.runtime import run_onnx
from study.metrics.calibration import Abstention, probabilities
from study.records import current_runs, read_plan

MANIFEST = "export.json"


@dataclass(frozen=True)
class Prediction:
    """The likeliest classes of one image with their calibrated confidence in [0, 1], likeliest first.

    ``abstains`` when the first confidence is under ``threshold``: the answer is then not to be used.
    """

    image: Path
    classes: tuple[tuple[str, float], ...]
    threshold: float

    @property
    def abstains(self) -> bool:
        """Whether the confidence is too low to answer."""
        return self.classes[0][1] < self.threshold

    def __str__(self) -> str:
        answers = ", ".join(f"{printable(name)} {_percent(confidence)}" for name, confidence in self.classes)
        verdict = f" (abstains: confidence under {_percent(self.threshold)})" if self.abstains else ""
        return f"{printable(str(self.image))}: {answers}{verdict}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


@dataclass(frozen=True)
class Shipped:
    """One exported model: its file with digest and size, the run that evaluated it, and when to trust it."""

    file: str
    sha256: str
    bytes: int
    run: str
    temperature: float
    abstention: Abstention


@dataclass(frozen=True)
class Manifest:
    """What export.json says: the models by precision, which of them is ``deployed``, and what they classify."""

    study: str
    preset: str
    dataset: dict[str, str]
    classes: tuple[str, ...]
    image_size: int
    deployed: str
    models: dict[str, Shipped]


def predict(folder: Path, images: Sequence[Path], top: int = 3) -> list[Prediction]:
    """Classify image files with the study's exported model, one prediction per file, in order.

    Raises StudyError when there is no export, when it was altered, or when a file is not an image that can be read.
    """
    if not images or top < 1:
        raise StudyError("name at least one image, and ask for at least one class")
    export, manifest = load_export(folder)
    model = manifest.models[manifest.deployed]
    pixels = np.stack([read_image(path, manifest.image_size) for path in images])
    probs = probabilities(run_onnx(export / model.file, pixels), model.temperature)
    if probs.shape[1] != len(manifest.classes):
        raise StudyError(
            f"{export / MANIFEST} names {len(manifest.classes)} classes, but the model tells {probs.shape[1]}"
        )
    best = np.argsort(-probs, axis=1, kind="stable")[:, :top]
    answers = [tuple((manifest.classes[i], float(row[i])) for i in of) for row, of in zip(probs, best, strict=True)]
    return [Prediction(path, a, model.abstention.threshold) for path, a in zip(images, answers, strict=True)]


def load_export(folder: Path) -> tuple[Path, Manifest]:
    """The study's export, of several seeds that with the best validation accuracy: its folder and what it says.

    StudyError when there is none that is current.
    """
    exports = [run for run in current_runs(folder, read_plan(folder)).values() if MANIFEST in run.files]
    if not exports:
        raise StudyError(f"{folder} has no exported model that is whole and up to date; run the study's level 5")
    best = max(exports, key=lambda run: run.metrics["exported_accuracy"])
    return best.folder, _manifest(best.folder / MANIFEST)


def _manifest(path: Path) -> Manifest:
    try:
        manifest = structured(read_json(path), Manifest)
        model = manifest.models[manifest.deployed]
        inside(path.parent, model.file)
    except (StudyError, KeyError) as error:
        raise StudyError(f"{path} is damaged ({error}); run the study again to export it") from error
    if not (model.temperature > 0 and manifest.image_size > 0):
        raise StudyError(f"{path} is damaged (temperature and image size are above 0); run the study again")
    return manifest
