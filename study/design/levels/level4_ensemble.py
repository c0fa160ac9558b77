"""Level 4, ensembles: do different networks err differently, and which way of voting uses it best?

Members are the networks of levels 1 to 3 that were trained with the full budget, reused and never
retrained, plus partner architectures where the preset names some. Every rule combines the same
members' recorded logits; weights and greedy selection come from validation alone.
"""

from __future__ import annotations

from dataclasses import replace

from study.description import Level
from study.design.levels.level2_regularisation import augmented
from study.design.levels.level3_architecture import wider
from study.design.presets import Preset
from study.experiment import Architecture, network_name
from study.kinds import Kind, Training, Vote
from study.metrics.voting import VotingRule

LEVEL = Level(4, "ensembles", step=True)
MEMBERS = ("level1/finetuned", "level2/augmented", "level3/se-head", "level3/scratch-cnn")
RULES: dict[VotingRule, str] = {
    "soft-probabilities": "Mean of probabilities",
    "soft-logits": "Mean of logits",
    "hard": "Majority vote",
    "weighted": "Weighted mean",
    "greedy": "Greedy selection",
}


def members(preset: Preset) -> tuple[str, ...]:
    """Keys of the networks that vote."""
    return (*MEMBERS, *(each.key for each in (*wider(preset), *partners(preset))))


def partners(preset: Preset) -> tuple[Training, ...]:
    """Other pretrained architectures, trained by level 2's full recipe."""
    return tuple(
        replace(
            augmented(preset),
            level=4,
            name=f"partner-{number}" if number > 1 else "partner",
            title=network_name(backbone),
            phrase=f"the fine-tuned {network_name(backbone)}",
            architecture=Architecture(backbone, pretrained=True),
        )
        for number, backbone in enumerate(preset.partners, 1)
    )


def experiments(preset: Preset) -> tuple[Kind, ...]:
    """One vote per rule, after the partners."""
    votes = tuple(
        Vote(
            level=4,
            name=rule,
            title=title,
            phrase=title.lower() if rule == "greedy" else f"the {title.lower()}",
            rule=rule,
            members=members(preset),
        )
        for rule, title in RULES.items()
    )
    return (*partners(preset), *votes)
