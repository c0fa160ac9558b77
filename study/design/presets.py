"""How big a study is. Every preset runs all five levels and every comparison; only the scale changes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from study.errors import StudyError
from study.experiment import SIZE_STEP, Precision, Stage, Subset

# Training images for which a preset without a subset is made: CIFAR-10's.
MADE_FOR = 40_000
# Epochs follow the square root of the number of images, within these bounds: half the images get twice the views each
# to come to 0.7 of the steps.
LEAST_FACTOR, LARGEST_FACTOR = 0.25, 4.0
FEWEST_STEPS, SMALLEST_BATCH = 16, 8  # of an epoch of few images, as far as batches can be made smaller
DEEP_FROM = 48  # px from which networks of this study have a stage more


@dataclass(frozen=True)
class Transfer:
    """Training of pretrained networks in levels 1 to 4.

    ``stage`` fine-tunes ``backbone``; ``head_only`` is the one that level 1 keeps frozen, for ``head_epochs``.
    """

    backbone: str
    head_only: str
    stage: Stage
    head_epochs: int
    batch_size: int


@dataclass(frozen=True)
class SearchBudget:
    """Trials of level 2's hyper-parameter search, and epochs and training images of each."""

    trials: int
    epochs: int
    images: int


@dataclass(frozen=True)
class FromScratch:
    """Training of this study's own network with Muon, whose peak rate is ``learning_rate``.

    Images of ``image_size`` px, at most ``largest`` where they are stored larger, start at ``first_size`` px (0 for no
    growth).
    """

    network: str
    epochs: int
    batch_size: int
    learning_rate: float
    first_size: int = 0
    image_size: int = 32
    largest: int = 64


@dataclass(frozen=True)
class MultiTask:
    """Level 3's runs with a second head: which network of this study, and for how long."""

    network: str
    epochs: int


@dataclass(frozen=True)
class MobileStudent:
    """Training of level 5's MobileNetV3-Small with AdamW."""

    stage: Stage
    batch_size: int
    pretrained: bool = False


@dataclass(frozen=True)
class Teachers:
    """Teaching in level 5.

    The ``ensemble`` best networks teach together; each answers for ``views`` random views of every training image,
    with ``int8`` as it does after quantisation. ``compact_weight`` is the share of the teacher in CompactCNN's loss.
    """

    ensemble: int
    views: int
    int8: bool = False
    compact_weight: float = 0.9


@dataclass(frozen=True)
class Preset:
    """Scale of a study.

    ``partner`` is an extra architecture for level 4 ("" for none). With ``flip_tta`` (test-time augmentation)
    mirrored images are averaged in at test, except for MobileNetV3-Small. ``ablations`` is the stage of level 2's runs
    other than ``augmented``, None for that of ``transfer``; MixUp's first stage takes one of its epochs, of which there
    are at least two. ``coarse`` is the super-class of each class, none where they are not known.
    """

    name: str
    purpose: str
    subset: Subset
    seeds: tuple[int, ...]
    transfer: Transfer
    search: SearchBudget
    scratch: FromScratch
    multi_task: MultiTask
    partner: str
    mobile_student: MobileStudent
    teachers: Teachers
    precision: Precision
    mc_passes: int
    latency_repeats: int
    flip_tta: bool
    ablations: Stage | None = None
    coarse: tuple[int, ...] = ()

    @property
    def largest(self) -> int:
        """Side in px beyond which no network of the preset sees an image."""
        stages = (self.transfer.stage, self.mobile_student.stage, *([self.ablations] if self.ablations else []))
        return max(stage.image_size for stage in stages)

    @property
    def made_for(self) -> int:
        """Training images for which its epochs and batches are chosen."""
        return self.subset.train or MADE_FOR


