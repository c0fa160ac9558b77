"""How big a study is. Every preset runs all five levels; the scale changes, and how many networks join."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from study.errors import StudyError
from study.experiment import SIZE_STEP, Precision, Stage, Subset, Views

# Training images for which a preset without a subset is made: CIFAR-10's.
MADE_FOR = 40_000
# Epochs follow the inverse square root of the number of images, within these bounds: a quarter of the images is seen
# twice as often, in half the steps.
LEAST_FACTOR, LARGEST_FACTOR = 0.25, 4.0
FEWEST_STEPS, SMALLEST_BATCH = 16, 8  # of an epoch of few images, as far as batches can be made smaller
DEEP_FROM = 48  # px from which networks of this study have a stage more


@dataclass(frozen=True)
class Transfer:
    """Training of pretrained networks in levels 1 to 4.

    ``stage`` fine-tunes ``backbone``; ``head_only`` is the one that level 1 keeps frozen, for ``head_epochs``. The
    other settings are those of a ``Recipe``.
    """

    backbone: str
    head_only: str
    stage: Stage
    head_epochs: int
    batch_size: int
    precision: Precision = "float32"
    test_views: Views = 1
    layer_decay: float = 0.0
    averaging: float = 0.0


@dataclass(frozen=True)
class SearchBudget:
    """Trials of level 2's hyper-parameter search, and epochs and training images of each."""

    trials: int
    epochs: int
    images: int


@dataclass(frozen=True)
class FromScratch:
    """Training of one of this study's own networks: by Muon in level 3, by AdamW in level 2's ablations.

    ``learning_rate`` is the peak. Images of ``image_size`` px, at most ``largest`` where they are stored larger, start
    at ``first_size`` px (0 for no growth).
    """

    network: str
    epochs: int
    batch_size: int
    learning_rate: float
    first_size: int = 0
    test_views: Views = 1
    image_size: int = 32
    largest: int = 64


@dataclass(frozen=True)
class MultiTask:
    """Level 3's runs with a second head: which network of this study, and for how long."""

    network: str
    epochs: int


