"""Synthetic studies for tests: complete records with chosen accuracies, written by the real writers.

The numbers mean nothing; they are drawn from a fixed generator so that tests can rely on them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax
from scipy.stats import norm

from study.experiment import Experiment, Latency, McDropout, OutOfDistribution, Quantization, Search, Vote, identity
from study.records import (
    FORMAT,
    OUTLIERS,
    SPLITS,
    finish,
    results_digest,
    run_folder,
    write_arrays,
    write_bytes,
    write_json,
)
from tests.fabricated_experiments import experiments

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ACCURACY = {
    "level1/finetuned": 0.88,
    "level1/head-only": 0.79,
    "level2/plain": 0.88,
    "level2/augmented": 0.92,
    "level2/without-smoothing": 0.915,
    "level2/without-cosine": 0.90,
    "level2/without-decoupled-decay": 0.92,
    "level2/single-stage": 0.91,
    "level2/two-stage-mixup": 0.915,
    "level2/search": 0.925,
    "level3/plain-head": 0.92,
    "level3/se-head": 0.925,
    "level3/scratch-cnn": 0.90,
    "level3/multi-task-superclass": 0.905,
    "level3/multi-task-rotation": 0.89,
    "level4/partner": 0.91,
    "level5/student": 0.86,
    "level5/student-alone": 0.84,
    "level5/compact-student": 0.87,
    "level5/student-ensemble": 0.88,
}


@dataclass(frozen=True)
class Scene:
    """What all runs of a fabricated study share: where, how many images of which classes, accuracies."""

    folder: Path
    classes: tuple[str, ...]
    images: int
    accuracies: Mapping[str, float]

    def labels(self) -> np.ndarray:
        """Labels of one split, (N,), every class equally often."""
        return np.arange(self.images) % len(self.classes)

    def difficulty(self) -> np.ndarray:
        """How hard each image is for every model, (N,) standard normal: makes errors coincide."""
        grid = norm.ppf((np.arange(self.images) + 0.5) / self.images)
        return np.random.default_rng(1).permutation(grid)

    def logits(self, accuracy: float, rng: np.random.Generator) -> np.ndarray:
        """Logits (N, C) whose expected accuracy is ``accuracy``; hard images have small margins."""
        skill = 0.8 * self.difficulty() + 0.6 * rng.standard_normal(self.images)
        margin = norm.ppf(accuracy) - skill
        logits = rng.normal(0, 0.3, (self.images, len(self.classes)))
        other = (self.labels() + rng.integers(1, 3, self.images)) % len(self.classes)
        rows = np.arange(self.images)
        logits[rows, self.labels()] = 3.0 + 2.0 * margin.clip(0)
        logits[rows, other] = 2.0 + 2.0 * (margin < 0) - 1.0 * (margin > 0)
        return logits.astype(np.float32)

    def recorded(self, key: str, seed: int) -> dict[str, np.ndarray]:
        """Arrays a run of this study has already written."""
        with np.load(run_folder(self.folder, key, seed) / "predictions.npz") as stored:
            return {name: stored[name] for name in stored.files}


def _arrays(scene: Scene, logits: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for position, split in enumerate(SPLITS):
        indices = np.arange(scene.images) + (position + 1) * scene.images
        parts = {"indices": indices, "labels": scene.labels(), "logits": logits[split].astype(np.float32)}
        arrays |= {f"{split}_{part}": array for part, array in parts.items()}
    return arrays


def _accuracy(arrays: Mapping[str, np.ndarray], split: str) -> float:
    return float((arrays[f"{split}_logits"].argmax(1) == arrays[f"{split}_labels"]).mean())


def _accuracies(arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {f"{split}_accuracy": _accuracy(arrays, split) for split in SPLITS}


def _training_run(scene: Scene, experiment: Experiment, seed: int, folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng([seed, *experiment.key.encode()])
    accuracy = scene.accuracies.get(experiment.key, 0.85)
    arrays = _arrays(scene, {split: scene.logits(accuracy, rng) for split in SPLITS})
    write_arrays(folder / "predictions.npz", arrays)
    _write_epochs(folder, accuracy)
    small = experiment.level == 5
    return _accuracies(arrays) | {
        "parameters": 1_500_000 if small else 3_400_000,
        "macs": 20_000_000 if small else 60_000_000,
        "image_size": 64,
        "monitored_images": 40,
        "train_images_per_second": 950.0,
        "epochs": 5,
        "steps": 150,
        **({"teacher_validation_accuracy": 0.9} if getattr(experiment, "distillation", None) else {}),
    }


def _write_epochs(folder: Path, accuracy: float, epochs: int = 5) -> None:
    rows = []
    for epoch in range(1, epochs + 1):
        reached = accuracy * (1 - 0.5**epoch)
        rows.append(
            {
                "epoch": epoch,
                "stage": 0,
                "train_loss": 2.3 * 0.6**epoch,
                "train_accuracy": min(1.0, reached + 0.02),
                "validation_loss": 2.3 * 0.65**epoch,
                "validation_accuracy": reached,
                "learning_rate": 1e-3 / epoch,
                "seconds": 4.0,
                "images_per_second": 950.0,
            }
        )
    write_bytes(folder / "epochs.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())


def _search_run(scene: Scene, experiment: Search, seed: int, folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng([seed, 7])
    trials: list[dict[str, Any]] = [
        {
            "number": n,
            "state": "PRUNED" if n % 3 == 2 else "COMPLETE",
            "value": 0.88 + 0.04 * rng.random(),
            "params": {
                "learning_rate": 10 ** rng.uniform(-4, -2),
                "weight_decay": 10 ** rng.uniform(-4, -1),
                "label_smoothing": rng.uniform(0, 0.2),
            },
            "seconds": 20.0,
        }
        for n in range(experiment.trials)
    ]
    write_json(folder / "trials.json", trials)
    best = max((t for t in trials if t["state"] == "COMPLETE"), key=lambda trial: trial["value"])
    return _training_run(scene, experiment, seed, folder) | {"best_trial": best["number"]}


def _vote_run(scene: Scene, experiment: Vote, seed: int, folder: Path) -> dict[str, Any]:
    members = [scene.recorded(key, seed) for key in experiment.members]
    mean = {s: np.mean([softmax(m[f"{s}_logits"], axis=1) for m in members], axis=0) for s in SPLITS}
    arrays = _arrays(scene, {split: np.log(p) for split, p in mean.items()})
    if experiment.rule == "soft-probabilities":
        for split, probs in mean.items():
            arrays[f"{split}_entropy"] = -(probs * np.log(probs)).sum(axis=1)
            arrays[f"{split}_mutual_information"] = 0.1 * arrays[f"{split}_entropy"]
    write_arrays(folder / "predictions.npz", arrays)
    weights = [1 / len(members)] * len(members)
    return _accuracies(arrays) | {"members": list(experiment.members), "weights": weights}


def _quantization_run(scene: Scene, experiment: Quantization, seed: int, folder: Path) -> dict[str, Any]:
    rng, source = np.random.default_rng([seed, 11]), scene.recorded(experiment.source, seed)
    noisy = {s: source[f"{s}_logits"] + rng.normal(0, 0.4, source[f"{s}_logits"].shape) for s in SPLITS}
    arrays = _arrays(scene, noisy)
    write_arrays(folder / "predictions.npz", arrays)
    for precision in ("fp32", "int8"):
        write_bytes(folder / f"model-{precision}.onnx", b"synthetic")
    same = arrays["test_logits"].argmax(1) == source["test_logits"].argmax(1)
    return _accuracies(arrays) | {
        "source_test_accuracy": _accuracy(source, "test"),
        "agreement": float(same.mean()),
        "fp32_bytes": 6_000_000,
        "int8_bytes": 1_600_000,
        "quantized_operators": 52,
    }


def _latency_run(_scene: Scene, experiment: Latency, _seed: int, folder: Path) -> dict[str, Any]:
    rows = []
    for position, key in enumerate(experiment.sources):
        precision, size = ("int8", 1_600_000) if "int8" in key else ("float32", 6_000_000 * (position + 1))
        p50 = 0.7 if precision == "int8" else 1.4 + position
        rows.append(
            {
                "model": key,
                "precision": precision,
                "runtime": "onnxruntime",
                "batch": 1,
                "threads": 1,
                "p50_ms": p50,
                "p95_ms": 1.2 * p50,
                "p99_ms": 1.5 * p50,
                "images_per_second": 1000 / p50,
                "bytes": size,
            }
        )
    write_json(folder / "latency.json", rows)
    return {}


def _mc_dropout_run(scene: Scene, experiment: McDropout, seed: int, folder: Path) -> dict[str, Any]:
    rng, source = np.random.default_rng([seed, 13]), scene.recorded(experiment.source, seed)
    logits = {s: log_softmax(0.8 * source[f"{s}_logits"], axis=1) for s in SPLITS}
    arrays = _arrays(scene, logits)
    for split, values in logits.items():
        entropy = -(np.exp(values) * values).sum(axis=1)
        arrays[f"{split}_entropy"] = entropy
        arrays[f"{split}_mutual_information"] = entropy * rng.uniform(0.05, 0.2, scene.images)
    for name in ("entropy", "mutual_information"):
        arrays[f"{OUTLIERS}_{name}"] = 2 * arrays[f"test_{name}"][: scene.images // 2]
    write_arrays(folder / "predictions.npz", arrays)
    return _accuracies(arrays) | {
        "passes": experiment.passes,
        "source_test_accuracy": _accuracy(source, "test"),
    }


def _out_of_distribution_run(scene: Scene, experiment: OutOfDistribution, seed: int, folder: Path) -> dict[str, Any]:
    """Every source is unsure of every outlier."""
    rng = np.random.default_rng([seed, 17])
    logits = rng.normal(0, 0.3, (len(experiment.sources), scene.images // 2, len(scene.classes)))
    arrays = {f"{OUTLIERS}_logits": logits.astype(np.float32)}
    for name, scale in (("entropy", 2.2), ("mutual_information", 0.3)):
        arrays[f"{OUTLIERS}_{name}"] = scale * rng.uniform(0.9, 1.0, scene.images // 2)
    write_arrays(folder / "predictions.npz", arrays)
    return {"title": "Synthetic outliers", "images": scene.images // 2, "fingerprint": "0" * 64}


WRITERS = {
    "Training": _training_run,
    "Search": _search_run,
    "Vote": _vote_run,
    "Quantization": _quantization_run,
    "Latency": _latency_run,
    "McDropout": _mc_dropout_run,
    "OutOfDistribution": _out_of_distribution_run,
}


def _environment() -> dict[str, Any]:
    versions = {
        "python": "3.11.7",
        "torch": "2.14.1",
        "torchvision": "0.29.1",
        "timm": "1.0.30",
        "numpy": "2.4.6",
        "onnxruntime": "1.31.0",
    }
    return {
        "versions": versions,
        "device": "cpu",
        "device_name": "Synthetic CPU",
        "threads": 2,
        "platform": "Linux",
        "precision": "float32",
        "commit": "0" * 40,
        "wall_seconds": 30.0,
        "cpu_seconds": 55.0,
        "peak_memory_bytes": 900_000_000,
    }


def _write_run(scene: Scene, experiment: Experiment, seed: int, fingerprint: str) -> None:
    folder = run_folder(scene.folder, experiment.key, seed)
    spec = {
        "experiment": identity(experiment),
        "preset": "quick",
        "seed": seed,
        "dataset": {"fingerprint": fingerprint},
        "upstream": {key: results_digest(run_folder(scene.folder, key, seed)) for key in experiment.needs},
    }
    write_json(folder / "spec.json", spec)
    write_json(folder / "environment.json", _environment())
    metrics = WRITERS[type(experiment).__name__](scene, experiment, seed, folder)  # type: ignore[operator]
    finish(folder, metrics, {"train": 25.0, "evaluate": 2.0, "total": 30.0})


def _dataset(classes: Sequence[str], images: int, stand_in: bool) -> dict[str, Any]:
    notice = "Stand-in data: the bundled digits, not CIFAR-10." if stand_in else ""
    title, name = ("Digits", "digits") if stand_in else ("CIFAR-10", "cifar10")
    return {
        "name": name,
        "title": title,
        "fingerprint": hashlib.sha256(repr([*classes, images]).encode()).hexdigest(),
        "classes": list(classes),
        "sizes": {"train": 4 * images, "validation": images, "test": images},
        "stand_in": stand_in,
        "notice": notice,
        "image_size": 32,
        "folder": "",
        "subset": True,
    }


def _entry(experiment: Experiment) -> dict[str, Any]:
    names = ("key", "level", "name", "title", "control", "differs")
    shown = {name: getattr(experiment, name) for name in names}
    return shown | {"kind": type(experiment).__name__, "spec": identity(experiment)}


def plan(seeds: Iterable[int], dataset: dict[str, Any]) -> dict[str, Any]:
    """What study.json of a fabricated study holds."""
    reference = {"1": 0.9391, "2": 0.9584, "3": 0.9551, "4": 0.9727, "5": 0.8835}
    published = {level: {"accuracy": value, "label": "reference"} for level, value in reference.items()}
    return {
        "format": FORMAT,
        "study": f"quick-{dataset['name']}",
        "preset": "quick",
        "seeds": list(seeds),
        "device": "cpu",
        "dataset": dataset,
        "pass_marks": {"1": 0.85, "2": 0.90, "3": 0.91, "4": 0.93},
        "reference": published,
        "experiments": [_entry(experiment) for experiment in experiments()],
    }


def fabricate(
    folder: Path,
    seeds: Sequence[int] = (0,),
    classes: Sequence[str] = CLASSES,
    images: int = 200,
    skip: Iterable[str] = (),
    accuracies: Mapping[str, float] | None = None,
    stand_in: bool = False,
) -> Path:
    """Write a synthetic study into ``folder`` and return it.

    ``images`` is the size of the validation and of the test split, ``skip`` holds the keys of
    experiments left pending (those that need them stay pending too), ``accuracies`` overrides
    the expected accuracy of trainings by key.
    """
    dataset = _dataset(classes, images, stand_in)
    write_json(folder / "study.json", plan(seeds, dataset))
    scene = Scene(folder, tuple(classes), images, ACCURACY | dict(accuracies or {}))
    missing = set(skip)
    for experiment in experiments():
        if experiment.key in missing or missing.intersection(experiment.needs):
            missing.add(experiment.key)
            continue
        for seed in seeds:
            _write_run(scene, experiment, seed, dataset["fingerprint"])
    return folder
