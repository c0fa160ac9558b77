"""What a kind of run has to say for itself, and what a run may use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from study import records
from study.experiment import Architecture, Experiment, run_name
from study.records import Outcome, Run

if TYPE_CHECKING:
    from study.data.datasets import Dataset
    from study.data.ood import OodImages
    from study.data.store import Images
    from study.inference.evaluation import Setting
    from study.machine import Machine
    from study.models.classifier import Classifier
    from study.training.trainer import Advance

# Thousands of multiply-accumulate operations of a forward pass per input pixel, dense convolutions counted by half as
# they are quick, and those a second that one thread manages: a first guess, which what was measured corrects.
OPERATIONS = {
    "compact_cnn_small": 16.0,
    "compact_cnn_small_deep": 12.0,
    "compact_cnn": 60.0,
    "compact_cnn_wide": 135.0,
    "compact_cnn_wide_deep": 85.0,
    "tf_efficientnet_lite1": 17.5,
    "tf_efficientnet_lite2": 21.0,
    "compact_cnn_deep": 45.0,
    "mobilenetv3_small_100": 4.0,
    "resnet18": 18.0,
    "resnet50": 41.0,
}
USUAL_OPERATIONS = 13.0  # an EfficientNet
PER_SECOND = 6e7
# Bytes per input pixel that a network keeps for its backward pass in float32, as torch's hooks for saved tensors
# counted them, and what a run needs beside: libraries, images and a runtime's copy of a network.
ACTIVATIONS = {
    "compact_cnn_small": 987,
    "compact_cnn_small_deep": 909,
    "compact_cnn": 1_704,
    "compact_cnn_deep": 1_539,
    "compact_cnn_wide": 2_421,
    "compact_cnn_wide_deep": 2_169,
    "mobilenetv3_small_100": 343,
    "tf_efficientnet_lite1": 2_138,
    "tf_efficientnet_lite2": 2_244,
    "resnet18": 452,
    "resnet50": 1_766,
}
USUAL_ACTIVATIONS = 1_661  # EfficientNet-Lite0
# Share of an EfficientNet-Lite's that lies above so many frozen layer groups, likewise counted.
ABOVE_FROZEN = (1.0, 0.95, 0.87, 0.49, 0.33, 0.23, 0.12, 0.03)
RUN_BYTES = 1_500_000_000


@dataclass(frozen=True)
class Scale:
    """What a run's cost depends on beside its experiment: images per split and "ood", and the experiments by key.

    Memory depends on whether the machine computes in bfloat16 where a recipe asks.
    """

    images: Mapping[str, int]
    experiments: Mapping[str, Experiment]
    bfloat16: bool

    @property
    def evaluated(self) -> int:
        """Validation and test images."""
        return self.images["validation"] + self.images["test"]

    def forward(self, key: str, images: int, views: int | None = None) -> float:
        """Nominal seconds in which another experiment's network evaluates images, in its test views or so many."""
        trained = self.experiments[key].trained
        assert trained is not None, f"{key} trains nothing"
        passes = images * (views or trained.recipe.test_views)
        return forward(trained.architecture, trained.recipe.stages[-1].image_size, passes)


def forward(architecture: Architecture, size: int, images: int) -> float:
    """Nominal seconds of a network's forward pass over that many images of ``size`` px."""
    return images * size**2 * OPERATIONS.get(architecture.backbone, USUAL_OPERATIONS) / PER_SECOND


@dataclass(frozen=True)
class Context:
    """Everything a run may use: the data, the machine, its seed and folder, and the study's earlier runs.

    ``advance`` is told how many more images were processed; ``data`` and ``ood_from`` are what --data and --ood say.
    """

    dataset: Dataset
    machine: Machine
    root: Path
    folder: Path
    seed: int
    advance: Advance
    data: str = ""
    ood_from: str = ""

    def run(self, key: str) -> Run:
        """The complete run of another experiment with the same seed."""
        return records.load_run(self.root / run_name(key, self.seed))

    def labels(self, split: str) -> np.ndarray:
        """Labels (N,) of a split."""
        return self.dataset.labels[getattr(self.dataset, split)].numpy()

    def images(self, split: str) -> Images:
        """uint8 images (N, 3, S, S) of a split."""
        return self.dataset.of(split)

    def network(self, run: Run) -> tuple[Classifier, Setting]:
        """The network that a run trained, on the machine's device, and the setting it was evaluated in."""
        from study.inference.evaluation import Setting
        from study.models.classifier import load_trained

        model = load_trained(run, len(self.dataset.classes)).to(self.machine.device)
        return model, Setting.of(run.trained.recipe)

    def build(self, architecture: Architecture) -> Classifier:
        """A new network for the data, whose random weights depend on the seed."""
        from study.models.classifier import build
        from study.streams import derive

        data = self.dataset
        return build(architecture, len(data.classes), derive(self.seed, "initialisation"), data.statistics)

    @cached_property
    def ood(self) -> OodImages | None:
        """The out-of-distribution images; None where there are none."""
        from study.data import ood, sources

        return ood.available(self.dataset, sources.folder_of(self.data), self.ood_from)

    def predicted(self, logits: dict[str, np.ndarray]) -> Outcome:
        """The arrays and accuracies that every run with predictions records; logits (N, C) per split."""
        outcome = Outcome()
        for split, scores in logits.items():
            found = predicted(split, self.dataset.numbered(split), self.labels(split), scores)
            outcome.arrays |= found.arrays
            outcome.metrics |= found.metrics
        return outcome


def predicted(split: str, indices: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> Outcome:
    """What is recorded of predictions on a split: indices and labels (N,), logits (N, C), and the accuracy."""
    found = records.Predictions(indices, labels, logits.astype(np.float32))
    arrays = {f"{split}_{name}": values for name, values in vars(found).items()}
    return Outcome({f"{split}_accuracy": found.accuracy}, arrays)  # of what is recorded: rounding makes ties


@dataclass(frozen=True, kw_only=True)
class Kind(Experiment, ABC):
    """A kind of run: a dataclass that says what, a way to carry it out, and what that costs.

    A kind that leaves one of these out is a TypeError as soon as it is defined.
    """

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**options)
        missing = [name for name in ("carry_out", "cost") if getattr(cls, name) is getattr(Kind, name)]
        if missing:
            raise TypeError(f"the kind {cls.__name__} lacks {' and '.join(missing)}")
        Experiment.kinds[cls.__name__] = cls

    @abstractmethod
    def carry_out(self, context: Context) -> Outcome:
        """Do it with the context's seed; files other than arrays and metrics are left in the context's folder."""

    @abstractmethod
    def cost(self, scale: Scale) -> float:
        """Nominal seconds of a run; what they are on a machine is measured there."""

    def memory(self, scale: Scale) -> int:
        """Bytes of memory that a run needs at least."""
        return RUN_BYTES

    def images(self, scale: Scale) -> int:
        """How many images a run reports as processed; 0 where it reports nothing."""
        return 0

    @property
    def pace(self) -> str:
        """Runs with the same pace take the same multiple of their nominal time on one machine."""
        if self.trained is None:
            return self.kind
        recipe, stage = self.trained.recipe, self.trained.recipe.stages[-1]
        muon, bfloat16 = " muon" * (recipe.optimizer == "muon"), " bfloat16" * (recipe.precision == "bfloat16")
        return f"{self.kind} {self.trained.architecture.backbone} {stage.image_size} px {stage.trains}{muon}{bfloat16}"
