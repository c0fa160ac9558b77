"""How long a run will take on this machine, from timing one batch of its real work."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from statistics import fmean

from study.data import ood
from study.data.datasets import Dataset, Subset, cut
from study.experiment import (
    Architecture,
    Distillation,
    Experiment,
    Latency,
    McDropout,
    OutOfDistribution,
    Quantization,
    Recipe,
    Search,
    Stage,
    Training,
)
from study.inference import evaluation
from study.inference.evaluation import Setting
from study.machine import Machine
from study.models.classifier import build
from study.training.objective import Draws
from study.training.trainer import MONITORED_IMAGES, Trainer

EXPORT_SECONDS = 6.0
LATENCY_SECONDS_PER_REPEAT = 0.25
START_SECONDS = 0.5


@dataclass
class Estimator:
    """Times each (architecture, recipe, stage) once and scales by the number of images.

    ``experiments`` holds those whose networks others use.
    """

    dataset: Dataset
    machine: Machine
    experiments: tuple[Experiment, ...]
    known: dict[tuple[Architecture, Stage, int], tuple[float, float]] = field(default_factory=dict)

    def seconds(self, experiment: Experiment) -> float:
        """Estimated duration of one run of the experiment, in seconds."""
        if isinstance(experiment, Training):
            return START_SECONDS + self._training(experiment, experiment.recipe, self.dataset.sizes["train"])
        if isinstance(experiment, Search):
            return START_SECONDS + self._search(experiment)
        if isinstance(experiment, Quantization):
            return 2 * EXPORT_SECONDS
        if isinstance(experiment, Latency):
            return EXPORT_SECONDS + LATENCY_SECONDS_PER_REPEAT * experiment.repeats
        if isinstance(experiment, McDropout):
            return START_SECONDS + self._answer(experiment.source) * (self._evaluated + self._outliers)
        if isinstance(experiment, OutOfDistribution):
            return START_SECONDS + sum(map(self._answer, experiment.sources)) * self._outliers
        return START_SECONDS

    def images(self, experiment: Experiment) -> int:
        """Training images the run will report as processed."""
        if isinstance(experiment, Training):
            return (experiment.recipe.epochs - experiment.shared_epochs) * self.dataset.sizes["train"]
        if isinstance(experiment, Search):
            return self.images(experiment.base) + experiment.trials * experiment.trial_epochs * experiment.trial_images
        return 0

    @property
    def _evaluated(self) -> int:
        return self.dataset.sizes["validation"] + self.dataset.sizes["test"]

    @cached_property
    def _outliers(self) -> int:
        others = ood.at_hand(self.dataset)
        return len(others.images) if others else 0

    @cached_property
    def _networks(self) -> dict[str, Training]:
        """What is trained, by the experiment's key."""
        networks = (e for e in self.experiments if isinstance(e, Training | Search))
        return {e.key: e.base if isinstance(e, Search) else e for e in networks}

    def _answer(self, key: str) -> float:
        """Seconds in which another experiment's network evaluates an image in PyTorch, all views included."""
        network = self._networks[key]
        inference = self._per_image(network.architecture, network.recipe, network.recipe.stages[-1])[1]
        return inference * Setting.of(network.recipe).views

    def _search(self, experiment: Search) -> float:
        stage = replace(experiment.base.recipe.stages[-1], epochs=experiment.trial_epochs)
        trial = replace(experiment.base.recipe, stages=(stage,))
        images = min(experiment.trial_images, self.dataset.sizes["train"])
        full = self._training(experiment.base, experiment.base.recipe, self.dataset.sizes["train"])
        return full + experiment.trials * self._training(experiment.base, trial, images)

    def _training(self, experiment: Training, recipe: Recipe, images: int) -> float:
        total = 0.0
        judged = min(images, self.dataset.sizes["validation"], MONITORED_IMAGES)
        epochs = [stage.at(epoch) for stage in recipe.stages for epoch in range(stage.epochs)]
        for stage in epochs[experiment.shared_epochs :]:
            train, infer = self._per_image(experiment.architecture, recipe, stage)
            total += images * train + judged * infer
        taught = images * self._teaching(experiment.distillation, recipe) if experiment.distillation else 0.0
        return total + infer * Setting.of(recipe).views * self._evaluated + taught

    def _teaching(self, distillation: Distillation, recipe: Recipe) -> float:
        """Seconds of the teachers per training image: like the average candidate, as nobody knows the best yet.

        Timed in PyTorch and float32, which is too long for teachers in ONNX Runtime, more so in int8.
        """
        candidates = [e for e in self.experiments if isinstance(e, Training) and e.key in distillation.candidates]
        answers = (self._per_image(e.architecture, e.recipe, e.recipe.stages[-1])[1] for e in candidates)
        return distillation.taught_epochs(recipe.epochs) * distillation.best * fmean(answers)

    def _per_image(self, architecture: Architecture, recipe: Recipe, stage: Stage) -> tuple[float, float]:
        """Seconds per image of training and of inference in the stage's last epoch; weights are random here."""
        stage = replace(stage, first_size=0)
        alike = Stage(1, 0.0, stage.image_size, trains=stage.trains, frozen_groups=stage.frozen_groups)
        key = (architecture, replace(alike, frozen_depthwise=stage.frozen_depthwise), recipe.batch_size)
        if key not in self.known:
            self.known[key] = self._measure(replace(architecture, pretrained=False), recipe, stage)
        return self.known[key]

    def _measure(self, architecture: Architecture, recipe: Recipe, stage: Stage) -> tuple[float, float]:
        few = cut(self.dataset, Subset(train=recipe.batch_size))
        model = build(architecture, len(few.classes), seed=0)
        trainer = Trainer(model, recipe, few, replace(self.machine, compile=False), seed=0)
        chosen, phase = trainer.order(epoch=0)[0], trainer.begin(stage)
        trainer.objective.network = model  # exporting frozen layers takes longer than the few batches timed here
        step = partial(trainer.step, phase, 0, chosen, Draws.of(0, 0))
        infer = partial(evaluation.logits, model, trainer.images, Setting(stage.image_size), self.machine)
        inference = self._second_call(infer) / len(chosen)
        if trainer.features_are_fixed(stage):  # computed once, then only the head is trained
            return inference / stage.epochs, inference
        trainer.train_mode(stage)
        return self._second_call(step) / len(chosen), inference

    def _second_call(self, work: Callable[[], object]) -> float:
        """Seconds of the second call; the first pays for allocation."""
        work()
        self.machine.wait()
        started = time.perf_counter()
        work()
        self.machine.wait()
        return time.perf_counter() - started
