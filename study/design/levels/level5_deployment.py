"""Level 5, deployment: what survives of the accuracy in a model that someone could ship?

Teachers are the best members of level 4 (by validation); what each says of a few random views of every training image
is recorded once. Students learn from the best one's answers or from the mean of the best few's, and each has an
untaught control with the same start, views and epochs: the two differ in the soft labels alone. One student is a mobile
network, the other is CompactCNN.
int8 models are measured by the runtime that would execute them. Whether an uncertainty also tells images of none of the
classes is measured on a second dataset, where there is one.
"""

from __future__ import annotations

from dataclasses import replace

from study.description import Level
from study.design.levels.level3_architecture import scratch
from study.design.levels.level4_ensemble import members
from study.design.presets import Preset
from study.experiment import Architecture, Augmentation, Distillation, Recipe
from study.kinds import Export, Kind, Latency, McDropout, OutOfDistribution, Quantization, TeacherAnswers, Training
from study.kinds.quantization import Method

LEVEL = Level(5, "deployment")
MOBILE = "mobilenetv3_small_100"


def student_augmentation(preset: Preset) -> Augmentation:
    """What the views of training images vary in, for teachers and students alike: as in level 3 from scratch."""
    return scratch(preset).recipe.stages[0].augmentation


def teachers(preset: Preset) -> tuple[TeacherAnswers, ...]:
    """Answers of the best networks, the best first."""
    how = preset.teachers
    return tuple(
        TeacherAnswers(
            level=5,
            name=f"teacher-{rank}",
            title="Answers of the best network" if rank == 1 else f"Answers of network {rank} by validation",
            candidates=members(preset),
            augmentation=student_augmentation(preset),
            views=how.views,
            rank=rank,
            int8=how.int8,
        )
        for rank in range(1, how.ensemble + 1)
    )


def _taught(alone: Training, name: str, title: str, phrase: str, differs: str, distillation: Distillation) -> Training:
    return replace(
        alone,
        name=name,
        title=title,
        phrase=phrase,
        control=alone.key,
        differs=differs,
        group="distillation",
        distillation=distillation,
    )


def _mobile_recipe(preset: Preset) -> Recipe:
    """AdamW for a pretrained network, Muon for one that begins from nothing."""
    budget = preset.mobile_student
    recipe = Recipe(
        (replace(budget.stage, augmentation=student_augmentation(preset)),),
        budget.batch_size,
        weight_decay=0.05,
        precision=budget.precision,
        fixed_views=preset.teachers.views,
    )
    if budget.pretrained:
        return recipe
    return replace(recipe, optimizer="muon", weight_decay=budget.stage.learning_rate / 2)


def mobile_students(preset: Preset) -> tuple[Training, ...]:
    """MobileNetV3-Small alone, with the best single teacher, and with the ensemble as teacher."""
    budget, answers = preset.mobile_student, tuple(teacher.key for teacher in teachers(preset))
    alone = Training(
        level=5,
        name="student-alone",
        title="MobileNet, untaught",
        phrase="the untaught MobileNetV3-Small",
        architecture=Architecture(MOBILE, pretrained=budget.pretrained),
        recipe=_mobile_recipe(preset),
    )
    one, several = Distillation(answers[:1]), Distillation(answers)
    return (
        alone,
        _taught(
            alone,
            "student",
            "MobileNet, distilled",
            "the distilled MobileNetV3-Small",
            "the best member as teacher",
            one,
        ),
        _taught(
            alone,
            "student-ensemble",
            "MobileNet, several teachers",
            "the MobileNetV3-Small with several teachers",
            "several of the best members as teachers",
            several,
        ),
    )


def compact_students(preset: Preset) -> tuple[Training, Training]:
    """CompactCNN by level 3's recipe on the views that its teacher answered for, without and with that teacher.

    At test it sees no more than an image and its mirror image: it is to be quick.
    """
    level3, how = scratch(preset), preset.teachers
    alone = replace(
        level3,
        level=5,
        name="compact-alone",
        title="CompactCNN, untaught",
        phrase="the untaught CompactCNN",
        recipe=replace(level3.recipe, fixed_views=how.views, test_views=min(2, level3.recipe.test_views)),
    )
    distillation = Distillation((teachers(preset)[0].key,), weight=how.compact_weight)
    title, phrase, differs = "CompactCNN, distilled", "the distilled CompactCNN", "the best member as teacher"
    return alone, _taught(alone, "compact-student", title, phrase, differs, distillation)


def quantizations() -> tuple[Quantization, ...]:
    """Static int8 of both students of a single teacher, and the MobileNet's dynamic int8 as in the reference study."""
    mobile, compact = "level5/student", "level5/compact-student"
    wanted: dict[str, tuple[str, str, str, Method]] = {
        "int8-static": ("MobileNet", "MobileNetV3-Small", mobile, "static"),
        "int8-static-compact": ("CompactCNN", "CompactCNN", compact, "static"),
        "int8-dynamic": ("MobileNet", "MobileNetV3-Small", mobile, "dynamic"),
    }
    return tuple(
        Quantization(
            level=5,
            name=name,
            title=f"{short}, {method} int8",
            phrase=f"the distilled {network} in {method} int8",
            control=source,
            differs=f"{method} int8",
            expects="loss",
            group="int8",
            source=source,
            method=method,
        )
        for name, (short, network, source, method) in wanted.items()
    )


def exported(preset: Preset) -> Export:
    """The best of the networks in static int8."""
    static = [each for each in quantizations() if each.method == "static"]
    networks = tuple(dict.fromkeys(each.source for each in static))
    return Export(
        level=5,
        name="export",
        title="Export",
        candidates=tuple(each.key for each in static),
        built_on=(*networks, teachers(preset)[0].key),
    )


def experiments(preset: Preset) -> tuple[Kind, ...]:
    """Teachers' answers, students, int8, latency, MC dropout and out-of-distribution images."""
    int8 = quantizations()
    timed = tuple(q.key for q in int8) + ("level3/se-head",)
    return (
        *teachers(preset),
        *mobile_students(preset),
        *compact_students(preset),
        *int8,
        exported(preset),
        Latency(level=5, name="latency", title="Latency", sources=timed, repeats=preset.latency_repeats),
        McDropout(level=5, name="mc-dropout", title="MC dropout", source="level3/se-head", passes=preset.mc_passes),
        OutOfDistribution(
            level=5, name="out-of-distribution", title="Out-of-distribution images", sources=members(preset)
        ),
    )
