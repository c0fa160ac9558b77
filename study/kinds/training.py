"""Train one network, with or without a teacher, evaluate it on validation and test, keep its weights."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from study import files, records
from study.experiment import Architecture, Augmentation, Distillation, Recipe, Trained
from study.kinds.kind import ABOVE_FROZEN, ACTIVATIONS, USUAL_ACTIVATIONS, Context, Kind, Scale, forward
from study.records import Outcome

if TYPE_CHECKING:
    from study.inference.evaluation import Setting
    from study.models.classifier import Classifier
    from study.training.objective import SoftLabels
    from study.training.trainer import Trainer

START_SECONDS = 1.0
BACKWARD = 2.0  # a step's backward pass as a multiple of its forward pass
# What a step costs beside: usually, for networks of many layers, and what Muon's iterations add.
STEP_SECONDS, MUON_SECONDS = 0.1, 0.05
EXPORT_SECONDS = 3.5  # of frozen layers to a runtime
DEEP_STEP_SECONDS = {"tf_efficientnet_lite0": 0.4, "tf_efficientnet_lite1": 0.5, "tf_efficientnet_lite2": 0.5}
# Training images, evenly spread, on which the finished network is evaluated as on those it has not seen.
FITTED_IMAGES = 2_500


@dataclass(frozen=True, kw_only=True)
class Training(Kind):
    """Train one network, with or without a teacher."""

    architecture: Architecture
    recipe: Recipe
    distillation: Distillation | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        return self.distillation.answers if self.distillation else ()

    @property
    def trained(self) -> Trained:
        return Trained(self.architecture, self.recipe)

    def carry_out(self, context: Context) -> Outcome:
        return train(self, self.recipe, context)

    def cost(self, scale: Scale) -> float:
        return START_SECONDS + training_cost(self.trained, scale.images["train"], scale.evaluated)

    def memory(self, scale: Scale) -> int:
        return super().memory(scale) + activation_bytes(self.trained, scale.bfloat16)

    def images(self, scale: Scale) -> int:
        return self.recipe.epochs * self.recipe.seen(scale.images["train"])


def training_cost(trained: Trained, images: int, evaluated: int) -> float:
    """Nominal seconds of training on that many images and then evaluating others."""
    architecture, recipe = trained.architecture, trained.recipe
    stages = [stage.at(epoch) for stage in recipe.stages for epoch in range(stage.epochs)]
    seconds = sum(
        forward(architecture, stage.image_size, images) * (1.0 if stage.trains == "head" else 1 + BACKWARD)
        for stage in stages
    )
    if all(stage.trains == "head" and stage.augmentation == Augmentation() for stage in stages):
        seconds = seconds / len(stages) + EXPORT_SECONDS  # features are computed once
    else:
        step = DEEP_STEP_SECONDS.get(architecture.backbone, STEP_SECONDS) + MUON_SECONDS * (recipe.optimizer == "muon")
        seconds += len(stages) * (images // recipe.batch_size) * step
    return seconds + forward(architecture, stages[-1].image_size, evaluated) * recipe.test_views


def activation_bytes(trained: Trained, bfloat16: bool) -> int:
    """Bytes that a training step keeps for its backward pass, with frozen layers as those of an EfficientNet-Lite.

    Half of float32's for a recipe in bfloat16, if the machine computes in it.
    """
    kept = ACTIVATIONS.get(trained.architecture.backbone, USUAL_ACTIVATIONS) * trained.recipe.batch_size
    tuned = [stage for stage in trained.recipe.stages if stage.trains == "all"]
    pixels = max(
        (stage.image_size**2 * ABOVE_FROZEN[min(stage.frozen_groups, len(ABOVE_FROZEN) - 1)] for stage in tuned),
        default=0,
    )
    return int(kept * pixels) // (2 if bfloat16 and trained.recipe.precision == "bfloat16" else 1)


def train(experiment: Training, recipe: Recipe, context: Context) -> Outcome:
    """Train the experiment's architecture by ``recipe``, going on from a checkpoint where there is one."""
    from safetensors.torch import save

    from study.inference import evaluation
    from study.training.trainer import Progress, Trainer

    started = time.perf_counter()
    model = context.build(experiment.architecture)
    soft = soft_labels(experiment.distillation, context) if experiment.distillation else None
    trainer = Trainer(model, recipe, context.dataset, context.machine, context.seed, soft)
    checkpoint = context.folder / records.CHECKPOINT, files.owner(context.folder / records.SPEC)
    start = Progress.load(*checkpoint)
    if len(start.rows) == recipe.epochs:
        trainer.restore(start)
    before = start.seconds

    def keep(progress: Progress) -> None:
        progress.seconds = before + time.perf_counter() - started
        records.write_epochs(context.folder, progress.rows)
        progress.save(*checkpoint)  # last: what it holds is not done again

    rows, model = trainer.fit(start, keep, context.advance), trainer.result
    setting = evaluation.Setting.of(recipe)
    logits = {s: evaluation.logits(model, context.images(s), setting, context.machine) for s in records.SPLITS}
    outcome = context.predicted({split: scores.numpy() for split, scores in logits.items()})
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    files.write_bytes(context.folder / records.MODEL, save(tensors))
    outcome.metrics |= fit_to_training(model, setting, context) | _described(trainer, rows)
    outcome.durations = {"train": start.seconds, "earlier": before}
    return outcome


def fit_to_training(model: Classifier, setting: Setting, context: Context) -> dict[str, Any]:
    """Accuracy on training images as they are, and how many: what exceeds that on validation is overfitting."""
    from study.inference import evaluation

    chosen = slice(None, None, max(1, len(context.dataset.train) // FITTED_IMAGES))
    labels = context.labels("train")[chosen]
    images = context.dataset.at(context.dataset.train[chosen])
    scores = evaluation.logits(model, images, setting, context.machine).numpy()
    return {"train_accuracy": float((scores.argmax(1) == labels).mean()), "fitted_images": len(labels)}


def soft_labels(distillation: Distillation, context: Context) -> SoftLabels:
    """The mean of the teachers' recorded answers."""
    import torch

    from study.kinds.teacher_answers import ANSWERS
    from study.training.objective import SoftLabels

    total = sum(context.run(key).arrays[ANSWERS] for key in distillation.answers)  # one teacher at a time in memory
    mean = torch.from_numpy(total / np.float32(len(distillation.answers)))
    return SoftLabels(mean.to(context.machine.device), distillation)


def _described(trainer: Trainer, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the paper says of a training beside its accuracies."""
    from study.models.blocks import blocks_of, macs

    size, model = trainer.recipe.stages[-1].image_size, trainer.model
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "macs": macs(model, size),
        "blocks": blocks_of(model, size),
        "image_size": size,
        "monitored_images": len(trainer.monitored),
        "epochs": len(rows),
        "steps": len(rows) * trainer.steps_per_epoch,
        "train_images_per_second": float(np.mean([row["images_per_second"] for row in rows])),
    }
