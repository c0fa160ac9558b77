"""Level 5, deployment: what survives of the accuracy in a model that someone could ship?

Students learn from the best single member of level 4 (by validation) or from the mean of the best few;
each has an untaught control with the same start, images and epochs. One is a mobile network, new to the
task; the other is level 3's own network, which starts from the weights that its training there ended with.
int8 models are measured by the runtime that would execute them. Whether an uncertainty also tells images
of none of the classes is measured on a second dataset, where one is at hand.
"""

from __future__ import annotations

from dataclasses import replace

from study.experiment import (
    Architecture,
    Distillation,
    Experiment,
    Latency,
    McDropout,
    OutOfDistribution,
    Quantization,
    Recipe,
    Stage,
    Training,
)
from study.levels.level3_architecture import SCRATCH, scratch, scratch_recipe
from study.levels.level4_ensemble import members
from study.presets import Preset

MOBILE = "mobilenetv3_small_100"


def _taught(alone: Training, preset: Preset, name: str, title: str, best: int = 1) -> Training:
    teacher = "the best single model" if best == 1 else "the ensemble"
    candidates = tuple(key for key in members(preset) if key != alone.starts_from)
    return replace(
        alone,
        name=name,
        title=title,
        control=alone.key,
        differs=f"being taught by {teacher}",
        distillation=Distillation(candidates, best=best),
    )


def mobile_students(preset: Preset) -> tuple[Training, ...]:
    """MobileNetV3-Small alone, and taught by the best single model."""
    budget = preset.mobile_student
    stage = Stage(
        budget.epochs,
        budget.learning_rate,
        budget.image_size,
        SCRATCH,
        warmup=0.2,
        first_size=budget.first_size,
    )
    recipe = Recipe((stage,), budget.batch_size, weight_decay=0.05, precision=preset.precision)
    alone = Training(
        level=5,
        name="student-alone",
        title="MobileNetV3-Small, no teacher",
        architecture=Architecture(MOBILE, pretrained=budget.pretrained),
        recipe=recipe,
    )
    return alone, _taught(alone, preset, "student", "MobileNetV3-Small, distilled")


def compact_students(preset: Preset) -> tuple[Training, ...]:
    """Level 3's CompactCNN trained on: alone, taught by the best single model, and taught by the ensemble.

    From scratch it would need all of its epochs, and the teacher's answers for them, again. It does not teach
    itself, and at test it is shown an image once.
    """
    budget, begun = preset.compact_student, scratch(preset)
    stage = replace(scratch_recipe(preset, budget.epochs).stages[0], learning_rate=budget.learning_rate, first_size=0)
    alone = replace(
        begun,
        level=5,
        name="compact-student-alone",
        title="CompactCNN continued, no teacher",
        starts_from=begun.key,
        recipe=Recipe(
            (stage,),
            begun.recipe.batch_size,
            optimizer=begun.recipe.optimizer,
            weight_decay=budget.learning_rate / 2,
            precision=begun.recipe.precision,
        ),
    )
    return (
        alone,
        _taught(alone, preset, "compact-student", "CompactCNN continued, distilled"),
        _taught(alone, preset, "compact-student-ensemble", "CompactCNN continued, taught by ensemble", preset.teachers),
    )


def quantizations() -> tuple[Quantization, ...]:
    """Static int8 of both students of a single teacher, and the MobileNet's dynamic int8 as in the reference study."""
    static = tuple(
        Quantization(level=5, name=name, title=f"{network}, int8", source=source, method="static")
        for name, network, source in (
            ("int8-static", "MobileNetV3-Small", "level5/student"),
            ("int8-static-compact", "CompactCNN", "level5/compact-student"),
        )
    )
    dynamic = Quantization(
        level=5,
        name="int8-dynamic",
        title="MobileNetV3-Small, dynamic int8",
        source="level5/student",
        method="dynamic",
    )
    return (*static, dynamic)


def experiments(preset: Preset) -> tuple[Experiment, ...]:
    """Students, int8, latency, MC dropout and images of another kind."""
    int8 = quantizations()
    timed = tuple(q.key for q in int8) + ("level3/se-head",)
    return (
        *mobile_students(preset),
        *compact_students(preset),
        *int8,
        Latency(level=5, name="latency", title="Latency", sources=timed, repeats=preset.latency_repeats),
        McDropout(level=5, name="mc-dropout", title="MC dropout", source="level3/se-head", passes=preset.mc_passes),
        OutOfDistribution(
            level=5, name="out-of-distribution", title="Out-of-distribution images", sources=members(preset)
        ),
    )