@dataclass(frozen=True)
class MobileStudent:
    """Training of level 5's MobileNetV3-Small, with AdamW where it is pretrained, else with Muon."""

    stage: Stage
    batch_size: int
    pretrained: bool = False
    precision: Precision = "float32"


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

    ``partners`` are extra pretrained architectures for level 4, and ``wider`` is a sibling of level 3's network ("" for
    none). ``ablations`` trains what level 2 compares ingredients, MixUp and a search on: long enough to overfit.
    ``coarse`` is the super-class of each class, none where they are not known; without ``flip`` no network sees mirror
    images, in training or at test.
    """

    name: str
    purpose: str
    subset: Subset
    seeds: tuple[int, ...]
    transfer: Transfer
    ablations: FromScratch
    search: SearchBudget
    scratch: FromScratch
    multi_task: MultiTask
    mobile_student: MobileStudent
    teachers: Teachers
    mc_passes: int
    latency_repeats: int
    partners: tuple[str, ...] = ()
    wider: str = ""
    coarse: tuple[int, ...] = ()
    flip: bool = True

    @property
    def largest(self) -> int:
        """Side in px beyond which no network of the preset sees an image."""
        return max(self.transfer.stage.image_size, self.mobile_student.stage.image_size)

    @property
    def made_for(self) -> int:
        """Training images for which its epochs and batches are chosen."""
        return self.subset.train or MADE_FOR


LITE = "tf_efficientnet_lite0"
# Fine-tuning on a laptop.
TUNED = Stage(2, 1.5e-3, 160, warmup=0.2, frozen_groups=6, frozen_depthwise=True, first_size=128)
QUICK = Preset(
    name="quick",
    purpose="a first look",
    subset=Subset(1_000, 250, 500),
    seeds=(0,),
    transfer=Transfer(LITE, LITE, Stage(2, 2e-3, 40, warmup=0.2), head_epochs=5, batch_size=50),
    ablations=FromScratch("compact_cnn_small", epochs=10, batch_size=50, learning_rate=3e-3, first_size=24),
    search=SearchBudget(trials=4, epochs=2, images=300),
    scratch=FromScratch("compact_cnn_small", epochs=6, batch_size=50, learning_rate=0.06, first_size=24, largest=40),
    multi_task=MultiTask("compact_cnn_small", epochs=6),
    mobile_student=MobileStudent(Stage(3, 0.06, 40, schedule="linear"), batch_size=50),
    teachers=Teachers(ensemble=3, views=3),
    mc_passes=20,
    latency_repeats=25,
)
CPU = Preset(
    name="cpu",
    purpose="a real study on a laptop",
    subset=Subset(),
    seeds=(0,),
    transfer=Transfer(LITE, LITE, TUNED, head_epochs=10, batch_size=64, test_views=2),
    ablations=FromScratch("compact_cnn_small", 10, batch_size=250, learning_rate=1e-2, first_size=24, test_views=2),
    search=SearchBudget(trials=6, epochs=2, images=10_000),
    scratch=FromScratch("compact_cnn", epochs=13, batch_size=250, learning_rate=0.085, first_size=24, test_views=6),
    multi_task=MultiTask("compact_cnn_small", epochs=4),
    mobile_student=MobileStudent(Stage(4, 0.085, 64, schedule="linear", first_size=40), batch_size=250),
    teachers=Teachers(ensemble=2, views=6, int8=True, compact_weight=0.5),
    mc_passes=30,
    latency_repeats=200,
)
# With AMX a fine-tuning step takes two thirds of the time in bfloat16, as depthwise filters are frozen.
# MobileNetV3-Small, whose filters are all trained, takes twice as long in it.
OVERNIGHT = replace(
    CPU,
    name="overnight",
    purpose="the strongest that two cores give by morning",
    transfer=Transfer(
        "tf_efficientnet_lite2",
        "tf_efficientnet_lite2",
        Stage(3, 1e-3, 208, warmup=0.1, frozen_groups=4, frozen_depthwise=True, first_size=160),
        head_epochs=10,
        batch_size=64,
        precision="bfloat16",
        test_views=2,
        layer_decay=0.85,
        averaging=0.998,
    ),
    search=SearchBudget(trials=12, epochs=3, images=10_000),
    scratch=replace(CPU.scratch, epochs=30),
    mobile_student=MobileStudent(Stage(30, 0.085, 96, schedule="linear", first_size=64), batch_size=250),
    partners=("tf_efficientnet_lite0", "tf_efficientnet_lite1"),
    wider="compact_cnn_wide",
)
PAPER = Preset(
    name="paper",
    purpose="the full study",
    subset=Subset(),
    seeds=(0, 1, 2),
    transfer=Transfer("resnet18", "resnet50", Stage(5, 1e-3, 224, warmup=0.2), 5, batch_size=128, precision="bfloat16"),
    ablations=FromScratch("compact_cnn", epochs=30, batch_size=250, learning_rate=1e-2),
    search=SearchBudget(trials=20, epochs=5, images=40_000),
    scratch=FromScratch("compact_cnn", epochs=60, batch_size=250, learning_rate=0.085, test_views=6),
    multi_task=MultiTask("compact_cnn", epochs=60),
    mobile_student=MobileStudent(Stage(20, 2e-3, 224, warmup=0.2), 128, pretrained=True, precision="bfloat16"),
    teachers=Teachers(ensemble=4, views=8),
    mc_passes=50,
    latency_repeats=500,
    partners=("efficientnet_b0",),
    wider="compact_cnn_wide",
)
PRESETS = {preset.name: preset for preset in (QUICK, CPU, OVERNIGHT, PAPER)}


def by_name(name: str) -> Preset:
    """The preset of that name. StudyError when there is none."""
    if name not in PRESETS:
        raise StudyError(f"unknown preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]


@dataclass(frozen=True)
class _Scaling:
    """What becomes of a preset's numbers, ``made_for`` so many training images, with other ``images`` of a ``size``."""

    made_for: int
    images: int
    size: int

    @property
    def share(self) -> float:
        return min(1.0, self.images / self.made_for)

    def epochs(self, number: int) -> int:
        factor = min(max(math.sqrt(self.made_for / self.images), LEAST_FACTOR), LARGEST_FACTOR)
        return max(round(number * factor), min(number, 2))

    def batch(self, number: int) -> int:
        return number if self.share == 1 else min(number, max(self.images // FEWEST_STEPS, SMALLEST_BATCH))

    def stage(self, given: Stage) -> Stage:
        return replace(given, epochs=self.epochs(given.epochs))

    def averaging(self, tuned: Transfer) -> float:
        """The decay that leaves the first steps the share in the average that they have in a run of full length."""
        made_for = tuned.stage.epochs * (self.made_for // tuned.batch_size)
        steps = self.epochs(tuned.stage.epochs) * (self.images // self.batch(tuned.batch_size))
        return tuned.averaging ** (made_for / max(1, steps))

    def scratch(self, given: FromScratch) -> FromScratch:
        side = min(self.size, given.largest)
        return replace(
            given,
            network=_network(given.network, side),
            epochs=self.epochs(given.epochs),
            batch_size=self.batch(given.batch_size),
            first_size=SIZE_STEP * round(given.first_size * side / given.image_size / SIZE_STEP),
            image_size=side,
        )


def adapted(preset: Preset, images: int, size: int, coarse: Sequence[int], flip: bool = True) -> Preset:
    """The preset for that many training images stored at ``size`` px: itself for those that it is made for."""
    scaled, side = _Scaling(preset.made_for, images, size), min(size, preset.scratch.largest)
    tuned, search, tasks, student = preset.transfer, preset.search, preset.multi_task, preset.mobile_student
    fewest = min(images, 2 * scaled.batch(preset.ablations.batch_size))
    return replace(
        preset,
        coarse=tuple(coarse),
        flip=flip,
        transfer=replace(
            tuned,
            stage=scaled.stage(tuned.stage),
            head_epochs=scaled.epochs(tuned.head_epochs),
            batch_size=scaled.batch(tuned.batch_size),
            averaging=scaled.averaging(tuned),
        ),
        ablations=scaled.scratch(preset.ablations),
        search=replace(
            search,
            epochs=scaled.epochs(search.epochs),
            images=max(round(search.images * scaled.share), fewest),
        ),
        scratch=scaled.scratch(preset.scratch),
        multi_task=replace(tasks, network=_network(tasks.network, side), epochs=scaled.epochs(tasks.epochs)),
        wider=_network(preset.wider, side) if preset.wider else "",
        mobile_student=replace(student, stage=scaled.stage(student.stage), batch_size=scaled.batch(student.batch_size)),
    )


def _network(name: str, size: int) -> str:
    """The network of this study of that name, or its deeper form for larger images."""
    return f"{name}_deep" if size >= DEEP_FROM else name
