"""Level 1, transfer learning: how far do ImageNet features carry, frozen and fine-tuned?

Both runs use Adam and plain cross-entropy without augmentation, as the challenge prescribes. The
head-only run keeps the backbone and its batch statistics frozen and trains the linear head alone.
Where the preset says so, fine-tuning leaves the first layer groups alone too: the filters they hold are
the most general ones (Yosinski et al. 2014, https://arxiv.org/abs/1411.1792), and a step that does not
change them is cheaper. So is one that leaves depthwise filters alone, a few per cent of the weights
whose gradients take a CPU as long as a third of the step.
"""

from __future__ import annotations

from dataclasses import replace

from study.description import Level
from study.design.presets import Preset
from study.experiment import Architecture, Recipe, Stage
from study.kinds import Kind, Training

LEVEL = Level(1, "transfer", step=True)


def experiments(preset: Preset) -> tuple[Kind, ...]:
    """Fine-tuned and head-only transfer."""
    budget = preset.transfer
    tuned = Recipe(
        (budget.stage,),
        budget.batch_size,
        optimizer="adam",
        precision=budget.precision,
        test_views=budget.test_views,
        layer_decay=budget.layer_decay,
        averaging=budget.averaging,
    )
    head = Stage(budget.head_epochs, 3e-3, budget.stage.image_size, trains="head")
    return (
        Training(
            level=1,
            name="head-only",
            title="Frozen backbone",
            phrase="the frozen backbone",
            architecture=Architecture(budget.head_only, pretrained=True),
            recipe=replace(tuned, stages=(head,), layer_decay=0.0),
        ),
        Training(
            level=1,
            name="finetuned",
            title="Fine-tuned backbone",
            phrase="the fine-tuned backbone",
            group="transfer",
            control="level1/head-only",
            differs="fine-tuning, by a schedule of its own"
            + ("" if budget.backbone == budget.head_only else " and on another backbone"),
            architecture=Architecture(budget.backbone, pretrained=True),
            recipe=tuned,
        ),
    )
