"""Combine the recorded logits of trained members; trains nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from study.experiment import reads
from study.kinds.kind import Context, Kind, Scale
from study.metrics import voting
from study.metrics.calibration import probabilities
from study.metrics.uncertainty import of_samples
from study.metrics.voting import VotingRule
from study.records import SPLITS, Outcome


@dataclass(frozen=True, kw_only=True)
class Voting:
    """What votes of every kind have and do."""

    members: tuple[str, ...] = reads()
    rule: VotingRule

    def carry_out(self, context: Context) -> Outcome:
        """Combine the members' recorded logits."""
        runs = [context.run(key) for key in self.members]
        logits = {split: np.stack([run.predictions(split).logits for run in runs]) for split in SPLITS}
        labels = context.labels("validation")
        weights = voting.weights(self.rule, logits["validation"], labels)
        votes = {split: voting.combine(self.rule, each, weights) for split, each in logits.items()}
        votes["validation"] = voting.cross_fitted(self.rule, logits["validation"], labels)
        outcome = context.predicted(votes)
        outcome.metrics |= {"members": list(self.members), "weights": [float(w) for w in weights]}
        if self.rule == "soft-probabilities":  # the mean whose entropy is the ensemble's
            for split, each in logits.items():
                outcome.arrays |= of_samples(split, probabilities(each))
        return outcome

    def cost(self, scale: Scale) -> float:
        """Nominal seconds."""
        return 0.5


@dataclass(frozen=True, kw_only=True)
class Vote(Voting, Kind):
    """Combine the members' recorded logits by a rule whose weights come from validation alone.

    On validation images themselves it votes as fitted to the others of them (``study.metrics.voting.cross_fitted``).
    """