LITE = "tf_efficientnet_lite0"
SMALL = Stage(2, 1.5e-3, 72, warmup=0.2, frozen_groups=6, frozen_depthwise=True)  # fine-tuning on a laptop
QUICK = Preset(
    name="quick",
    purpose="a first look",
    subset=Subset(1_000, 250, 500),
    seeds=(0,),
    transfer=Transfer(LITE, LITE, Stage(2, 2e-3, 40, warmup=0.2), head_epochs=5, batch_size=50),
    search=SearchBudget(trials=4, epochs=2, images=300),
    scratch=FromScratch("compact_cnn_small", epochs=6, batch_size=50, learning_rate=0.06, first_size=24, largest=40),
    multi_task=MultiTask("compact_cnn_small", epochs=6),
    partner="",
    mobile_student=MobileStudent(Stage(3, 3e-3, 40, warmup=0.2), batch_size=50),
    teachers=Teachers(ensemble=3, views=3),
    precision="float32",
    mc_passes=20,
    latency_repeats=25,
    flip_tta=False,
)
CPU = Preset(
    name="cpu",
    purpose="a real study on a laptop",
    subset=Subset(),
    seeds=(0,),
    transfer=Transfer(LITE, LITE, replace(SMALL, image_size=160, first_size=128), head_epochs=10, batch_size=64),
    ablations=SMALL,
    search=SearchBudget(trials=6, epochs=2, images=5_000),
    scratch=FromScratch("compact_cnn", epochs=13, batch_size=250, learning_rate=0.085, first_size=24),
    multi_task=MultiTask("compact_cnn_small", epochs=4),
    partner="",
    mobile_student=MobileStudent(Stage(4, 2e-3, 64, warmup=0.2, first_size=40), batch_size=64),
    teachers=Teachers(ensemble=2, views=6, int8=True, compact_weight=0.5),
    precision="float32",
    mc_passes=30,
    latency_repeats=200,
    flip_tta=True,
)
PAPER = Preset(
    name="paper",
    purpose="the full study",
    subset=Subset(),
    seeds=(0, 1, 2),
    transfer=Transfer("resnet18", "resnet50", Stage(5, 1e-3, 224, warmup=0.2), head_epochs=5, batch_size=128),
    search=SearchBudget(trials=20, epochs=2, images=40_000),
    scratch=FromScratch("compact_cnn", epochs=60, batch_size=250, learning_rate=0.085),
    multi_task=MultiTask("compact_cnn", epochs=60),
    partner="efficientnet_b0",
    mobile_student=MobileStudent(Stage(20, 2e-3, 224, warmup=0.2), batch_size=128, pretrained=True),
    teachers=Teachers(ensemble=4, views=8),
    precision="bfloat16",
    mc_passes=50,
    latency_repeats=500,
    flip_tta=False,
)
PRESETS = {preset.name: preset for preset in (QUICK, CPU, PAPER)}


def by_name(name: str) -> Preset:
    """The preset of that name. StudyError when there is none."""
    if name not in PRESETS:
        raise StudyError(f"unknown preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


def adapted(preset: Preset, images: int, size: int, coarse: Sequence[int]) -> Preset:
    """The preset for that many training images stored at ``size`` px: itself for those that it is made for."""
    scratch, tuned, student = preset.scratch, preset.transfer, preset.mobile_student
    side = min(size, scratch.largest)
    first = SIZE_STEP * round(scratch.first_size * side / scratch.image_size / SIZE_STEP)
    share = min(1.0, images / preset.made_for)

    def epochs(number: int) -> int:
        factor = min(max(math.sqrt(preset.made_for / images), LEAST_FACTOR), LARGEST_FACTOR)
        return max(round(number * factor), min(number, 2))

    def batch(number: int) -> int:
        return number if share == 1 else min(number, max(images // FEWEST_STEPS, SMALLEST_BATCH))

    def stage(given: Stage) -> Stage:
        return replace(given, epochs=epochs(given.epochs))

    return replace(
        preset,
        coarse=tuple(coarse),
        transfer=replace(
            tuned,
            stage=stage(tuned.stage),
            head_epochs=epochs(tuned.head_epochs),
            batch_size=batch(tuned.batch_size),
        ),
        ablations=stage(preset.ablations) if preset.ablations else None,
        search=replace(
            preset.search, images=max(round(preset.search.images * share), min(images, 2 * tuned.batch_size))
        ),
        scratch=replace(
            scratch,
            network=_network(scratch.network, side),
            epochs=epochs(scratch.epochs),
            batch_size=batch(scratch.batch_size),
            first_size=first,
            image_size=side,
        ),
        multi_task=replace(
            preset.multi_task,
            network=_network(preset.multi_task.network, side),
            epochs=epochs(preset.multi_task.epochs),
        ),
        mobile_student=replace(student, stage=stage(student.stage), batch_size=batch(student.batch_size)),
    )


def _network(name: str, size: int) -> str:
    """The network of this study of that name, or its deeper form for larger images."""
    return f"{name}_deep" if size >= DEEP_FROM else name
