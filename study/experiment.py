"""Experiments as frozen dataclasses: pure data, hashable, nothing happens at import.

The levels (``study/levels``) list them, the runner executes them, ``spec.json`` holds them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Trains = Literal["all", "head"]
Schedule = Literal["constant", "cosine", "linear"]
Optimizer = Literal["adam", "adamw", "sgd", "muon"]
Precision = Literal["float32", "bfloat16"]
Auxiliary = Literal["", "superclass", "rotation"]
VotingRule = Literal["soft-logits", "soft-probabilities", "hard", "weighted", "greedy"]
QuantizationMethod = Literal["dynamic", "static"]

SIZE_STEP = 4
# What no recipe varies. Muon's momentum, its Newton-Schulz iterations, and the share of its rate that heads, norms and
# biases have, which follow by NAdamW (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/).
MUON_MOMENTUM, MUON_ITERATIONS, MUON_REST = 0.8, 3, 0.05
# A rotated copy of this fraction of each batch trains the rotation head; the classifier's loss sees upright images
# only, the batch statistics see both.
ROTATED_FRACTION = 0.25
# Training images on which the ranges of activations are observed before static quantisation.
CALIBRATION_IMAGES = 512


@dataclass(frozen=True)
class Augmentation:
    """Random transforms drawn afresh for every image; a zero switches one off.

    With ``flip`` an image is mirrored every other time it is seen, half of all images the first time.
    Lengths are pixels of the stored 32 px image, angles degrees; ``jitter`` is the half-width of
    the uniform factor for brightness, contrast and saturation.
    """

    flip: bool = False
    crop: int = 0
    rotation: float = 0.0
    jitter: float = 0.0
    cutout: int = 0


@dataclass(frozen=True)
class Architecture:
    """A backbone with the head this study puts on it.

    ``backbone`` is a timm name or one of this package's own networks (``study.models.compact_cnn``).
    ``attention`` is a timm attention module between feature map and pooling ("se", "eca", "cbam").
    """

    backbone: str
    pretrained: bool = False
    attention: str = ""
    dropout: float = 0.0
    auxiliary: Auxiliary = ""


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one set of trainable weights, one augmentation, one schedule.

    Images grow evenly from ``first_size`` px in the first epoch to ``image_size`` in the last, 0 for no
    growth (progressive resizing, e.g. Tan & Le 2021, https://arxiv.org/abs/2104.00298).
    ``learning_rate`` is the peak, reached linearly over the fraction ``warmup`` of the steps;
    ``mixup`` is α of its Beta(α, α), 0 for none; ``trains="head"`` freezes the backbone, its batch
    statistics included. ``frozen_groups`` freezes that many leading layer groups of a timm backbone in the
    same way (the stem is the first); ``frozen_depthwise`` keeps the weights of depthwise convolutions.
    """

    epochs: int
    learning_rate: float
    image_size: int
    augmentation: Augmentation = Augmentation()
    trains: Trains = "all"
    mixup: float = 0.0
    schedule: Schedule = "cosine"
    warmup: float = 0.0
    frozen_groups: int = 0
    frozen_depthwise: bool = False
    first_size: int = 0

    def at(self, epoch: int) -> Stage:
        """The stage as its epoch (from 0) sees it: with that epoch's image size, a multiple of ``SIZE_STEP``."""
        left = self.epochs - 1 - epoch
        if not self.first_size or left <= 0:
            return self
        size = self.image_size - (self.image_size - self.first_size) * left / (self.epochs - 1)
        return replace(self, image_size=SIZE_STEP * round(size / SIZE_STEP))


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    ``auxiliary_weight`` is the factor of the auxiliary head's loss, ``precision`` the autocast type
    wished for; a device without fast support for it computes in float32 and the run says so. At test the
    logits of mirrored images are averaged in with ``flip_at_test``.
    """

    stages: tuple[Stage, ...]
    batch_size: int
    optimizer: Optimizer = "adamw"
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.3
    precision: Precision = "float32"
    flip_at_test: bool = False

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)


@dataclass(frozen=True)
class Distillation:
    """Hinton et al. 2015: ``weight`` × T² × KL(teacher ‖ student) + (1 − weight) × cross-entropy.

    The teacher is the mean probability of the ``best`` candidates, ranked by their validation accuracy as
    recorded. With ``int8`` they answer as they do after static post-training quantisation, in ONNX Runtime.
    They are heard in the ``last_epochs`` of the recipe, before which the student learns from labels alone;
    0 for all.
    """

    candidates: tuple[str, ...]
    temperature: float = 2.0
    weight: float = 0.9
    best: int = 1
    int8: bool = False
    last_epochs: int = 0

    def taught_epochs(self, epochs: int) -> int:
        """In how many epochs of a recipe with that many the teachers are heard."""
        return min(self.last_epochs or epochs, epochs)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One thing a level trains or measures.

    ``title`` names it in tables, ``control`` is the key of the experiment it is compared with and
    ``differs`` says in what the two differ; the three are presentation and not part of the spec.
    """

    level: int
    name: str
    title: str = field(metadata={"presentation": True})
    control: str = field(default="", metadata={"presentation": True})
    differs: str = field(default="", metadata={"presentation": True})

    @property
    def key(self) -> str:
        """Where it lives below the study's folder, e.g. ``level2/augmented``."""
        return f"level{self.level}/{self.name}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the experiments whose runs it reads."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Training(Experiment):
    """Train one network, with or without a teacher.

    The state in which the first ``kept_epochs`` leave it stays in its record, 0 for none. A run that ``branches_off``
    another, given by its key, with the same architecture and recipe, goes on from that state to hear its teacher:
    the epochs before are the other's, bit for bit, and are not trained again.
    """

    architecture: Architecture
    recipe: Recipe
    distillation: Distillation | None = None
    kept_epochs: int = 0
    branches_off: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        candidates = self.distillation.candidates if self.distillation else ()
        return (*candidates, self.branches_off) if self.branches_off else candidates

    @property
    def shared_epochs(self) -> int:
        """How many of its first epochs another run has trained for it."""
        if not (self.branches_off and self.distillation):
            return 0
        return self.recipe.epochs - self.distillation.taught_epochs(self.recipe.epochs)


