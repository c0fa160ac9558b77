"""A small study whose level 5 has a source run, an int8 run and an export, for the tests of export and prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from study import records
from study.deployment.card import write_export
from study.description import DataDescription
from study.experiment import Architecture, Experiment, Recipe, Stage, run_name, structured
from study.kinds import Export, Quantization, Training
from study.records import Outcome, Plan, Run, Spec
from tests.exported_models import channel_model

CLASSES = ("red", "green", "blue")
SOURCE = Training(
    level=5,
    name="student",
    title="Distilled student",
    architecture=Architecture("mobilenetv3_small_100", pretrained=True),
    recipe=Recipe(stages=(Stage(epochs=2, learning_rate=1e-3, image_size=48),), batch_size=64),
)
INT8 = Quantization(level=5, name="int8-static", title="Static int8", source=SOURCE.key, method="static")
EXPORT = Export(level=5, name="export", title="Export", candidates=(INT8.key,), built_on=(INT8.source,))


def plan(**changes: object) -> Plan:
    """What the study set out to do, on data that differ from the usual ones by ``changes``."""
    usual = {
        "name": "colours",
        "title": "Colours",
        "fingerprint": "f" * 64,
        "splits": "s" * 64,
        "classes": CLASSES,
        "sizes": {"train": 40, "validation": 20, "test": 20},
    }
    data = structured(usual | changes, DataDescription)
    return Plan("tiny", "quick", "tests", (0,), "cpu", data, (), (SOURCE, INT8, EXPORT))


def arrays(wrong: int, margin: float) -> dict[str, np.ndarray]:
    """Both splits: 20 images, the first ``wrong`` taken for the next class, all with one margin."""
    labels = np.arange(20) % len(CLASSES)
    predicted = np.where(np.arange(20) < wrong, (labels + 1) % len(CLASSES), labels)
    logits = (margin * np.eye(len(CLASSES))[predicted]).astype(np.float32)
    parts: dict[str, np.ndarray] = {"indices": np.arange(20), "labels": labels, "logits": logits}
    return {f"{split}_{name}": part for split in ("validation", "test") for name, part in parts.items()}


def write_run(study: Path, experiment: Training | Quantization, wrong: int, seed: int = 0) -> Run:
    """A complete run of the source or its int8 version; the latter holds both models."""
    folder = _begin(study, experiment, seed)
    if isinstance(experiment, Quantization):
        channel_model(folder / "model-fp32.onnx", scale=4.0)
        channel_model(folder / "model-int8.onnx", scale=8.0)
    accuracy = 1 - wrong / 20
    metrics = {
        "test_accuracy": accuracy,
        "validation_accuracy": accuracy,
        "parameters": 1234567,
        "image_size": 48,
        "epochs": 2,
    }
    records.finish(folder, Outcome(metrics, arrays(wrong, margin=3.0), {"total": 1.0}))
    return records.load_run(folder)


def _begin(study: Path, experiment: Experiment, seed: int) -> Path:
    """Folder of a run whose spec is written."""
    folder = study / run_name(experiment.key, seed)
    current = records.current_runs(study, replace(plan(), seeds=(seed,)))
    upstream = {key: current[run_name(key, seed)].digest for key in experiment.needs if run_name(key, seed) in current}
    classes = CLASSES if experiment.names_classes else ()
    records.write_spec(folder, Spec(experiment, seed, "quick", "f" * 64, "s" * 64, upstream, classes=classes))
    return folder


def write_deployed(study: Path, accuracies: tuple[float, ...] = (0.8,)) -> None:
    """A complete study with an export per seed, each of so much validation accuracy."""
    told = replace(plan(), seeds=tuple(range(len(accuracies))))
    records.write_plan(study, told)
    for seed, accuracy in enumerate(accuracies):
        source, int8 = (write_run(study, experiment, 4, seed) for experiment in (SOURCE, INT8))
        folder = _begin(study, EXPORT, seed)
        write_export(folder, source, int8, told)
        records.finish(folder, Outcome({"exported_accuracy": accuracy}, durations={"total": 1.0}))
