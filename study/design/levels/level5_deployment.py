"""Level 5, deployment: what survives of the accuracy in a model that someone could ship?

Students learn from the best single member of level 4 (by validation) or from the mean of the best few;
each has an untaught control with the same start, images and epochs. One is a mobile network; the other is
CompactCNN, whose control is level 3's training of it.
int8 models are measured by the runtime that would execute them. Whether an uncertainty also tells images
of none of the classes is measured on a second dataset, where one is at hand.
"""

from __future__ import annotations

from dataclasses import replace

from study.design.levels.level3_architecture import SCRATCH, scratch
from study.design.levels.level4_ensemble import members
from study.design.presets import Preset
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

MOBILE = "mobilenetv3_small_100"


def _taught(alone: Training, name: str, title: str, distillation: Distillation) -> Training:
    teacher = "the best single model" if distillation.best == 1 else "the ensemble"
    return replace(
        alone,
        level=5,
        name=name,
        title=title,
        control=alone.key,
        differs=f"being taught by {teacher}",
        distillation=distillation,
    )


def mobile_students(preset: Preset) -> tuple[Training, ...]:
    """MobileNetV3-Small alone, taught by the best single model, and taught by the ensemble."""
    budget, best = preset.mobile_student, Distillation(members(preset), int8=preset.teachers.int8)
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
    return (
        alone,
        _taught(alone, "student", "MobileNetV3-Small, distilled", best),
        _taught(
            alone,
            "student-ensemble",
            "MobileNetV3-Small, taught by ensemble",
            replace(best, best=preset.teachers.ensemble),
        ),
    )


def compact_student(preset: Preset) -> Training:
    """Level 3's CompactCNN, from which it branches off, taught by the best single model but never by that control."""
    alone, how = scratch(preset), preset.teachers
    candidates = tuple(key for key in members(preset) if key != alone.key)
    best = Distillation(candidates, weight=how.compact_weight, int8=how.int8, last_epochs=how.compact_epochs)
    student = _taught(alone, "compact-student", "CompactCNN, distilled", best)
    return replace(student, branches_off=alone.key if preset.shared_epochs else "")


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
        compact_student(preset),
        *int8,
        Latency(level=5, name="latency", title="Latency", sources=timed, repeats=preset.latency_repeats),
        McDropout(level=5, name="mc-dropout", title="MC dropout", source="level3/se-head", passes=preset.mc_passes),
        OutOfDistribution(
            level=5, name="out-of-distribution", title="Out-of-distribution images", sources=members(preset)
        ),
    )
