"""A study of untrained networks on a few digits, in which single runs of any kind can be carried out in a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from study import records
from study.data.datasets import Dataset
from study.experiment import Architecture, Experiment, Recipe, Stage, run_name
from study.inference import evaluation
from study.inference.evaluation import Setting
from study.kinds import Context, TeacherAnswers, Training
from study.machine import Machine
from study.models.classifier import Classifier, build
from study.records import MODEL, Outcome, Run, Spec
from study.training.trainer import Advance

SMALL = Architecture("compact_cnn_small", dropout=0.2)
RECIPE = Recipe((Stage(1, 1e-3, 32),), 20)


def network(name: str, recipe: Recipe = RECIPE, architecture: Architecture = SMALL) -> Training:
    """A training of level 3."""
    return Training(level=3, name=name, title=name, architecture=architecture, recipe=recipe)


@dataclass(frozen=True)
class Workshop:
    """Where runs of a seed are carried out and recorded."""

    root: Path
    dataset: Dataset
    machine: Machine
    seed: int = 0

    def context(self, experiment: Experiment, advance: Advance = lambda *_: None) -> Context:
        """What the experiment's run is given; its folder is there."""
        folder = self.root / run_name(experiment.key, self.seed)
        folder.mkdir(parents=True, exist_ok=True)
        return Context(self.dataset, self.machine, self.root, folder, self.seed, advance)

    def record(self, experiment: Experiment, outcome: Outcome) -> Run:
        """Complete a run with that outcome."""
        folder, upstream = self.context(experiment).folder, dict.fromkeys(experiment.needs, "")
        records.write_spec(folder, Spec(experiment, self.seed, "tiny", self.dataset.fingerprint, "", upstream))
        outcome.durations.setdefault("total", 1.0)
        records.finish(folder, outcome)
        return records.load_run(folder)

    def untrained(
        self, experiment: Training, model: Classifier | None = None, metrics: Mapping[str, Any] | None = None
    ) -> Run:
        """A run that left the given network, or one whose random weights depend on the experiment's name."""
        context, seed = self.context(experiment), sum(experiment.name.encode())
        model = model or build(experiment.architecture, len(self.dataset.classes), seed)
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, context.folder / MODEL)
        setting = Setting.of(experiment.recipe)
        logits = {
            split: evaluation.logits(model, context.images(split), setting, self.machine).numpy()
            for split in records.SPLITS
        }
        outcome = context.predicted(logits)
        outcome.metrics |= metrics or {}
        return self.record(experiment, outcome)

    def answers(self, name: str, views: int, confidence: float = 0.7) -> tuple[TeacherAnswers, np.ndarray]:
        """Recorded answers (views, N, C), at random but for the seed that is the name."""
        augmentation = RECIPE.stages[0].augmentation
        teacher = TeacherAnswers(level=5, name=name, candidates=(), augmentation=augmentation, views=views)
        images, classes = len(self.dataset.train), len(self.dataset.classes)
        drawn = np.random.default_rng(sum(name.encode())).dirichlet(np.full(classes, confidence), (views, images))
        self.record(teacher, Outcome({"teacher": "level3/a"}, {"answers": drawn.astype(np.float32)}))
        return teacher, drawn.astype(np.float32)
