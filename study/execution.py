"""How each kind of experiment is carried out: what it computes, and what it leaves in its folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor

from study import records
from study.data import ood
from study.data.datasets import Dataset
from study.errors import StudyError
from study.experiment import (
    CALIBRATION_IMAGES,
    Distillation,
    Experiment,
    Latency,
    McDropout,
    OutOfDistribution,
    Quantization,
    Recipe,
    Search,
    Training,
    Vote,
)
from study.inference import evaluation
from study.inference.evaluation import Setting
from study.inference.frozen import Frozen, Method, in_runtime
from study.machine import Machine, available_threads
from study.metrics import voting
from study.models.classifier import Classifier, build, image_size, load_trained, prepare, training_spec, views
from study.records import Run
from study.training import checkpoints, distillation
from study.training.streams import derive, numpy_generator
from study.training.trainer import Hooks, Progress, Trainer


@dataclass
class Outcome:
    """What a run found: metrics for result.json, arrays for predictions.npz, seconds per phase."""

    metrics: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    durations: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """Everything a run may use: the data, the machine, its seed and folder, and the study's earlier runs."""

    dataset: Dataset
    machine: Machine
    study: Path
    folder: Path
    seed: int
    advance: Callable[[int], None]

    def run(self, key: str) -> Run:
        """The complete run of another experiment with the same seed."""
        return records.load_run(records.run_folder(self.study, key, self.seed))

    def labels(self, split: str) -> np.ndarray:
        """Labels (N,) of a split."""
        return self.dataset.labels[getattr(self.dataset, split)].numpy()

    def images(self, split: str) -> Tensor:
        """uint8 images (N, 3, 32, 32) of a split."""
        return self.dataset.images[getattr(self.dataset, split)]

    def predicted(self, logits: dict[str, np.ndarray]) -> Outcome:
        """The arrays and accuracies that every run with predictions records; logits (N, C) per split."""
        outcome = Outcome()
        for split, scores in logits.items():
            labels = self.labels(split)
            outcome.arrays |= {
                f"{split}_indices": getattr(self.dataset, split).numpy(),
                f"{split}_labels": labels,
                f"{split}_logits": scores.astype(np.float32),
            }
            outcome.metrics[f"{split}_accuracy"] = float((scores.argmax(1) == labels).mean())
        return outcome


@singledispatch
def execute(experiment: Experiment, context: Context) -> Outcome:
    """Carry out one experiment with one seed; files other than predictions are left in the context's folder."""
    raise TypeError(f"no way to execute {type(experiment).__name__}")


@execute.register
def train(experiment: Training, context: Context) -> Outcome:
    """Train the network, evaluate it on validation and test, keep its weights."""
    return train_recipe(experiment, experiment.recipe, context)


def train_recipe(experiment: Training, recipe: Recipe, context: Context) -> Outcome:
    """Train the experiment's architecture by ``recipe``, going on from a checkpoint where there is one."""
    started = time.perf_counter()
    taught = experiment.distillation
    chosen = distillation.teachers(taught, [context.run(key) for key in taught.candidates]) if taught else []
    teaching = _teaching(taught, chosen, recipe, context) if taught else None
    model = build(experiment.architecture, len(context.dataset.classes), derive(context.seed, "initialisation"))
    trainer = Trainer(model, recipe, context.dataset, context.machine, context.seed, teaching)
    start = _start(experiment, context)
    if len(start.rows) == recipe.epochs:
        trainer.restore(start)
    before = start.seconds

    def keep(progress: Progress) -> None:
        progress.seconds = before + time.perf_counter() - started
        records.write_epochs(context.folder, progress.rows)
        if len(progress.rows) == experiment.kept_epochs:
            checkpoints.save(context.folder / records.BRANCH, progress)
        checkpoints.save(context.folder / records.CHECKPOINT, progress)  # last: what it holds is not done again

    rows = trainer.fit(start, Hooks(epoch=keep, step=context.advance))
    outcome = _evaluate(trainer.model, recipe, context)
    _keep_weights(trainer.model, context.folder)
    outcome.metrics |= _training_metrics(trainer, rows) | _teacher_metrics(trainer, chosen)
    outcome.durations = {"train": start.seconds, "earlier": before}
    return outcome


