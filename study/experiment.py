"""The words of a study: experiments and what they are made of, as frozen dataclasses that JSON holds and gives back.

What each kind of experiment adds, and how it is carried out, is in ``study/kinds``; which ones a level has, in
``study/design``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, TypeVar

import msgspec

from study.errors import StudyError

Trains = Literal["all", "head"]
Schedule = Literal["constant", "cosine", "linear"]
Optimizer = Literal["adam", "adamw", "sgd", "muon"]
Precision = Literal["float32", "bfloat16"]
Auxiliary = Literal["", "superclass", "rotation"]
Expectation = Literal["gain", "loss", "no difference"]
Views = Literal[1, 2, 6]

ADDED = "added"  # where experiments of no level live
SIZE_STEP = 4
LENGTHS_FOR = 32
FEWEST_OF_A_CLASS = (8, 3, 5)  # training, validation and test images in a subset
# What no recipe varies. Muon's momentum and Newton-Schulz iterations are those of airbench94's Muon variant
# (https://github.com/KellerJordan/cifar10-airbench); heads, norms and biases follow by NAdamW, as in timm, at a share
# of its rate that is this project's own.
MUON_MOMENTUM, MUON_ITERATIONS, MUON_REST = 0.6, 3, 0.05
# A rotated copy of this fraction of each batch trains the rotation head; the classifier's loss sees upright images
# only, the batch statistics see both.
ROTATED_FRACTION = 0.25

NETWORKS = {  # timm's names and this study's, as patterns, with those of papers
    r"tf_efficientnet_lite(\d)": r"EfficientNet-Lite\1",
    r"efficientnet_b(\d)": r"EfficientNet-B\1",
    r"resnet(\d+)": r"ResNet-\1",
    r"mobilenetv3_small_100": "MobileNetV3-Small",
    r"compact_cnn.*": "CompactCNN",
}


@dataclass(frozen=True)
class Subset:
    """How many images each split keeps at most; None keeps all."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None

    def of(self, classes: int) -> Subset:
        """The same for that many classes: large enough for a few images of each."""
        kept = (self.train, self.validation, self.test)
        least = (classes * each for each in FEWEST_OF_A_CLASS)
        return Subset(*(None if size is None else max(size, few) for size, few in zip(kept, least, strict=True)))


@dataclass(frozen=True)
class Augmentation:
    """Random transforms drawn afresh for every image; a zero switches one off.

    With ``flip`` an image is mirrored every other time it is seen, half of all images the first time.
    Lengths are pixels of an image stored at ``LENGTHS_FOR`` px and grow with it, angles degrees; ``jitter`` is the
    half-width of the uniform factor for brightness, contrast and saturation.
    """

    flip: bool = False
    crop: int = 0
    rotation: float = 0.0
    jitter: float = 0.0
    cutout: int = 0

    def at(self, side: int) -> Augmentation:
        """The same with lengths in pixels of images stored at ``side`` px."""
        crop, cutout = (round(length * side / LENGTHS_FOR) for length in (self.crop, self.cutout))
        return replace(self, crop=crop, cutout=cutout)


@dataclass(frozen=True)
class Architecture:
    """A backbone with the head this study puts on it.

    ``backbone`` is a timm name or one of this package's own networks (``study.models.compact_cnn``).
    ``attention`` is a timm attention module between feature map and pooling ("se", "eca", "cbam"). ``coarse`` is the
    number of each class's super-class, which the auxiliary head of that name learns.
    """

    backbone: str
    pretrained: bool = False
    attention: str = ""
    dropout: float = 0.0
    auxiliary: Auxiliary = ""
    coarse: tuple[int, ...] = ()


def network_name(backbone: str) -> str:
    """A backbone as papers call it.

    >>> network_name("tf_efficientnet_lite0"), network_name("resnet18"), network_name("convnext_tiny")
    ('EfficientNet-Lite0', 'ResNet-18', 'convnext_tiny')
    """
    for pattern, name in NETWORKS.items():
        if found := re.fullmatch(pattern, backbone):
            return found.expand(name)
    return backbone


@dataclass(frozen=True)
class Stage:
    """A stretch of training with one set of trainable weights, one augmentation, one schedule.

    Images grow evenly from ``first_size`` px in the first epoch to ``image_size`` in the last, 0 for no
    growth (progressive resizing, e.g. Tan & Le 2021, https://arxiv.org/abs/2104.00298).
    ``learning_rate`` is the peak, reached linearly over the fraction ``warmup`` of the steps;
    ``mixup`` is α of its Beta(α, α), 0 for none; ``trains="head"`` freezes the backbone, its batch
    statistics included. ``frozen_groups`` freezes that many leading layer groups of a timm backbone in the
    same way (the stem is the first); ``frozen_depthwise`` keeps the weights of depthwise convolutions. The stem of one
    of this study's networks is frozen after ``stem_epochs``, 0 for never: by then it has settled, and below it
    nothing needs a gradient (as Jordan 2024 freezes the whitening layer's bias, https://arxiv.org/abs/2404.00498).
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
    stem_epochs: int = 0
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
    requested; a device without fast support for it computes in float32 and the run says so. At test the
    logits of ``test_views`` of an image are averaged (test-time augmentation): itself; its mirror image; both also
    shifted (the six of Jordan 2024, which weighs them otherwise). Images are augmented afresh in every epoch, or, with
    ``fixed_views`` K, as K random views of each image that epochs take in turn.

    With ``layer_decay`` each layer of a pretrained backbone has that share of the next one's rate, 0 for the same
    rate everywhere (Howard & Ruder 2018, https://arxiv.org/abs/1801.06146). With ``averaging``, the decay per step of
    an exponential moving average of the weights, that average is the network that is evaluated and kept, 0 for
    none (after Polyak & Juditsky 1992, https://doi.org/10.1137/0330046, who weigh all steps alike).
    """

    stages: tuple[Stage, ...]
    batch_size: int
    optimizer: Optimizer = "adamw"
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    auxiliary_weight: float = 0.3
    precision: Precision = "float32"
    test_views: Views = 1
    fixed_views: int = 0
    layer_decay: float = 0.0
    averaging: float = 0.0

    @property
    def epochs(self) -> int:
        """Epochs of all stages together."""
        return sum(stage.epochs for stage in self.stages)

    def seen(self, images: int) -> int:
        """How many of so many training images an epoch sees: those that fill its batches."""
        return images // self.batch_size * self.batch_size


