"""How big a study is. Every preset runs all five levels and every comparison; only the scale changes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from study.errors import StudyError
from study.experiment import Precision, Stage, Subset


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
    """Training of one of this study's own networks: by Muon in level 3, by AdamW in level 2's ablations.

    ``learning_rate`` is the peak; the 32 px images start at ``first_size`` px (0 for no growth).
    """

    network: str
    epochs: int
    batch_size: int
    learning_rate: float
    first_size: int = 0


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
    mirrored images are averaged in at test, except for MobileNetV3-Small. ``ablations`` trains what level 2 compares
    ingredients, MixUp and a search on: long enough to overfit.
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
    partner: str
    mobile_student: MobileStudent
    teachers: Teachers
    precision: Precision
    mc_passes: int
    latency_repeats: int
    flip_tta: bool


LITE = "tf_efficientnet_lite0"
SMALL = Stage(2, 1.5e-3, 72, warmup=0.2, frozen_groups=6, frozen_depthwise=True)  # fine-tuning on a laptop
QUICK = Preset(
    name="quick",
    purpose="a first look",
    subset=Subset(1_000, 250, 500),
    seeds=(0,),
    transfer=Transfer(LITE, LITE, Stage(2, 2e-3, 40, warmup=0.2), head_epochs=5, batch_size=50),
    ablations=FromScratch("compact_cnn_small", epochs=10, batch_size=50, learning_rate=3e-3, first_size=24),
    search=SearchBudget(trials=4, epochs=2, images=300),
    scratch=FromScratch("compact_cnn_small", epochs=6, batch_size=50, learning_rate=0.06, first_size=24),
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
    ablations=FromScratch("compact_cnn_small", epochs=10, batch_size=250, learning_rate=1e-2, first_size=24),
    search=SearchBudget(trials=6, epochs=2, images=10_000),
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
    ablations=FromScratch("compact_cnn", epochs=30, batch_size=250, learning_rate=1e-2),
    search=SearchBudget(trials=20, epochs=5, images=40_000),
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