def _start(experiment: Training, context: Context) -> Progress:
    """Where to go on: after this run's last epoch, or where it leaves the run that it branches off.

    StudyError when that run does not hold the state after the epochs that the two share.
    """
    own = checkpoints.load(context.folder / records.CHECKPOINT)
    if own.rows or not experiment.branches_off:
        return own
    other = context.run(experiment.branches_off).folder
    kept = checkpoints.load(other / records.BRANCH)
    if len(kept.rows) != (shared := experiment.shared_epochs):
        raise StudyError(f"{other} does not hold its state after {shared} epochs; remove it to have it trained again")
    return Progress(kept.rows, kept.state)  # the time it took is the other run's


def _teaching(taught: Distillation, chosen: list[Run], recipe: Recipe, context: Context) -> distillation.Teaching:
    calibration = calibration_images(CALIBRATION_IMAGES, context) if taught.int8 else None
    images = taught.taught_epochs(recipe.epochs) * len(context.dataset.train)
    classes = len(context.dataset.classes)
    return distillation.teaching(taught, chosen, classes, images, context.machine, calibration)


def _teacher_metrics(trainer: Trainer, chosen: list[Run]) -> dict[str, Any]:
    """Who taught, and the fraction of monitored validation images on which they are right; empty without a teacher."""
    if not trainer.teaching:
        return {}
    data, device = trainer.dataset, trainer.machine.device
    images, labels = data.images[trainer.monitored].to(device), data.labels[trainer.monitored].to(device)
    accuracy = distillation.accuracy(trainer.teaching, images, labels)
    return {"teacher": ", ".join(run.key for run in chosen), "teacher_validation_accuracy": accuracy}


def _evaluate(model: Classifier, recipe: Recipe, context: Context) -> Outcome:
    setting = Setting.of(recipe)
    return context.predicted(
        {
            split: evaluation.split_logits(model, context.dataset, split, setting, context.machine).numpy()
            for split in records.SPLITS
        }
    )


def _keep_weights(model: Classifier, folder: Path) -> None:
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    records.write_bytes(folder / records.MODEL, save(tensors))


def _training_metrics(trainer: Trainer, rows: list[dict[str, Any]]) -> dict[str, Any]:
    size = trainer.recipe.stages[-1].image_size
    model = trainer.model
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "macs": macs(model, size),
        "image_size": size,
        "monitored_images": len(trainer.monitored),
        "epochs": len(rows),
        "steps": len(rows) * trainer.steps_per_epoch,
        "train_images_per_second": float(np.mean([row["images_per_second"] for row in rows])),
    }


def macs(model: Classifier, size: int) -> int:
    """Multiply-accumulate operations of one image of ``size`` px, as PyTorch's own counter counts them."""
    from torch.utils.flop_counter import FlopCounterMode

    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, size, size, device=model.mean.device))
    return counter.get_total_flops() // 2


def _setting(run: Run) -> Setting:
    """How a Training or Search run was evaluated."""
    recipe = training_spec(run)["recipe"]
    return Setting(image_size(run), recipe["precision"], recipe["flip_at_test"])


@execute.register
def search(experiment: Search, context: Context) -> Outcome:
    """Run the trials, then train the winning recipe in full."""
    from study.training.searching import best_recipe, run_trials

    started = time.perf_counter()
    trials = run_trials(experiment, context.dataset, context.machine, context.seed, context.folder, context.advance)
    records.write_json(context.folder / "trials.json", trials)
    searched = time.perf_counter() - started
    earlier = max(0.0, sum(trial["seconds"] for trial in trials) - searched)  # trials of interrupted sessions
    winner, recipe = best_recipe(experiment, trials)
    outcome = train_recipe(experiment.base, recipe, context)
    outcome.metrics |= {"best_trial": winner["number"]}
    outcome.durations["search"] = earlier + searched
    outcome.durations["earlier"] += earlier
    return outcome


