from __future__ import annotations

import numpy as np
import pytest

from study.kinds import Vote
from study.metrics import voting
from study.metrics.calibration import probabilities
from study.metrics.uncertainty import mutual_information, predictive_entropy
from study.metrics.voting import VotingRule
from study.records import SPLITS
from tests.study.kinds.workshop import Workshop, network

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("rule", ["soft-probabilities", "soft-logits", "hard", "weighted", "greedy"])
def test_votes_combine_recorded_logits_by_weights_from_validation(workshop: Workshop, rule: VotingRule) -> None:
    runs = [workshop.untrained(network(name)) for name in ("a", "b", "c")]
    vote = Vote(level=4, name=rule, rule=rule, members=tuple(run.key for run in runs))
    outcome = vote.carry_out(workshop.context(vote))
    logits = {split: np.stack([run.predictions(split).logits for run in runs]) for split in SPLITS}
    weights = voting.weights(rule, logits["validation"], runs[0].predictions("validation").labels)
    assert outcome.metrics["members"] == ["level3/a", "level3/b", "level3/c"]
    assert outcome.metrics["weights"] == weights.tolist()
    for split in SPLITS:
        expected = voting.combine(rule, logits[split], weights)
        if split == "validation":
            expected = voting.cross_fitted(rule, logits[split], runs[0].predictions(split).labels)
        np.testing.assert_allclose(outcome.arrays[f"{split}_logits"], expected, atol=1e-5)
        labels = runs[0].predictions(split).labels
        assert outcome.metrics[f"{split}_accuracy"] == pytest.approx((expected.argmax(1) == labels).mean())


def test_only_the_vote_by_mean_probability_records_the_ensembles_uncertainty(workshop: Workshop) -> None:
    runs = [workshop.untrained(network(name)) for name in ("a", "b")]
    members = tuple(run.key for run in runs)
    soft, hard = (
        vote.carry_out(workshop.context(vote)).arrays
        for vote in (
            Vote(level=4, name="soft", rule="soft-probabilities", members=members),
            Vote(level=4, name="hard", rule="hard", members=members),
        )
    )
    probs = np.stack([probabilities(run.predictions("test").logits) for run in runs])
    np.testing.assert_allclose(soft["test_entropy"], predictive_entropy(probs))
    np.testing.assert_allclose(soft["test_mutual_information"], mutual_information(probs))
    assert not [name for name in hard if "entropy" in name or "information" in name]
