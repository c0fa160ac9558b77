"""The trainer: stages of epochs over images that stay on the device, or in their file, as uint8, resumable."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from timm.optim import create_optimizer_v2
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from study.data.augmentation import fixed_view, mirrored_first
from study.data.datasets import Dataset
from study.data.store import Images
from study.errors import StudyError
from study.experiment import MUON_ITERATIONS, MUON_MOMENTUM, MUON_REST, Augmentation, Recipe, Stage
from study.files import read_sealed, write_sealed
from study.inference import evaluation
from study.inference.offload import Method, offloaded, offloads, with_trunk
from study.machine import Machine
from study.models.classifier import Classifier, prepare
from study.streams import derive, globally_seeded, torch_generator
from study.training.muon import iterate_on
from study.training.objective import Batch, Objective, SoftLabels, Streams

# Validation images that the learning curve is drawn from; the run's own validation accuracy is of all of them.
MONITORED_IMAGES = 2_500
TIMM_OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adam": {"opt": "adam", "fused": True},
    "adamw": {"opt": "adamw", "fused": True},
    "sgd": {"opt": "nesterov", "momentum": 0.9, "fused": True},
    "muon": {
        "opt": "nmuon",
        "momentum": MUON_MOMENTUM,
        "ns_steps": MUON_ITERATIONS,
        "ns_coefficients": "original",
        "adjust_lr_fn": "original",
        "fallback_lr_scale": MUON_REST,
        "fallback_list": ("classifier.*", "auxiliary.*"),
    },
}

Row = dict[str, Any]


class Advance(Protocol):
    """What is told how many more images a run has processed; ``resumed`` are those of before it was interrupted."""

    def __call__(self, images: int, resumed: bool = False, /) -> None: ...


class Diverged(StudyError):
    """The loss left the finite numbers."""


@dataclass
class Progress:
    """Where training stands: the rows of epochs.jsonl so far, and the tensors a bit-exact resume needs.

    ``seconds`` is the time spent up to here, in all sessions.
    """

    rows: list[Row] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def save(self, path: Path, owner: str = "") -> None:
        """Replace the owner's checkpoint atomically."""
        buffer = io.BytesIO()
        torch.save(vars(self), buffer)
        write_sealed(path, buffer.getvalue(), owner)

    @classmethod
    def load(cls, path: Path, owner: str = "") -> Progress:
        """The progress in the owner's checkpoint, none when there is none. StudyError when it is damaged."""
        if not path.is_file():
            return cls()
        content = io.BytesIO(read_sealed(path, owner))
        try:
            return cls(**torch.load(content, map_location="cpu", weights_only=True))
        except Exception as error:  # zip, pickle and key errors all mean the same to the user
            raise StudyError(f"{path} is damaged; remove it to train this run from its first epoch") from error


@dataclass(frozen=True)
class Phase:
    """A stage under way: its first epoch (from 0) in the recipe, and what lasts as long as it does.

    ``cached`` are pooled features (N, D) of all training and of the monitored images, where epochs would compute the
    same.
    """

    stage: Stage
    first: int
    optimizer: torch.optim.Optimizer
    cached: tuple[Tensor, Tensor] | None = None


def scheduled_rate(stage: Stage, step: int, steps: int) -> float:
    """Learning rate of ``step`` (from 0) of ``steps``: linear warm-up, then constant, or down to 0.

    The way down is a line or half a cosine (Loshchilov & Hutter 2017,
    https://arxiv.org/abs/1608.03983, without restarts).
    """
    warm = round(stage.warmup * steps)
    if step < warm:
        return stage.learning_rate * (step + 1) / warm
    if stage.schedule == "constant":
        return stage.learning_rate
    done = (step - warm) / max(1, steps - warm)
    if stage.schedule == "linear":
        return stage.learning_rate * (1 - done)
    return stage.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