@dataclass(frozen=True)
class Distillation:
    """Hinton et al. 2015: ``weight`` × T² × KL(teacher ‖ student) + (1 − weight) × cross-entropy.

    The teacher's probabilities are the mean of recorded ``answers``, given by their experiments' keys; they are for
    the views that the recipe takes in turn.
    """

    answers: tuple[str, ...]
    temperature: float = 2.0
    weight: float = 0.9


@dataclass(frozen=True)
class Trained:
    """A network and how it is trained."""

    architecture: Architecture
    recipe: Recipe


def _shown(default: Any = "") -> Any:  # noqa: ANN401 - as dataclasses.field
    """A field that says how the paper speaks of an experiment: no part of what decides its result."""
    return field(default=default, compare=False)


def reads() -> Any:  # noqa: ANN401 - as dataclasses.field
    """A field that holds the key, or a tuple of keys, of experiments whose runs are read."""
    return field(metadata={"reads": True})


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One thing a level trains or measures; two are equal when they compute the same.

    What the paper says of it decides nothing: ``title`` names it in tables, ``phrase`` within a sentence (the title
    where it is empty). ``control`` is the key of the experiment it is compared with, ``differs`` says in what the two
    differ, and ``expects`` what the comparison is to show: a "gain" in accuracy, a "loss", or "no difference" that
    matters; the smallest that does is ``margin``, a fraction. ``group`` is the comparison's place in its level's
    section. Level 0 stands for none: what was added to a study belongs to no level.
    """

    level: int
    name: str
    title: str = _shown()
    phrase: str = _shown()
    control: str = _shown()
    differs: str = _shown()
    expects: Expectation = _shown("gain")
    margin: float = _shown(0.003)
    group: str = _shown()

    kinds: ClassVar[dict[str, type[Experiment]]] = {}
    # Whether a run needs the whole machine, reads the out-of-distribution images, and holds the names of the classes.
    alone: ClassVar[bool] = False
    reads_ood: ClassVar[bool] = False
    names_classes: ClassVar[bool] = False
    # Whether its runs were made elsewhere, so that a study can record them but not carry them out.
    elsewhere: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """Name of the kind, as records hold it."""
        return type(self).__name__

    @property
    def key(self) -> str:
        """Where it lives below the study's folder, e.g. ``level2/augmented``."""
        return f"level{self.level}/{self.name}" if self.level else f"{ADDED}/{self.name}"

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of the experiments whose runs it reads: what its fields made by ``reads`` hold."""
        held = (getattr(self, each.name) for each in fields(self) if "reads" in each.metadata)
        return tuple(key for keys in held for key in ((keys,) if isinstance(keys, str) else keys))

    @property
    def trained(self) -> Trained | None:
        """What its runs train; None for a kind that trains nothing."""
        return None

    @property
    def retrained(self) -> bool:
        """Whether its runs were trained apart from its control's, so that chance in training is in their difference."""
        return self.trained is not None

    def made_with(self, seed: int) -> bool:
        """Whether there is to be a run of it with this seed."""
        return True


def run_name(key: str, seed: int) -> str:
    """Name of an experiment's run, which is also its folder below the study's: ``level1/finetuned/seed-0``."""
    return f"{key}/seed-{seed}"


def to_data(experiment: Experiment) -> dict[str, Any]:
    """An experiment as JSON-ready data, its kind included."""
    return {"kind": experiment.kind} | msgspec.to_builtins(experiment)


def from_data(data: Mapping[str, Any]) -> Experiment:
    """The experiment that ``to_data`` wrote, of one of the kinds that were imported (``study.kinds``).

    StudyError for an unknown kind, an unknown field or a wrong type.
    """
    told = {name: value for name, value in data.items() if name != "kind"}
    kind = Experiment.kinds.get(str(data.get("kind")))
    if kind is None:
        raise StudyError(f"unknown kind of experiment {data.get('kind')!r}")
    return structured(told, kind)


Structure = TypeVar("Structure")


def structured(data: Any, kind: type[Structure]) -> Structure:  # noqa: ANN401 - whatever JSON may hold
    """Plain data as a dataclass. StudyError names the field that is missing, unknown or of another type."""
    try:
        found = msgspec.convert(data, kind, str_keys=True)
    except msgspec.ValidationError as error:
        raise StudyError(f"not a {kind.__name__}: {error}") from error
    unknown = _unknown(data, msgspec.to_builtins(found, str_keys=True))
    if unknown:
        raise StudyError(f"not a {kind.__name__}: unknown field {unknown!r}")
    return found


def _unknown(data: Any, known: Any) -> str:  # noqa: ANN401 - whatever JSON may hold
    """Path of the first field of ``data`` that ``known``, what was understood of it, does not have; else empty."""
    if isinstance(data, Mapping):
        for name, value in data.items():
            if name not in known:
                return str(name)
            if below := _unknown(value, known[name]):
                return f"{name}.{below}"
    elif isinstance(data, list | tuple):
        return next((path for each, other in zip(data, known, strict=True) if (path := _unknown(each, other))), "")
    return ""
