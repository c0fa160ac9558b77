"""How big a study is. Every preset runs all five levels and every comparison; only the scale changes."""

from __future__ import annotations

from dataclasses import dataclass

from study.data.datasets import Subset
from study.errors import StudyError
from study.experiment import Precision


@dataclass(frozen=True)
class Transfer:
    """Training of pretrained networks in levels 1 to 4.

    ``head_only`` is the backbone that level 1 keeps frozen, for ``head_epochs``; of the fine-tuned
    ``backbone`` the first ``frozen_groups`` layer groups stay frozen too, with ``frozen_depthwise`` also
    the depthwise filters of the others. Images grow from ``first_size`` px (0 for no growth) to
    ``image_size`` px; ``learning_rate`` is the optimizer's peak.
    """

    backbone: str
    head_only: str
    epochs: int
    head_epochs: int
    image_size: int
    batch_size: int
    learning_rate: float
    first_size: int = 0
    frozen_groups: int = 0
    frozen_depthwise: bool = False


@dataclass(frozen=True)
class Ablations:
    """Budget of level 2's runs other than ``augmented``: leave-one-out, MixUp, the searched recipe, their control.

    MixUp's first stage takes one of the ``epochs``, of which there are at least two; ``image_size`` in px.
    """

    epochs: int
    image_size: int


@dataclass(frozen=True)
class SearchBudget:
    """Trials of level 2's hyper-parameter search, and epochs and training images of each."""

    trials: int
    epochs: int
    images: int


@dataclass(frozen=True)
class FromScratch:
    """Training of this study's own network with Muon, whose peak rate is ``learning_rate``.

    The 32 px images start at ``first_size`` px (0 for no growth).
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
    """Training of level 5's MobileNetV3-Small with AdamW; sizes as in ``Transfer``."""

    epochs: int
    image_size: int
    batch_size: int
    learning_rate: float
    first_size: int = 0
    pretrained: bool = False


@dataclass(frozen=True)
class Teachers:
    """Teaching in level 5: how many of the best networks are the ensemble, and how much teachers may cost.

    With ``int8`` they answer in int8, on the CPU whatever the device, where that pays. CompactCNN hears
    them in its last ``compact_epochs``, 0 for all; ``compact_weight`` is then their share in its loss.
    """

    ensemble: int
    int8: bool = False
    compact_epochs: int = 0
    compact_weight: float = 0.9


@dataclass(frozen=True)
class Preset:
    """Scale of a study.

    ``partner`` is an extra architecture for level 4 ("" for none). With ``views_at_test`` mirrored images
    are averaged in at test, except for MobileNetV3-Small.
    """

    name: str
    purpose: str
    subset: Subset
    seeds: tuple[int, ...]
    transfer: Transfer
    ablations: Ablations
    search: SearchBudget
    scratch: FromScratch
    multi_task: MultiTask
    partner: str
    mobile_student: MobileStudent
    teachers: Teachers
    precision: Precision
    mc_passes: int
    latency_repeats: int
    views_at_test: bool

    @property
    def shared_epochs(self) -> int:
        """How many of CompactCNN's first epochs its student shares with it, since neither hears a teacher in them."""
        late = self.teachers.compact_epochs
        return max(0, self.scratch.epochs - late) if late else 0


QUICK = Preset(
    name="quick",
    purpose="a first look",
    subset=Subset(1_000, 250, 500),
    seeds=(0,),
    transfer=Transfer(
        backbone="tf_efficientnet_lite0",
        head_only="tf_efficientnet_lite0",
        epochs=2,
        head_epochs=5,
        image_size=40,
        batch_size=50,
        learning_rate=2e-3,
    ),
    ablations=Ablations(epochs=2, image_size=40),
    search=SearchBudget(trials=4, epochs=2, images=300),
    scratch=FromScratch("compact_cnn_small", epochs=6, batch_size=50, learning_rate=0.06, first_size=24),
    multi_task=MultiTask("compact_cnn_small", epochs=6),
    partner="",
    mobile_student=MobileStudent(epochs=3, image_size=40, batch_size=50, learning_rate=3e-3),
    teachers=Teachers(ensemble=3),
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
    transfer=Transfer(
        backbone="tf_efficientnet_lite0",
        head_only="tf_efficientnet_lite0",
        epochs=2,
        head_epochs=10,
        image_size=160,
        batch_size=64,
        learning_rate=1.5e-3,
        first_size=128,
        frozen_groups=6,
        frozen_depthwise=True,
    ),
    ablations=Ablations(epochs=2, image_size=72),
    search=SearchBudget(trials=6, epochs=2, images=5_000),
    scratch=FromScratch("compact_cnn", epochs=13, batch_size=250, learning_rate=0.085, first_size=24),
    multi_task=MultiTask("compact_cnn_small", epochs=4),
    partner="",
    mobile_student=MobileStudent(epochs=4, image_size=64, batch_size=64, learning_rate=2e-3, first_size=40),
    teachers=Teachers(ensemble=2, int8=True, compact_epochs=3, compact_weight=0.5),
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
    transfer=Transfer(
        backbone="resnet18",
        head_only="resnet50",
        epochs=5,
        head_epochs=5,
        image_size=224,
        batch_size=128,
        learning_rate=1e-3,
    ),
    ablations=Ablations(epochs=5, image_size=224),
    search=SearchBudget(trials=20, epochs=2, images=40_000),
    scratch=FromScratch("compact_cnn", epochs=60, batch_size=250, learning_rate=0.085),
    multi_task=MultiTask("compact_cnn", epochs=60),
    partner="efficientnet_b0",
    mobile_student=MobileStudent(epochs=20, image_size=224, batch_size=128, learning_rate=2e-3, pretrained=True),
    teachers=Teachers(ensemble=4),
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
