"""Level 5, deployment: what survives of the accuracy in a model that someone could ship?

Students learn from the best single member of level 4 (by validation) or from the mean of the best few;
each has a control of the same cost to the student, trained without a teacher. int8 models are
measured by the runtime that would execute them. Whether an uncertainty also tells images of none of the
classes is measured on a second dataset, where one is at hand.
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
from study.levels.level3_architecture import SCRATCH, scratch_recipe
from study.levels.level4_ensemble import members
from study.presets import Preset

MOBILE = "mobilenetv3_small_100"
COMPACT = "compact_cnn_small"


def _taught(alone: Training, preset: Preset, name: str, title: str, best: int = 1) -> Training:
    teacher = "the best single model" if best == 1 else "the ensemble"
    return replace(
        alone,
        name=name,
        title=title,
        control=alone.key,
        differs=f"being taught by {teacher}",
        distillation=Distillation(members(preset), best=best),
    )


def mobile_students(preset: Preset) -> tuple[Training, ...]:
    """MobileNetV3-Small alone, taught by the best single model, and taught by the ensemble."""
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
    return (
        alone,
        _taught(alone, preset, "student", "MobileNetV3-Small, distilled"),
        _taught(alone, preset, "student-ensemble", "MobileNetV3-Small, taught by ensemble", preset.teachers),
    )


def compact_students(preset: Preset) -> tuple[Training, ...]:
    """The half-width CompactCNN with a teacher and without."""
    recipe = replace(
        scratch_recipe(preset, preset.compact_student), flip_at_test=False, shift_at_test=0, label_smoothing=0.0
    )
    alone = Training(
        level=5,
        name="compact-student-alone",
        title="Compact student, no teacher",
        architecture=Architecture(COMPACT),
        recipe=recipe,
    )
    return alone, _taught(alone, preset, "compact-student", "Compact student, distilled")


def quantizations(sources: dict[str, str]) -> tuple[Quantization, ...]:
    """Static int8 of every distilled student, and dynamic int8 of the MobileNet as in the reference study."""
    static = tuple(
        Quantization(level=5, name=name, title=f"{title}, int8", source=f"level5/{source}", method="static")
        for source, (name, title) in {
            "student": ("int8-static", "MobileNetV3-Small"),
            "compact-student": ("int8-static-compact", "Compact student"),
        }.items()
        if source in sources
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
    students = mobile_students(preset) + (compact_students(preset) if preset.compact_student else ())
    int8 = quantizations({student.name: student.title for student in students})
    timed = tuple(q.key for q in int8) + ("level3/se-head", "level3/scratch-cnn")
    return (
        *students,
        *int8,
        Latency(level=5, name="latency", title="Latency", sources=timed, repeats=preset.latency_repeats),
        McDropout(level=5, name="mc-dropout", title="MC dropout", source="level3/se-head", passes=preset.mc_passes),
        OutOfDistribution(
            level=5, name="out-of-distribution", title="Out-of-distribution images", sources=members(preset)
        ),
    )
