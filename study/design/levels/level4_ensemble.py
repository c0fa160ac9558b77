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
from study.records import Level, Reference

LEVEL = Level(4, "ensembles", pass_mark=0.93, reference=Reference("ensemble of two", 0.9727))
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
    return (*MEMBERS, "level4/partner") if preset.partner else MEMBERS


def experiments(preset: Preset) -> tuple[Kind, ...]:
    """One vote per rule, after the partner, a second pretrained architecture trained by level 2's full recipe."""
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
    if not preset.partner:
        return votes
    partner = replace(
        augmented(preset),
        level=4,
        name="partner",
        title="Partner network",
        phrase="the partner network",
        architecture=Architecture(preset.partner, pretrained=True),
    )
    return (partner, *votes)
