"""The experiments of a fabricated study: every kind, every level, every comparison with its control."""

from __future__ import annotations

import dataclasses

from study.experiment import (
    Architecture,
    Augmentation,
    Auxiliary,
    Distillation,
    Experiment,
    Latency,
    McDropout,
    OutOfDistribution,
    Quantization,
    Recipe,
    Search,
    Stage,
    Training,
    Vote,
    VotingRule,
)

LITE = Architecture("tf_efficientnet_lite0", pretrained=True)
SMALL = Architecture("mobilenetv3_small_100")
COMPACT = Architecture("compact_cnn")
STRONG = Augmentation(flip=True, crop=4, rotation=15.0, jitter=0.2)
TEACHERS = ("level3/se-head", "level3/scratch-cnn")
RECIPE = Recipe((Stage(5, 1e-3, 64, STRONG),), 128, "adamw", 0.05, 0.1)
NO_AUGMENTATION = dataclasses.replace(RECIPE, stages=(Stage(5, 1e-3, 64),))
MEMBERS = ("level3/se-head", "level3/scratch-cnn", "level4/partner")


def _training(
    level: int,
    name: str,
    title: str,
    architecture: Architecture = LITE,
    control: str = "",
    differs: str = "",
    distillation: Distillation | None = None,
    recipe: Recipe = RECIPE,
) -> Training:
    return Training(
        level=level,
        name=name,
        title=title,
        architecture=architecture,
        control=control,
        differs=differs,
        distillation=distillation,
        recipe=recipe,
    )


def _level1() -> list[Experiment]:
    return [
        _training(1, "finetuned", "Fine-tuned", recipe=dataclasses.replace(NO_AUGMENTATION, optimizer="adam")),
        _training(
            1,
            "head-only",
            "Head only",
            control="level1/finetuned",
            differs="backbone frozen",
            recipe=dataclasses.replace(RECIPE, stages=(Stage(5, 1e-3, 64, trains="head"),)),
        ),
    ]


def _level2() -> list[Experiment]:
    best, stages = "level2/augmented", (Stage(2, 1e-3, 64, STRONG, "head", 0.2), Stage(3, 3e-4, 64, STRONG))
    augmented = _training(2, "augmented", "Augmented", control="level2/plain", differs="augmentation")
    constant = (Stage(5, 1e-3, 64, STRONG, schedule="constant"),)
    return [
        _training(2, "plain", "Plain", recipe=NO_AUGMENTATION),
        augmented,
        _training(
            2,
            "without-smoothing",
            "Without smoothing",
            control=best,
            differs="label smoothing removed",
            recipe=dataclasses.replace(RECIPE, label_smoothing=0.0),
        ),
        _training(
            2,
            "without-cosine",
            "Without cosine",
            control=best,
            differs="constant rate",
            recipe=dataclasses.replace(RECIPE, stages=constant),
        ),
        _training(
            2,
            "without-decoupled-decay",
            "Adam instead of AdamW",
            control=best,
            differs="optimiser",
            recipe=dataclasses.replace(RECIPE, optimizer="adam"),
        ),
        _training(2, "single-stage", "Single stage"),
        _training(
            2,
            "two-stage-mixup",
            "Two-stage MixUp",
            control="level2/single-stage",
            differs="MixUp stage first",
            recipe=dataclasses.replace(RECIPE, stages=stages),
        ),
        Search(
            level=2,
            name="search",
            title="Searched",
            control=best,
            differs="searched settings",
            base=augmented,
            trials=8,
            trial_epochs=2,
            trial_images=100,
            learning_rate=(1e-4, 1e-2),
            weight_decay=(1e-4, 1e-1),
            label_smoothing=(0.0, 0.2),
        ),
    ]


def _level3() -> list[Experiment]:
    head = dataclasses.replace(LITE, attention="se", dropout=0.2)
    tasks: dict[Auxiliary, str] = {"superclass": "Superclass task", "rotation": "Rotation task"}
    return [
        _training(3, "plain-head", "Plain head"),
        _training(3, "se-head", "SE head", head, "level3/plain-head", "SE attention and dropout"),
        _training(3, "scratch-cnn", "Compact CNN", COMPACT),
        *(
            _training(
                3,
                f"multi-task-{task}",
                title,
                dataclasses.replace(COMPACT, auxiliary=task),
                "level3/scratch-cnn",
                f"auxiliary {task} head",
            )
            for task, title in tasks.items()
        ),
    ]


def _level4() -> list[Experiment]:
    rules: tuple[VotingRule, ...] = ("soft-probabilities", "soft-logits", "hard", "weighted", "greedy")
    votes = [Vote(level=4, name=r, title=f"Vote: {r}", members=MEMBERS, rule=r) for r in rules]
    return [_training(4, "partner", "Partner"), *votes]


def _level5() -> list[Experiment]:
    student, compact = "level5/student-alone", "level3/scratch-cnn"
    taught, ensemble = Distillation(TEACHERS), Distillation(MEMBERS, best=len(MEMBERS))
    late = dataclasses.replace(taught, int8=True, last_epochs=2)
    source = "level5/compact-student"
    return [
        _training(5, "student-alone", "MobileNetV3-Small alone", SMALL),
        _training(5, "student", "MobileNetV3-Small distilled", SMALL, student, "teacher", taught),
        dataclasses.replace(
            _training(5, "compact-student", "Compact CNN, distilled", COMPACT, compact, "teacher", late),
            branches_off=compact,
        ),
        _training(5, "student-ensemble", "MobileNetV3-Small, ensemble", SMALL, student, "ensemble", ensemble),
        Quantization(level=5, name="int8-static", title="int8 static", source=source, method="static"),
        Quantization(level=5, name="int8-dynamic", title="int8 dynamic", source=source, method="dynamic"),
        Latency(level=5, name="latency", title="Latency", sources=(source, "level3/se-head", "level5/int8-static")),
        McDropout(level=5, name="mc-dropout", title="MC dropout", source="level3/se-head", passes=10),
        OutOfDistribution(level=5, name="out-of-distribution", title="Outliers", sources=MEMBERS),
    ]


def experiments() -> list[Experiment]:
    """Every experiment of a fabricated study, in the order a study runs them."""
    return [*_level1(), *_level2(), *_level3(), *_level4(), *_level5()]
