"""Classify image files with the model a study exported; needs neither torch nor the data.

An image is turned upright, cut to its central square, brought to 8-bit RGB on white, and reduced or
enlarged to 32 × 32 px by Pillow's antialiased bilinear filter. Everything after that is in the exported
graph. An image that already is 32 × 32 RGB passes unchanged, so the data set's own images get the
logits of the study.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from scipy.special import softmax

from study.errors import StudyError
from study.inference.runtime import run_onnx
from study.records import load_plan, read_json, sha256

EXPORT = Path("export")
MANIFEST = "export.json"
# Reading PostScript runs Ghostscript on it, which no image to classify is worth.
REFUSED_FORMATS = frozenset({"EPS"})


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
        answers = ", ".join(f"{printable(name)} {confidence:.1%}" for name, confidence in self.classes)
        verdict = f" (abstains: confidence under {self.threshold:.1%})" if self.abstains else ""
        return f"{printable(str(self.image))}: {answers}{verdict}".replace("%", " %")


@dataclass(frozen=True)
class Exported:
    """An exported model that was checked against its description."""

    path: Path
    classes: tuple[str, ...]
    image_size: int
    temperature: float
    threshold: float


def predict(study: Path, images: Sequence[Path], top: int = 3) -> list[Prediction]:
    """Classify image files with the study's exported model, one prediction per file, in order.

    Raises StudyError when there is no export, when it is not this study's or was altered, or when
    a file is not an image that can be read.
    """
    if not images or top < 1:
        raise StudyError("name at least one image, and ask for at least one class")
    exported = load_export(study)
    pixels = np.stack([read_image(path, exported.image_size) for path in images])
    probs = softmax(run_onnx(exported.path, pixels).astype(np.float64) / exported.temperature, axis=1)
    return [_prediction(path, row, exported, top) for path, row in zip(images, probs, strict=True)]


def _prediction(path: Path, probs: np.ndarray, exported: Exported, top: int) -> Prediction:
    best = np.argsort(-probs, kind="stable")[:top]
    return Prediction(path, tuple((exported.classes[i], float(probs[i])) for i in best), exported.threshold)


def load_export(study: Path) -> Exported:
    """The model that the study's export.json recommends, its digest and origin checked."""
    plan, manifest = load_plan(study), study / EXPORT / MANIFEST
    if not manifest.is_file():
        raise StudyError(f"{study} has no exported model yet; run the study's level 5 first")
    described = read_json(manifest)
    try:
        origin = (described["study"], described["dataset"]["fingerprint"])
        model = described["models"][described["deployed"]]
        exported = _exported(study / EXPORT, described, model)
        digest = model["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(f"{manifest} is damaged; run the study again to export the model anew") from error
    if origin != (plan["study"], plan["dataset"]["fingerprint"]):
        raise StudyError(f"{manifest} belongs to another study or other data; run the study again to redo it")
    if not exported.path.is_file() or sha256(exported.path) != digest:
        raise StudyError(f"{exported.path} is not the model that {MANIFEST} describes; run the study again")
    return exported


def _exported(folder: Path, described: dict[str, Any], model: dict[str, Any]) -> Exported:
    return Exported(
        folder / Path(model["file"]).name,
        tuple(described["classes"]),
        int(described["image_size"]),
        float(model["temperature"]),
        float(model["abstention"]["threshold"]),
    )


def read_image(path: Path, size: int) -> np.ndarray:
    """Pixels (3, size, size) uint8 of an image file of any size, mode and orientation.

    Raises StudyError, naming the file, when it is missing, too large, damaged, or no image.
    """
    name = printable(str(path))
    if not path.is_file():
        raise StudyError(f"there is no image file {name}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_formats()) as image:
                return _pixels(image, size)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise StudyError(f"{name} has more than {Image.MAX_IMAGE_PIXELS} pixels; reduce it first") from error
    except StudyError as error:
        raise StudyError(f"{name} {error}") from error
    except Exception as error:  # a damaged file makes Pillow's readers raise almost anything
        raise StudyError(f"{name} cannot be read as an image: damaged, or an unknown format") from error


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.OPEN if name not in REFUSED_FORMATS]


def _pixels(image: Image.Image, size: int) -> np.ndarray:
    upright = ImageOps.exif_transpose(image)
    square = ImageOps.fit(_rgb(upright), (size, size), Image.Resampling.BILINEAR)
    return np.asarray(square).transpose(2, 0, 1)


def _rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB; what is transparent becomes white, 16-bit grey keeps its upper byte."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise StudyError("has 32-bit pixels of unknown range; convert it to 8 bits per channel")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def printable(text: str) -> str:
    """The text with control characters escaped, so that a hostile name cannot steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