class Trainer:
    """Trains one classifier by one recipe with one seed."""

    def __init__(
        self,
        model: Classifier,
        recipe: Recipe,
        dataset: Dataset,
        machine: Machine,
        seed: int,
        soft_labels: SoftLabels | None = None,
        monitored: int = MONITORED_IMAGES,
    ) -> None:
        """Epochs are judged on so many validation images as ``monitored`` says.

        StudyError when a batch is larger than the training set.
        """
        self.model = model.to(machine.device)
        self.recipe, self.dataset, self.machine, self.seed = recipe, dataset, machine, seed
        self.images = dataset.of("train").to(machine.device)
        self.labels = dataset.labels[dataset.train].to(machine.device)
        self.mirrored_first = mirrored_first(len(self.labels), seed).to(machine.device)
        self.monitored = dataset.spread("validation", monitored)
        self.judged = dataset.at(self.monitored)
        self.steps_per_epoch = len(self.labels) // recipe.batch_size
        if self.steps_per_epoch == 0:
            raise StudyError(
                f"the batch size {recipe.batch_size} is larger than the {len(self.labels)} training images; "
                "use a smaller batch or more images"
            )
        self.network = torch.compile(model) if machine.compile else model
        average = get_ema_multi_avg_fn(recipe.averaging)  # of batch statistics, too
        self.averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True) if recipe.averaging else None
        if soft_labels and len(soft_labels.probabilities) != recipe.fixed_views:
            raise StudyError(
                f"the teacher answered for {len(soft_labels.probabilities)} views, not {recipe.fixed_views}"
            )
        if any(stage.mixup for stage in recipe.stages) and (
            soft_labels or model.architecture.auxiliary == "superclass"
        ):
            raise StudyError("MixUp mixes labels alone, not a teacher's answers or coarse classes; train without it")
        self.soft_labels = soft_labels
        how = soft_labels.how if soft_labels else None
        self.objective = Objective(model, self.network, recipe, machine, how)
        self.view: tuple[Augmentation, int] | None = None  # which fixed view ``shown`` holds
        self.shown: Images = self.images

    def fit(
        self,
        start: Progress | None = None,
        on_epoch: Callable[[Progress], None] = lambda _: None,
        on_step: Advance = lambda *_: None,
    ) -> list[Row]:
        """Train what ``start`` has left of the recipe; returns the rows of all epochs.

        Calls back after every epoch with the progress, after every step with the number of images seen; before, with
        those of the epochs that ``start`` has done.
        """
        progress, first = start or Progress(), 0
        on_step(len(progress.rows) * self.images_per_epoch, True)
        for number, stage in enumerate(self.recipe.stages):
            if epochs := range(len(progress.rows), first + stage.epochs):
                phase = self.begin(stage, first, progress)
                for epoch in epochs:
                    row = self._fit_epoch(phase, epoch, on_step)
                    progress.rows.append({"epoch": epoch + 1, "stage": number} | row)
                    progress.state = self._state(phase.optimizer)
                    on_epoch(progress)
            first += stage.epochs
        return progress.rows

    @property
    def images_per_epoch(self) -> int:
        """Images that an epoch sees: those that fill its batches."""
        return self.steps_per_epoch * self.recipe.batch_size

    @property
    def result(self) -> Classifier:
        """The network that training results in: the model, or the average of its weights."""
        return cast(Classifier, self.averaged.module) if self.averaged else self.model

    def _state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        state: dict[str, Any] = {"model": self.model.state_dict(), "optimizer": optimizer.state_dict()}
        return state | ({"averaged": self.averaged.state_dict()} if self.averaged else {})

    def restore(self, progress: Progress, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Put weights (and an optimizer) back to where ``progress`` stands."""
        self.model.load_state_dict(progress.state["model"])
        if self.averaged:
            self.averaged.load_state_dict(progress.state["averaged"])
        if optimizer is not None:
            optimizer.load_state_dict(progress.state["optimizer"])

    def begin(self, stage: Stage, first: int = 0, progress: Progress | None = None) -> Phase:
        """Get ready for a stage: freeze, make the optimizer, go to where ``progress`` stands, cache features."""
        self.model.freeze(stage)
        optimizer = self.optimizer(stage)
        if progress and progress.state:
            self.restore(progress, optimizer if len(progress.rows) > first else None)
        if self.features_are_cached(stage):
            training, monitored = self._cached_features(stage, self.images, self.judged)
            return Phase(stage, first, optimizer, (training, monitored))
        self.train_mode(stage)  # what is traced must not depend on whether the stage was begun before
        self.objective.network = self._network(stage)
        return Phase(stage, first, optimizer)

    def _network(self, stage: Stage) -> Callable[[Tensor], Tensor]:
        """What computes logits in training: where it is faster, with the frozen layers in ONNX Runtime, in float32."""
        frozen = stage.frozen_groups or stage.trains == "head"
        if not (frozen and offloads(self.machine, "float32", len(self.labels))):
            return self.network
        return with_trunk(self.model) or self.network

    def optimizer(self, stage: Stage) -> torch.optim.Optimizer:
        """A new optimizer over the trainable weights; biases and norms are not decayed.

        StudyError when the recipe has rates by layer and the backbone no layers.
        """
        iterate_on(self.machine)
        return create_optimizer_v2(
            self.model,
            lr=stage.learning_rate,
            weight_decay=self.recipe.weight_decay,
            layer_decay=self.recipe.layer_decay or None,
            **TIMM_OPTIMIZERS[self.recipe.optimizer],
        )

    def _fit_epoch(self, phase: Phase, epoch: int, on_step: Advance) -> Row:
        started = time.perf_counter()
        loss, accuracy = self._train_epoch(phase, epoch, on_step)
        seconds = time.perf_counter() - started
        validation_loss, validation_accuracy = self._validate(phase, phase.stage.at(epoch - phase.first))
        if not math.isfinite(loss + validation_loss):
            losses = f"the loss is {loss:g}, {validation_loss:g} on validation images"
            raise Diverged(f"training diverged in epoch {epoch + 1} ({losses}); lower the learning rate")
        return {
            "train_loss": loss,
            "train_accuracy": accuracy,
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            "learning_rate": max(group["lr"] for group in phase.optimizer.param_groups),
            "seconds": seconds,
            "images_per_second": self.images_per_epoch / seconds,
        }

    def _train_epoch(self, phase: Phase, epoch: int, on_step: Advance) -> tuple[float, float]:
        """One pass over the training set; mean loss and accuracy on the batches as they were trained on."""
        self.model.freeze(phase.stage, epoch - phase.first)
        self.train_mode(phase.stage)
        total, correct = (torch.zeros((), device=self.machine.device) for _ in range(2))
        streams, steps = Streams.of(self.seed, epoch), self.steps_per_epoch
        with globally_seeded(derive(self.seed, "dropout", epoch), self.machine.device):
            for number, chosen in enumerate(self.order(epoch), start=(epoch - phase.first) * steps):
                loss, hits = self.step(phase, number, chosen, streams)
                total += loss
                correct += hits
                on_step(len(chosen))
        return float(total) / steps, float(correct) / self.images_per_epoch

    def train_mode(self, stage: Stage) -> None:
        """Switch to training; a frozen backbone keeps its batch statistics too."""
        self.model.train()
        if stage.trains == "head":
            self.model.backbone.eval()

    def order(self, epoch: int) -> tuple[Tensor, ...]:
        """Indices of the training images, a tensor (B,) per step."""
        order = torch.randperm(len(self.labels), generator=torch_generator(self.seed, "order", epoch))
        size = self.recipe.batch_size
        return order[: self.steps_per_epoch * size].to(self.machine.device).split(size)

    def step(self, phase: Phase, number: int, chosen: Tensor, streams: Streams) -> tuple[Tensor, Tensor]:
        """Step ``number`` of the phase on the chosen images; their mean loss and how many were answered correctly."""
        epoch = number // self.steps_per_epoch
        stage = phase.stage.at(epoch)
        rate = scheduled_rate(stage, number, stage.epochs * self.steps_per_epoch)
        for group in phase.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        if phase.cached:
            loss, hits = self.objective.cached_loss(phase.cached[0][chosen], self.labels[chosen])
        else:
            batch = self._batch(chosen, stage, phase.first + epoch)
            loss, hits = self.objective.loss(batch, stage, streams)
        loss.backward()
        phase.optimizer.step()
        phase.optimizer.zero_grad(set_to_none=True)
        if self.averaged:
            self.averaged.update_parameters(self.model)
        return loss.detach(), hits

    def _batch(self, chosen: Tensor, stage: Stage, epoch: int) -> Batch:
        """The chosen images in an epoch (from 0) of the recipe: to be augmented, or as the view whose turn it is."""
        labels, mirrored = self.labels[chosen], self.mirrored_first[chosen] ^ bool(epoch % 2)
        if not (views := self.recipe.fixed_views):
            return Batch(self.images[chosen], labels, mirrored)
        if self.view != (view := (stage.augmentation, epoch % views)):
            self.shown = self.images  # so that the memory of the view before is free
            self.view, self.shown = view, fixed_view(self.images, view[0], self.seed, view[1])
        teacher = self.soft_labels.of(view[1], chosen) if self.soft_labels else None
        return Batch(self.shown[chosen], labels, mirrored, teacher, augmented=True)

    def _validate(self, phase: Phase, stage: Stage) -> tuple[float, float]:
        if phase.cached:
            self.result.eval()
            with torch.inference_mode():
                scores = self.result.classify(phase.cached[1]).cpu()
        else:
            setting = evaluation.Setting(stage.image_size, self.recipe.precision)
            scores = evaluation.logits(self.result, self.judged, setting, self.machine)
        return evaluation.loss_and_accuracy(scores, self.dataset.labels[self.monitored])

    def features_are_cached(self, stage: Stage) -> bool:
        """Whether every epoch of the stage would compute the same pooled features."""
        varied = stage.augmentation != Augmentation() or stage.mixup or stage.first_size or self.recipe.fixed_views
        learnt = not isinstance(self.model.attention, nn.Identity) or self.model.auxiliary is not None
        return stage.trains == "head" and not varied and not learnt

    @torch.no_grad()
    def _cached_features(self, stage: Stage, *sets: Images) -> list[Tensor]:
        """Pooled features (N, D) of each set of images, in float32: no step of training computes them again."""
        self.model.eval()
        network = offloaded(Method(self.model, "embedding"), self.machine, "float32", len(self.images))

        def features(images: Tensor) -> Tensor:
            return network(prepare(images, stage.image_size, self.model))

        return [torch.cat([features(batch) for batch in images.split(evaluation.BATCH)]) for images in sets]