@execute.register
def vote(experiment: Vote, context: Context) -> Outcome:
    """Combine the members' recorded logits."""
    runs = [context.run(key) for key in experiment.members]
    stacked = {split: np.stack([run.predictions(split).logits for run in runs]) for split in records.SPLITS}
    ballot = voting.Ballot(stacked["validation"], context.labels("validation"), stacked["test"])
    weight = voting.weights(experiment.rule, ballot)
    outcome = context.predicted(
        {split: voting.combine(experiment.rule, logits, weight) for split, logits in stacked.items()}
    )
    outcome.metrics |= {"members": list(experiment.members), "weights": [float(w) for w in weight]}
    if experiment.rule == "soft-probabilities":  # the mean whose entropy is the ensemble's
        for split, logits in stacked.items():
            outcome.arrays |= _uncertainty(split, softmax(logits, axis=-1))
    return outcome


@execute.register
def quantize(experiment: Quantization, context: Context) -> Outcome:
    """Export the source, quantise it, and evaluate the int8 model itself in ONNX Runtime."""
    from study.deployment.int8 import quantize_dynamic, quantize_static
    from study.inference.runtime import CACHED_IMAGES, run_onnx

    source = context.run(experiment.source)
    fp32, int8 = context.folder / "model-fp32.onnx", context.folder / "model-int8.onnx"
    records.write_bytes(fp32, exported(source, context).read_bytes())
    if experiment.method == "static":
        operators = quantize_static(fp32, int8, calibration_images(experiment.calibration_images, context))
    else:
        operators = quantize_dynamic(fp32, int8)
    # Dynamic ranges are those of the whole batch: one image at a time, no answer depends on its neighbours.
    at_a_time, threads = 1 if experiment.method == "dynamic" else CACHED_IMAGES, torch.get_num_threads()
    logits = {split: run_onnx(int8, context.images(split).numpy(), at_a_time, threads) for split in records.SPLITS}
    outcome = context.predicted(logits)
    same = logits["test"].argmax(1) == source.predictions("test").predicted
    outcome.metrics |= {
        "source_test_accuracy": source.metrics["test_accuracy"],
        "agreement": float(same.mean()),
        "fp32_bytes": fp32.stat().st_size,
        "int8_bytes": int8.stat().st_size,
        "quantized_operators": operators,
    }
    return outcome


def calibration_images(count: int, context: Context) -> np.ndarray:
    """At most ``count`` training images, uint8 (n, 3, 32, 32), drawn with the run's seed."""
    train = context.dataset.train.numpy()
    chosen = numpy_generator(context.seed, "calibration").permutation(train)[:count]
    return context.dataset.images[torch.from_numpy(np.sort(chosen))].numpy()


@execute.register
def latency(experiment: Latency, context: Context) -> Outcome:
    """Time all sources against each other: fp32 and int8 of the quantised ones, fp32 of the others."""
    from study.deployment.latency import measure

    rows = measure(
        _candidates(experiment.sources, context),
        context.images("test").numpy(),
        experiment.batch_sizes,
        (1, available_threads()),
        experiment.repeats,
        numpy_generator(context.seed, "latency"),
    )
    records.write_json(context.folder / "latency.json", rows)
    return Outcome()


def _candidates(sources: tuple[str, ...], context: Context) -> list[Any]:
    """The int8 model of each quantised source, and the fp32 model of every network once."""
    from study.deployment.latency import Candidate

    runs = [context.run(key) for key in sources]
    int8 = [run for run in runs if run.spec["experiment"]["kind"] == "Quantization"]
    trained = {run.key: run for run in runs if run not in int8}
    trained |= {source: context.run(source) for source in (run.spec["experiment"]["source"] for run in int8)}
    return [Candidate(key, "float32", exported(run, context)) for key, run in trained.items()] + [
        Candidate(run.key, "int8", run.folder / "model-int8.onnx") for run in int8
    ]


