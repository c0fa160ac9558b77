"""Synthetic studies for tests: the levels' own experiments with chosen accuracies, recorded by the real writers.

The numbers mean nothing; they are drawn from a fixed generator so that tests can rely on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.special import log_softmax
from scipy.stats import norm

from study import records
from study.data.descriptions import shipped
from study.description import DataDescription
from study.design import levels, presets
from study.experiment import Experiment, run_name
from study.files import write_bytes, write_json
from study.kinds import GradCam, Latency, McDropout, OutOfDistribution, Quantization, Search, TeacherAnswers, Vote
from study.kinds.gradcam import ABSENT, MOST_CLASSES
from study.records import OOD, SPLITS, Outcome, Plan, Run

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# The preset with most to tell: a small network for the second tasks, int8 teachers, growing images.
PRESET = replace(presets.CPU, name="quick", partners=("efficientnet_b0",), coarse=(0, 0, 1, 1, 1, 1, 1, 1, 0, 0))
ACCURACY = {
    "level1/head-only": 0.79,
    "level1/finetuned": 0.88,
    "level2/augmented": 0.92,
    "level2/control": 0.88,
    "level2/plain": 0.88,
    "level2/without-augmentation": 0.83,
    "level2/without-smoothing": 0.875,
    "level2/without-cosine": 0.86,
    "level2/without-decoupled-decay": 0.88,
    "level2/single-stage": 0.87,
    "level2/two-stage-mixup": 0.875,
    "level2/search": 0.885,
    "level3/se-head": 0.925,
    "level3/scratch-cnn": 0.90,
    "level3/single-task": 0.90,
    "level3/multi-task-superclass": 0.905,
    "level3/multi-task-rotation": 0.89,
    "level4/partner": 0.91,
    "level5/student-alone": 0.84,
    "level5/student": 0.86,
    "level5/student-ensemble": 0.88,
    "level5/compact-alone": 0.85,
    "level5/compact-student": 0.87,
}
USUAL_ACCURACY = 0.85
ENVIRONMENT = {
    "versions": {
        "python": "3.11.7",
        "torch": "2.14.1",
        "torchvision": "0.29.1",
        "timm": "1.0.30",
        "numpy": "2.4.6",
        "onnxruntime": "1.31.0",
    },
    "device": "cpu",
    "device_name": "Synthetic device",
    "processor": "Synthetic CPU",
    "threads": 2,
    "platform": "Linux",
    "precision": "float32",
    "commit": "0" * 40,
    "peak_memory_bytes": 900_000_000,
}


@dataclass(frozen=True)
class Scene:
    """What all runs of a fabricated study share: how many images of how many classes, accuracies, earlier runs.

    ``shares`` are the classes' fractions of the images, equal where there are none.
    """

    classes: int
    images: int
    accuracies: Mapping[str, float]
    shares: tuple[float, ...] = ()
    runs: dict[str, Run] = field(default_factory=dict)

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels of one split, (N,)."""
        if not self.shares:
            return np.arange(self.images) % self.classes
        ends = np.round(np.cumsum(self.shares) / sum(self.shares) * self.images)
        return np.searchsorted(ends, np.arange(self.images), side="right")

    @cached_property
    def difficulty(self) -> np.ndarray:
        """How hard each image is for every model, (N,) standard normal: makes errors coincide."""
        grid = norm.ppf((np.arange(self.images) + 0.5) / self.images)
        return np.random.default_rng(1).permutation(grid)

    def logits(self, accuracy: float, rng: np.random.Generator) -> np.ndarray:
        """Logits (N, C) whose expected accuracy is ``accuracy``; hard images have small margins."""
        margin = norm.ppf(accuracy) - 0.8 * self.difficulty - 0.6 * rng.standard_normal(self.images)
        logits = rng.normal(0, 0.3, (self.images, self.classes))
        other = (self.labels + rng.integers(1, min(3, self.classes), self.images)) % self.classes
        rows = np.arange(self.images)
        logits[rows, self.labels] = 3.0 + 2.0 * margin.clip(0)
        logits[rows, other] = 2.0 + 2.0 * (margin < 0) - 1.0 * (margin > 0)
        return logits

    def outcome(self, logits: Mapping[str, np.ndarray]) -> Outcome:
        """What a run with these logits (N, C) per split records."""
        outcome = Outcome()
        for position, split in enumerate(SPLITS, 1):
            indices = np.arange(self.images) + position * self.images
            parts = {"indices": indices, "labels": self.labels, "logits": logits[split].astype(np.float32)}
            outcome.arrays |= {f"{split}_{part}": array for part, array in parts.items()}
            outcome.metrics[f"{split}_accuracy"] = float((logits[split].argmax(1) == self.labels).mean())
        return outcome

    def recorded(self, key: str, seed: int) -> Run:
        """A run that this study already has."""
        return self.runs[run_name(key, seed)]


