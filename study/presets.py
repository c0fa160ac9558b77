"""How big a study is. Every preset runs all five levels and every comparison; only the scale changes."""

from __future__ import annotations

from dataclasses import dataclass

from study.data import Subset
from study.errors import StudyError
from study.experiment import Precision


@dataclass(frozen=True)
class Preset:
    """Scale of a study.

    ``frozen_backbone`` is what the head-only run of level 1 keeps frozen, ``frozen_groups`` how many of
    the fine-tuned backbone's leading layer groups keep their weights, ``partner`` an extra architecture
    for level 4 ("" for none), ``ablation_epochs`` and ``ablation_image_size`` the budget of the
    leave-one-out runs, ``trial_epochs`` and ``trial_images`` that of one search trial. Sizes are px, those
    called first are where growing images start, 0 for no growth; ``learning_rate`` and
    ``student_learning_rate`` are AdamW's peak, ``scratch_learning_rate`` is Muon's. ``teachers`` is
    how many of the best networks teach together as the ensemble. With ``views_at_test`` mirrored images,
    for networks from scratch also shifted ones, are averaged in at test.
    """

    name: str
    purpose: str
    subset: Subset
    seeds: tuple[int, ...]
    backbone: str
    frozen_backbone: str
    partner: str
    frozen_groups: int
    image_size: int
    first_size: int
    batch_size: int
    learning_rate: float
    epochs: int
    head_epochs: int
    ablation_epochs: int
    ablation_image_size: int
    trials: int
    trial_epochs: int
    trial_images: int
    scratch_network: str
    scratch_epochs: int
    scratch_first_size: int
    scratch_batch_size: int
    scratch_learning_rate: float
    multi_task_network: str
    multi_task_epochs: int
    student_epochs: int
    student_learning_rate: float
    student_image_size: int
    student_first_size: int
    student_pretrained: bool
    compact_students: bool
    compact_student_epochs: int
    teachers: int
    precision: Precision
    mc_passes: int
    latency_repeats: int
    views_at_test: bool


QUICK = Preset(
    name="quick",
    purpose="a first look",
    subset=Subset(1_000, 250, 500),
    seeds=(0,),
    backbone="tf_efficientnet_lite0",
    frozen_backbone="tf_efficientnet_lite0",
    partner="",
    frozen_groups=0,
    image_size=40,
    first_size=0,
    batch_size=50,
    learning_rate=2e-3,
    epochs=2,
    head_epochs=5,
    ablation_epochs=2,
    ablation_image_size=40,
    trials=4,
    trial_epochs=2,
    trial_images=300,
    scratch_network="compact_cnn_small",
    scratch_epochs=6,
    scratch_first_size=24,
    scratch_batch_size=50,
    scratch_learning_rate=0.06,
    multi_task_network="compact_cnn_small",
    multi_task_epochs=6,
    student_epochs=3,
    student_learning_rate=3e-3,
    student_image_size=40,
    student_first_size=0,
    student_pretrained=False,
    compact_students=True,
    compact_student_epochs=4,
    teachers=3,
    precision="float32",
    mc_passes=20,
    latency_repeats=25,
    views_at_test=False,
)
CPU = Preset(
    name="cpu",
    purpose="a real study on a laptop",
    subset=Subset(),
    seeds=(0,),
    backbone="tf_efficientnet_lite0",
    frozen_backbone="tf_efficientnet_lite0",
    partner="",
    frozen_groups=5,
    image_size=96,
    first_size=64,
    batch_size=128,
    learning_rate=2e-3,
    epochs=3,
    head_epochs=10,
    ablation_epochs=1,
    ablation_image_size=64,
    trials=6,
    trial_epochs=2,
    trial_images=5_000,
    scratch_network="compact_cnn",
    scratch_epochs=16,
    scratch_first_size=24,
    scratch_batch_size=250,
    scratch_learning_rate=0.085,
    multi_task_network="compact_cnn_small",
    multi_task_epochs=4,
    student_epochs=4,
    student_learning_rate=4e-3,
    student_image_size=64,
    student_first_size=40,
    student_pretrained=False,
    compact_students=True,
    compact_student_epochs=10,
    teachers=2,
    precision="float32",
    mc_passes=30,
    latency_repeats=200,
    views_at_test=True,
)
PAPER = Preset(
    name="paper",
    purpose="the full study",
    subset=Subset(),
    seeds=(0, 1, 2),
    backbone="resnet18",
    frozen_backbone="resnet50",
    partner="efficientnet_b0",
    frozen_groups=0,
    image_size=224,
    first_size=0,
    batch_size=128,
    learning_rate=1e-3,
    epochs=5,
    head_epochs=5,
    ablation_epochs=5,
    ablation_image_size=224,
    trials=20,
    trial_epochs=2,
    trial_images=40_000,
    scratch_network="compact_cnn",
    scratch_epochs=60,
    scratch_first_size=0,
    scratch_batch_size=250,
    scratch_learning_rate=0.085,
    multi_task_network="compact_cnn",
    multi_task_epochs=60,
    student_epochs=20,
    student_learning_rate=4e-3,
    student_image_size=224,
    student_first_size=0,
    student_pretrained=True,
    compact_students=False,
    compact_student_epochs=20,
    teachers=5,
    precision="bfloat16",
    mc_passes=50,
    latency_repeats=500,
    views_at_test=False,
)
PRESETS = {preset.name: preset for preset in (QUICK, CPU, PAPER)}


def by_name(name: str) -> Preset:
    """The preset of that name. StudyError when there is none."""
    if name not in PRESETS:
        raise StudyError(f"unknown preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