def exported(run: Run, context: Context) -> Path:
    """The run's network as an ONNX file in the study's cache of exports, which several experiments share."""
    from study.deployment.export import to_onnx

    path = context.study / "onnx" / run.key / f"{run.files[records.MODEL][:16]}.onnx"
    if not path.is_file():
        model = load_trained(run, len(context.dataset.classes))
        setting = _setting(run)
        to_onnx(model, setting.size, path, setting.flip)
    return path


@execute.register
def sample_dropout(experiment: McDropout, context: Context) -> Outcome:
    """Predict with dropout active and record the uncertainty of every image."""
    source = context.run(experiment.source)
    probabilities = {
        split: _dropout_samples(source, split, context.images(split), experiment.passes, context)
        for split in records.SPLITS
    }
    outcome = context.predicted({split: np.log(p.mean(0) + voting.TINY) for split, p in probabilities.items()})
    others = ood.at_hand(context.dataset)
    if others is not None:
        name = records.OUTLIERS
        probabilities[name] = _dropout_samples(source, name, others.images, experiment.passes, context)
    for split, p in probabilities.items():
        outcome.arrays |= _uncertainty(split, p)
    outcome.metrics |= {"passes": experiment.passes, "source_test_accuracy": source.metrics["test_accuracy"]}
    return outcome


def _uncertainty(prefix: str, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """Predictive entropy and mutual information of every image, in nats, from samples (M, N, C)."""
    from study.inference.mc_dropout import mutual_information, predictive_entropy

    return {
        f"{prefix}_entropy": predictive_entropy(probabilities),
        f"{prefix}_mutual_information": mutual_information(probabilities),
    }


def _dropout_samples(source: Run, split: str, images: Tensor, passes: int, context: Context) -> np.ndarray:
    """Probabilities (passes, N, C) of the source under the setting it was evaluated in, all views included."""
    from study.inference.mc_dropout import mc_dropout

    model = load_trained(source, len(context.dataset.classes)).to(context.machine.device)
    setting = _setting(source)

    def shown(part: Tensor) -> list[Tensor]:
        return views(prepare(part, setting.size, model), setting.flip)

    def sample(view: int) -> np.ndarray:
        batches = (shown(part)[view] for part in images.split(evaluation.BATCH))
        return mc_dropout(model, batches, passes, seed, embedding, partial(autocast, setting.precision))

    in_bulk = in_runtime(context.machine, setting.precision, len(images) * setting.views)
    embedding = Frozen(Method(model, "embedding")) if in_bulk else None
    autocast = context.machine.autocast
    # The same seed for all views: a pass is one draw of the network, which answers every view.
    seed = derive(context.seed, f"mc-dropout-{split}")
    return np.mean([sample(view) for view in range(setting.views)], axis=0)


@execute.register
def score_outliers(experiment: OutOfDistribution, context: Context) -> Outcome:
    """Record every source's logits (M, N, C), and their mean's uncertainty, of images of none of the classes.

    Skipped where there are none at hand.
    """
    others = ood.at_hand(context.dataset)
    if others is None:
        return Outcome(metrics={"skipped": ood.NONE_AT_HAND})
    logits = np.stack([_logits(context.run(key), others.images, context) for key in experiment.sources])
    described = {"title": others.title, "images": len(others.images), "fingerprint": others.fingerprint}
    arrays = {f"{records.OUTLIERS}_logits": logits.astype(np.float32)}
    return Outcome(metrics=described, arrays=arrays | _uncertainty(records.OUTLIERS, softmax(logits, axis=-1)))


def _logits(run: Run, images: Tensor, context: Context) -> np.ndarray:
    """Logits (N, C) of a recorded network under the setting it was evaluated in."""
    model = load_trained(run, len(context.dataset.classes)).to(context.machine.device)
    return evaluation.logits(model, images, _setting(run), context.machine).numpy()