def _noise(*parts: int | str) -> np.random.Generator:
    return np.random.default_rng([n for part in parts for n in (part.encode() if isinstance(part, str) else [part])])


def _logits(run: Run) -> dict[str, np.ndarray]:
    return {split: run.predictions(split).logits for split in SPLITS}


def _training(scene: Scene, experiment: Any, seed: int, folder: Path) -> Outcome:  # noqa: ANN401 - one kind's
    accuracy = scene.accuracies.get(experiment.key, USUAL_ACCURACY)
    rng = _noise(seed, experiment.key)
    outcome = scene.outcome({split: scene.logits(accuracy, rng) for split in SPLITS})
    records.write_epochs(folder, [_epoch(accuracy, epoch) for epoch in range(1, 6)])
    attention, mobile = experiment.trained.architecture.attention, experiment.level == 5
    outcome.metrics |= {
        "train_accuracy": min(1.0, accuracy + 0.06),
        "fitted_images": scene.images,
        "parameters": 1_500_000 if mobile else 3_400_000,
        "macs": 20_000_000 if mobile else 60_000_000,
        "image_size": 64,
        "monitored_images": 40,
        "train_images_per_second": 950.0,
        "epochs": 5,
        "steps": 150,
        "blocks": [
            ["image", [3, 64, 64], 0],
            [experiment.trained.architecture.backbone, [1280, 2, 2], 3_300_000],
            *([[f"{attention.upper()} attention", [1280, 2, 2], 90_000]] if attention else []),
            ["mean", [1280], 0],
            ["linear", [scene.classes], 12_810],
        ],
    }
    return outcome


