"""A small study whose level 5 has a source run and an int8 run, for the tests of export and prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from study.experiment import Architecture, Quantization, Recipe, Stage, Training, identity
from study.records import FORMAT, Run, finish, load_run, run_folder, write_arrays, write_json
from tests.exported_models import channel_model

CLASSES = ["red", "green", "blue"]
SOURCE = Training(
    level=5,
    name="student",
    title="Distilled student",
    architecture=Architecture("mobilenetv3_small_100", pretrained=True),
    recipe=Recipe(stages=(Stage(epochs=2, learning_rate=1e-3, image_size=48),), batch_size=64),
)
INT8 = Quantization(level=5, name="int8-static", title="Static int8", source=SOURCE.key, method="static")


def plan(**changes: object) -> dict[str, Any]:
    dataset = {
        "name": "colours",
        "title": "Colours",
        "fingerprint": "f" * 64,
        "classes": CLASSES,
        "stand_in": False,
        "notice": "",
        "sizes": {"train": 40, "validation": 20, "test": 20},
        "image_size": 32,
        "folder": "",
        "subset": False,
    }
    experiments = [{"key": e.key, "kind": type(e).__name__, "title": e.title} for e in (SOURCE, INT8)]
    return {
        "format": FORMAT,
        "study": "tiny",
        "preset": "quick",
        "seeds": [0],
        "dataset": dataset | changes,
        "experiments": experiments,
    }


def arrays(wrong: int, margin: float) -> dict[str, np.ndarray]:
    """Both splits: 20 images, the first ``wrong`` taken for the next class, all with one margin."""
    labels = np.arange(20) % len(CLASSES)
    predicted = np.where(np.arange(20) < wrong, (labels + 1) % len(CLASSES), labels)
    logits = (margin * np.eye(len(CLASSES))[predicted]).astype(np.float32)
    parts: dict[str, np.ndarray] = {"indices": np.arange(20), "labels": labels, "logits": logits}
    return {f"{split}_{name}": part for split in ("validation", "test") for name, part in parts.items()}


def write_run(study: Path, experiment: Training | Quantization, wrong: int) -> Run:
    """A complete run of one of the two experiments; the int8 one holds both models."""
    folder = run_folder(study, experiment.key, 0)
    folder.mkdir(parents=True)
    if isinstance(experiment, Quantization):
        channel_model(folder / "model-fp32.onnx", scale=4.0)
        channel_model(folder / "model-int8.onnx", scale=8.0)
    write_json(folder / "spec.json", {"experiment": identity(experiment), "seed": 0})
    write_arrays(folder / "predictions.npz", arrays(wrong, margin=3.0))
    accuracy = 1 - wrong / 20
    metrics = {
        "test_accuracy": accuracy,
        "validation_accuracy": accuracy,
        "parameters": 1234567,
        "image_size": 48,
        "epochs": 2,
    }
    finish(folder, metrics, {"total": 1.0})
    return load_run(folder)
