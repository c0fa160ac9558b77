"""A vote that predictions made elsewhere join."""

from __future__ import annotations

from dataclasses import dataclass

from study.experiment import reads
from study.kinds.kind import Context, Kind, Scale
from study.kinds.vote import vote
from study.metrics.voting import VotingRule
from study.records import Outcome


@dataclass(frozen=True, kw_only=True)
class JoinedVote(Kind):
    """A vote of the study with one more member, which was made elsewhere; no level selects it as its model."""

    level: int = 0
    members: tuple[str, ...] = reads()
    rule: VotingRule

    def carry_out(self, context: Context) -> Outcome:
        return vote(self.members, self.rule, context)

    def cost(self, scale: Scale) -> float:
        return 0.5