@dataclass(frozen=True, kw_only=True)
class Search(Experiment):
    """Optuna search over the base experiment's recipe, selecting on validation accuracy.

    ``learning_rate`` and ``weight_decay`` are ranges sampled log-uniformly, ``label_smoothing`` one
    sampled uniformly. Each of the ``trials`` trains ``trial_epochs`` on ``trial_images`` images, and is
    judged on no more validation images than that, unless pruned; the winner is then trained with the base
    recipe's own budget.
    """

    base: Training
    trials: int
    trial_epochs: int
    trial_images: int
    learning_rate: tuple[float, float]
    weight_decay: tuple[float, float]
    label_smoothing: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Vote(Experiment):
    """Combine the recorded logits of trained members; trains nothing."""

    members: tuple[str, ...]
    rule: VotingRule

    @property
    def needs(self) -> tuple[str, ...]:
        return self.members


@dataclass(frozen=True, kw_only=True)
class Quantization(Experiment):
    """Export the source model to ONNX, quantise it to int8 and evaluate it in ONNX Runtime."""

    source: str
    method: QuantizationMethod
    calibration_images: int = CALIBRATION_IMAGES

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.source,)


@dataclass(frozen=True, kw_only=True)
class Latency(Experiment):
    """Time several models interleaved in one process, each at every batch size and thread count."""

    sources: tuple[str, ...]
    batch_sizes: tuple[int, ...] = (1, 64)
    repeats: int = 100

    @property
    def needs(self) -> tuple[str, ...]:
        return self.sources


@dataclass(frozen=True, kw_only=True)
class McDropout(Experiment):
    """Gal & Ghahramani 2016: predict with dropout active and batch norm frozen, ``passes`` times."""

    source: str
    passes: int

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.source,)


@dataclass(frozen=True, kw_only=True)
class OutOfDistribution(Experiment):
    """Record what the sources say about images of a second dataset, which hold none of the classes."""

    sources: tuple[str, ...]

    @property
    def needs(self) -> tuple[str, ...]:
        return self.sources


def identity(experiment: Experiment) -> dict[str, Any]:
    """The part of an experiment that decides what it computes, as JSON-ready data."""
    data: dict[str, Any] = {"kind": type(experiment).__name__}
    for part in dataclasses.fields(experiment):
        value = getattr(experiment, part.name)
        if isinstance(value, Experiment):
            data[part.name] = identity(value)
        elif not part.metadata.get("presentation"):
            data[part.name] = _plain(value)
    return data


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a field may hold
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value