def _epoch(accuracy: float, epoch: int) -> dict[str, Any]:
    reached = accuracy * (1 - 0.5**epoch)
    return {
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


def _search(scene: Scene, experiment: Search, seed: int, folder: Path) -> Outcome:
    rng = _noise(seed, 7)
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
    write_json(folder / records.TRIALS, trials)
    best = max((t for t in trials if t["state"] == "COMPLETE"), key=lambda trial: trial["value"])
    outcome = _training(scene, experiment, seed, folder)
    outcome.metrics["best_trial"] = best["number"]
    return outcome


def _vote(scene: Scene, experiment: Vote, seed: int, folder: Path) -> Outcome:
    context: Any = SimpleNamespace(
        run=lambda key: scene.recorded(key, seed), labels=lambda _: scene.labels, predicted=scene.outcome
    )
    return experiment.carry_out(context)


def _quantization(scene: Scene, experiment: Quantization, seed: int, folder: Path) -> Outcome:
    rng, source = _noise(seed, 11), scene.recorded(experiment.source, seed)
    noisy = {split: logits + rng.normal(0, 0.4, logits.shape) for split, logits in _logits(source).items()}
    for name in ("fp32", "int8"):
        write_bytes(folder / f"model-{name}.onnx", b"synthetic")
    outcome = scene.outcome(noisy)
    same = noisy["test"].argmax(1) == source.predictions("test").predicted
    outcome.metrics |= {
        "source_test_accuracy": source.metrics["test_accuracy"],
        "agreement": float(same.mean()),
        "fp32_bytes": 6_000_000,
        "int8_bytes": 1_600_000,
        "quantized_operators": 52,
    }
    return outcome


def _latency(scene: Scene, experiment: Latency, seed: int, folder: Path) -> Outcome:
    runs = [scene.recorded(key, seed) for key in experiment.sources]
    int8 = [run for run in runs if isinstance(run.experiment, Quantization)]
    networks = [run.key for run in runs if run not in int8] + [key for run in int8 for key in run.experiment.needs]
    timed = [(key, "float32", 1.4 + n, 6_000_000 * (n + 1)) for n, key in enumerate(dict.fromkeys(networks))]
    timed += [(run.key, "int8", 0.7, 1_600_000) for run in int8]
    rows = [
        {
            "model": key,
            "precision": precision,
            "runtime": "onnxruntime",
            "batch": 1,
            "threads": 1,
            "p50_ms": p50,
            "p50_low_ms": 0.95 * p50,
            "p50_high_ms": 1.1 * p50,
            "p95_ms": 1.2 * p50,
            "p99_ms": 1.5 * p50,
            "images_per_second": 1000 / p50,
            "bytes": size,
        }
        for key, precision, p50, size in timed
    ]
    write_json(folder / records.LATENCY, rows)
    return Outcome()


def _mc_dropout(scene: Scene, experiment: McDropout, seed: int, folder: Path) -> Outcome:
    rng, source = _noise(seed, 13), scene.recorded(experiment.source, seed)
    logits = {split: log_softmax(0.8 * each, axis=1) for split, each in _logits(source).items()}
    outcome = scene.outcome(logits)
    for split, values in logits.items():
        entropy = -(np.exp(values) * values).sum(axis=1)
        outcome.arrays[f"{split}_entropy"] = entropy
        outcome.arrays[f"{split}_mutual_information"] = entropy * rng.uniform(0.05, 0.2, scene.images)
    for name in ("entropy", "mutual_information"):
        outcome.arrays[f"{OOD}_{name}"] = 2 * outcome.arrays[f"test_{name}"][: scene.images // 2]
    outcome.metrics |= {"passes": experiment.passes, "source_test_accuracy": source.metrics["test_accuracy"]}
    return outcome


def _out_of_distribution(scene: Scene, experiment: OutOfDistribution, seed: int, folder: Path) -> Outcome:
    """Every source is unsure of every image."""
    rng, images = _noise(seed, 17), scene.images // 2
    logits = rng.normal(0, 0.3, (len(experiment.sources), images, scene.classes))
    arrays: dict[str, np.ndarray] = {f"{OOD}_logits": logits.astype(np.float32)}
    for name, scale in (("entropy", 2.2), ("mutual_information", 0.3)):
        arrays[f"{OOD}_{name}"] = scale * rng.uniform(0.9, 1.0, images)
    return Outcome({"title": "Synthetic textures", "images": images, "fingerprint": "0" * 64}, arrays)


def _teacher_answers(scene: Scene, experiment: TeacherAnswers, seed: int, folder: Path) -> Outcome:
    candidates = [scene.recorded(key, seed) for key in experiment.candidates]
    ranked = sorted(candidates, key=lambda run: run.metrics["validation_accuracy"], reverse=True)
    teacher = ranked[experiment.rank - 1]
    answers = np.full((experiment.views, scene.images, scene.classes), 1 / scene.classes, dtype=np.float32)
    told = {"teacher": teacher.key, "teacher_validation_accuracy": teacher.metrics["validation_accuracy"]}
    return Outcome(told, {"answers": answers})


def _grad_cam(scene: Scene, experiment: GradCam, seed: int, folder: Path) -> Outcome:
    """A correct image of every class, of many of the first ones, and a wrong one of these but the last."""
    rng, classes = _noise(seed, 19), min(scene.classes, MOST_CLASSES)
    targets = np.concatenate([np.arange(classes), np.arange(classes - 1)])
    none = np.full(scene.classes - classes, ABSENT)
    arrays = {
        "images": rng.integers(0, 256, (len(targets), 3, 32, 32), dtype=np.uint8),
        "targets": targets,
        "predicted": np.concatenate([np.arange(classes), np.arange(1, classes)]),
        "maps": rng.random((len(experiment.sources), len(targets), 32, 32)).astype(np.float32),
        "correct": np.append(np.arange(classes), none),
        "wrong": np.concatenate([classes + np.arange(classes - 1), [ABSENT], none]),
        "road": np.array([0.1 + 0.02 * n + 0.01 * np.arange(classes) for n in range(len(experiment.sources))]),
    }
    return Outcome({}, arrays)


def _export(scene: Scene, experiment: Any, seed: int, folder: Path) -> Outcome:  # noqa: ANN401 - one kind's
    candidates = [scene.recorded(key, seed) for key in experiment.candidates]
    best = max(candidates, key=lambda run: run.metrics["validation_accuracy"])
    return Outcome({"exported": best.key, "exported_accuracy": best.metrics["validation_accuracy"]})


Writer = Callable[[Scene, Any, int, Path], Outcome]
WRITERS: dict[str, Writer] = {
    "Training": _training,
    "Search": _search,
    "Vote": _vote,
    "Quantization": _quantization,
    "Latency": _latency,
    "McDropout": _mc_dropout,
    "OutOfDistribution": _out_of_distribution,
    "TeacherAnswers": _teacher_answers,
    "GradCam": _grad_cam,
    "Export": _export,
}


def experiments(*chosen: int) -> tuple[Experiment, ...]:
    """Every experiment of a fabricated study, or those of the chosen levels, in the order a study runs them."""
    return tuple(each for each in levels.experiments(PRESET) if not chosen or each.level in chosen)


def plan(
    seeds: Iterable[int] = (0,),
    classes: Sequence[str] = CLASSES,
    images: int = 200,
    stand_in: bool = False,
    planned: Sequence[Experiment] | None = None,
) -> Plan:
    """What study.json of a fabricated study holds."""
    description = shipped("digits" if stand_in else "cifar10")
    dataset = DataDescription(
        name="digits" if stand_in else "cifar10",
        title="Digits" if stand_in else "CIFAR-10",
        fingerprint=hashlib.sha256(repr([*classes, images]).encode()).hexdigest(),
        splits="0" * 64,
        classes=tuple(classes),
        sizes={"train": 4 * images, "validation": images, "test": images},
        notice="Stand-in data: the bundled digits, not CIFAR-10." if stand_in else "",
        subset=True,
        ood="1" * 64,
        source="digits" if stand_in else "cifar10",
        cut="the official test images" * (not stand_in),
        description=description,
    )
    chosen = tuple(experiments() if planned is None else planned)
    name = f"{PRESET.name}-{dataset.name}"
    return Plan(name, PRESET.name, "tests", tuple(seeds), "cpu", dataset, levels.described(description), chosen)


def fabricate(
    folder: Path,
    seeds: Sequence[int] = (0,),
    classes: Sequence[str] = CLASSES,
    images: int = 200,
    skip: Iterable[str] = (),
    accuracies: Mapping[str, float] | None = None,
    stand_in: bool = False,
    planned: Sequence[Experiment] | None = None,
    shares: Sequence[float] = (),
) -> Path:
    """Write a synthetic study into ``folder`` and return it.

    ``images`` is the size of the validation and of the test split, ``skip`` holds the keys of
    experiments left pending (those that need them stay pending too), ``accuracies`` overrides
    the expected accuracy of trainings by key, ``planned`` the experiments, ``shares`` are the classes' fractions of
    the images.
    """
    made = plan(seeds, classes, images, stand_in, planned)
    records.write_plan(folder, made)
    scene = Scene(len(classes), images, ACCURACY | dict(accuracies or {}), tuple(shares))
    for seed in seeds:
        for experiment in made.experiments:
            spec = made.spec(experiment, seed, scene.runs)
            if spec and experiment.key not in set(skip):
                scene.runs[spec.name] = _write_run(scene, folder / spec.name, spec)
    return folder


def _write_run(scene: Scene, folder: Path, spec: records.Spec) -> Run:
    records.write_spec(folder, spec)
    write_json(folder / records.ENVIRONMENT, ENVIRONMENT)
    outcome = WRITERS[spec.experiment.kind](scene, spec.experiment, spec.seed, folder)
    outcome.durations = {"train": 25.0, "evaluate": 2.0, "total": 30.0}
    records.finish(folder, outcome)
    return records.load_run(folder)
