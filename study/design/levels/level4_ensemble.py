"""Level 4, ensembles: do different networks err differently, and which way of voting uses it best?

Members are the networks of levels 1 to 3 that were trained with the full budget, reused and never
retrained, plus a partner architecture where the preset names one. Every rule combines the same
members' recorded logits; weights and greedy selection come from validation alone.
"""

from __future__ import annotations

from dataclasses import replace

from study.design.levels.level2_regularisation import augmented
from study.design.presets import Preset
from study.experiment import Architecture
from study.kinds import Kind, Vote
from study.metrics.voting import VotingRule
from study.records import Level

LEVEL = Level(4, "ensembles", step=True)
MEMBERS = ("level1/finetuned", "level2/augmented", "level3/se-head", "level3/scratch-cnn")
RULES: dict[VotingRule, str] = {
    "soft-probabilities": "Soft vote, probabilities",
    "soft-logits": "Soft vote, logits",
    "hard": "Hard vote",
    "weighted": "Soft vote, validation-weighted",
    "greedy": "Greedy selection",
}


def members(preset: Preset) -> tuple[str, ...]:
    """Keys of the networks that vote."""
    return (*MEMBERS, "level4/partner") if preset.partner else MEMBERS


def experiments(preset: Preset) -> tuple[Kind, ...]:
    """One vote per rule, after the partner, a second pretrained architecture trained by level 2's full recipe."""
    votes = tuple(
        Vote(level=4, name=rule, title=title, rule=rule, members=members(preset)) for rule, title in RULES.items()
    )
    if not preset.partner:
        return votes
    architecture, title = Architecture(preset.partner, pretrained=True), "Partner architecture"
    return (replace(augmented(preset), level=4, name="partner", title=title, architecture=architecture), *votes)
