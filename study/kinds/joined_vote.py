"""A vote that predictions made elsewhere join."""

from __future__ import annotations

from dataclasses import dataclass

from study.kinds.kind import Kind
from study.kinds.vote import Voting


@dataclass(frozen=True, kw_only=True)
class JoinedVote(Voting, Kind):
    """A vote of the study with one more member, which was made elsewhere; no level selects it as its model."""

    level: int = 0
