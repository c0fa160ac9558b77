"""What voting gains, and how differently members err."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sklearn.metrics import roc_auc_score

from analysis import formats
from analysis.results import Results
from analysis.statistics.contrasts import Contrast
from analysis.statistics.crossed import FEWEST
from analysis.subjects.ensemble import (
    _hesitation,
    diversity,
    ensemble_facts,
    ensemble_findings,
    introduced_finding,
    members,
    members_finding,
    overlap,
    rules_finding,
)
from study.metrics.calibration import probabilities


def test_gain_of_the_ensemble_is_fixed_less_broken(results: Results, named: Callable) -> None:
    facts = named(ensemble_facts(results))
    images = facts["ensemble/fixed"].value - facts["ensemble/broken"].value
    assert results.ensemble is not None
    judged = results.judged[results.ensemble.best_vote]
    assert judged.comparison.difference == pytest.approx(images / 300)
    assert facts["ensemble/rules"].value == len(results.ensemble.votes)


def test_finding_compares_the_chosen_vote_with_the_best_member(results: Results) -> None:
    finding = next(found for found in ensemble_findings(results) if found.name == "ensemble/gain")
    assert results.ensemble is not None
    assert finding.verdict == results.judged[results.ensemble.best_vote].verdict
    assert f"{results.view.phrase(results.ensemble.best_member)} as its best member" in finding.sentence
    assert finding.sentence[0].isupper()


def test_vote_is_compared_with_every_other_member_and_the_plain_mean_with_every_other_rule(results: Results) -> None:
    told = {finding.name: finding for finding in ensemble_findings(results)}
    members = told["ensemble/members"].claim
    assert members is not None and results.ensemble is not None and "ensemble/rules" in told
    assert members.family == len(results.ensemble.members) - 1
    best = results.accuracies[results.ensemble.best_vote].mean
    others = [results.accuracies[m].mean for m in results.ensemble.members if m != results.ensemble.best_member]
    assert members.effect == pytest.approx(best - max(others))


@pytest.mark.parametrize(
    ("p", "difference", "verdict", "words"),
    [(0.01, 0.02, "supported", "each of its other members, the closest of them by +2.00 points"),
     (0.2, 0.02, "inconclusive", "the gain over a is not shown"),
     (0.01, -0.02, "contradicted", "A is more accurate than the ensemble (difference of the ensemble −2.00 points")],
)  # fmt: skip
def test_vote_that_does_not_beat_every_member_says_so(p: float, difference: float, verdict: str, words: str) -> None:
    told = members_finding({"a": Contrast(difference, -0.1, 0.1, p), "b": Contrast(0.05, 0.01, 0.1, 0.001)})
    assert told.verdict == verdict and words in told.sentence


def test_vote_that_does_not_beat_its_best_member_is_not_also_more_accurate_than_the_others() -> None:
    others = {"a": Contrast(0.02, 0.01, 0.03, 0.01)}
    assert members_finding(others).sentence.startswith("The ensemble is also more accurate than its other member")
    assert members_finding(others, also=False).sentence.startswith(
        "The ensemble is more accurate than its other member"
    )


def test_rules_that_do_not_differ_from_the_plain_mean_are_told_by_the_largest_difference() -> None:
    told = rules_finding({"a": Contrast(0.001, -0.1, 0.1, 0.9), "b": Contrast(-0.002, -0.1, 0.1, 0.5)}, "the mean")
    assert told.verdict == "inconclusive"
    assert "No other rule differs detectably from the mean; the largest difference is that of b (−0.20" in told.sentence
    told = rules_finding({"a": Contrast(0.01, 0, 0.1, 0.01), "b": Contrast(-0.02, -0.1, 0, 0.01)}, "the mean")
    assert (
        told.verdict == "supported"
        and "Of the 2 other rules, 1 is more accurate than the mean: a (+1.00" in told.sentence
    )


def test_errors_that_a_vote_introduces_are_where_its_best_member_was_unsure(results: Results) -> None:
    assert results.ensemble is not None
    erring = replace(results.ensemble, best_vote="level5/student")  # the vote itself introduces none
    few, many = (replace(erring, broken=number) for number in (FEWEST - 1, FEWEST))
    none, told = (introduced_finding(*_hesitation(results, each), each) for each in (few, many))
    assert none.verdict == "inconclusive" and "AUROC" not in none.sentence and "too few to tell" in none.sentence
    vote, best = (results.view.predictions(key)[0] for key in (erring.best_vote, erring.best_member))
    sure, broken = probabilities(best.logits).max(axis=1)[best.correct], ~vote.correct[best.correct]
    assert f"AUROC of low confidence {roc_auc_score(broken, -sure):.2f}" in told.sentence


def test_members_come_before_votes_each_with_its_difference_and_p(results: Results) -> None:
    table, ensemble = members(results), results.ensemble
    assert table is not None and ensemble is not None
    keys = [*ensemble.members, *ensemble.votes]
    rows = dict(zip(keys, table.rows, strict=True))
    assert [row[0] for row in table.rows] == [results.view.title(key) for key in keys]
    accuracy = {key: results.accuracies[key].mean for key in keys}
    for key in ensemble.members:
        assert rows[key][-2] == formats.points(accuracy[ensemble.best_vote] - accuracy[key])
    for key in ensemble.votes[1:]:
        assert rows[key][-2] == formats.points(accuracy[key] - accuracy["level4/soft-probabilities"])
    assert rows[ensemble.best_member][-1] == formats.p_value(results.judged[ensemble.best_vote].p)
    assert rows["level4/soft-probabilities"][-2:] == ("–", "–")


def test_votes_that_weigh_their_members_unequally_say_how(results: Results) -> None:
    assert results.ensemble is not None
    first, *others = results.ensemble.members
    alike = dict.fromkeys(results.ensemble.members, 0.2)
    weights = dict.fromkeys(results.ensemble.votes, alike) | {"level4/greedy": {first: 0.75, others[0]: 0.25}}
    table = members(replace(results, ensemble=replace(results.ensemble, weights=weights)))
    assert table is not None and table.header[:3] == ("Model", "Greedy selection", "Validation, %")
    assert [row[1] for row in table.rows] == ["0.750", "0.250", *["0.000"] * 3, *["–"] * 5]


def test_diversity_has_a_row_per_pair(results: Results) -> None:
    table = diversity(results)
    assert table is not None
    assert len(table.rows) == 10  # pairs of five members


def test_ensemble_waits_for_its_runs(empty: Results) -> None:
    assert list(ensemble_facts(empty)) == list(ensemble_findings(empty)) == []
    assert members(empty) is diversity(empty) is overlap(empty) is None


def test_caption_of_members_says_in_few_words_what_the_chosen_vote_does(results: Results) -> None:
    table, ensemble = members(results), results.ensemble
    assert table is not None and ensemble is not None
    words = {1: "is more accurate than", -1: "is less accurate than", 0: "is not shown to differ from"}
    judged = results.judged[ensemble.best_vote]
    assert table.caption.startswith(f"The vote chosen {words[judged.change]} the member that is best on validation. ")
    same = replace(judged, p_equivalence=0.01)
    table = members(replace(results, judged=results.judged | {ensemble.best_vote: same}))
    assert table is not None and table.caption.startswith(
        "The vote chosen differs by less than matters from the member"
    )
