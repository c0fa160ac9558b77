"""What is said of calibration, uncertainty and out-of-distribution images."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from analysis import formats
from analysis.results import Results, results_of
from analysis.statistics.contrasts import Contrast, contrasts
from analysis.statistics.crossed import Estimate
from analysis.statistics.trust import OodScores, Uncertainty
from analysis.subjects import uncertainty
from analysis.subjects.calibration import (
    calibration_facts,
    calibration_finding,
    calibration_findings,
    temperature_finding,
)
from analysis.subjects.confidence import (
    FEWEST,
    flattered_finding,
    flattering,
    overconfidence,
    sure_errors,
    surely_wrong_finding,
)
from analysis.subjects.trust import trust
from analysis.subjects.uncertainty import (
    ERRORS,
    MATTERS,
    OOD,
    chance_finding,
    detection,
    detections,
    gain_findings,
    ood_facts,
    plan_facts,
    ranking_facts,
    ranking_finding,
    selective_finding,
    standing_facts,
    uncertainty_facts,
    uncertainty_finding,
    uncertainty_findings,
)


def test_passes_are_known_before_any_run(empty: Results) -> None:
    assert {fact.name: fact.text for fact in plan_facts(empty)} == {"mc-dropout/level5/mc-dropout/passes": "30"}
    assert list(calibration_facts(empty)) == list(uncertainty_facts(empty)) == list(calibration_findings(empty)) == []


def test_calibration_and_uncertainty_are_reported_for_the_test_images(results: Results, named: Callable) -> None:
    assert named(calibration_facts(results))["calibration/ece-before"].unit == "percent"
    facts = named(uncertainty_facts(results))
    assert results.trust is not None
    assert facts["uncertainty/vote"].text == results.view.phrase(results.trust.vote)
    assert facts["selective/risk"].value < facts["selective/risk-of-all"].value


def test_ood_images_are_named_or_the_reason_why_there_are_none(results: Results, named: Callable) -> None:
    assert named(ood_facts(results))["ood/images"].value == 150
    assert results.trust is not None
    without = replace(results, trust=replace(results.trust, ood=OodScores("", 0, {}, "no files")))
    assert {name: fact.text for name, fact in named(ood_facts(without)).items()} == {"ood/skipped": "no files"}
    table = trust(without)
    assert table is not None and "OOD" not in table.header


def test_trust_has_a_row_per_uncertainty(results: Results) -> None:
    table = trust(results)
    assert table is not None and results.trust is not None
    assert [row[0] for row in table.rows] == [u.title for u in results.trust.uncertainties.values()]


def test_calibration_is_told_in_the_order_of_before_and_after(results: Results, named: Callable) -> None:
    trust, facts = results.trust, named(calibration_facts(results))
    assert trust is not None and trust.before.ece != trust.after.ece
    told = f"goes from {formats.percent(trust.before.ece)} % to {formats.percent(trust.after.ece)} %"
    assert told in calibration_finding(trust).sentence
    for name, calibrated in (("before", trust.before), ("after", trust.after)):
        assert facts[f"calibration/nll-{name}"].value == pytest.approx(calibrated.losses.mean())
        assert facts[f"calibration/ece-{name}"].value == pytest.approx(calibrated.ece)


@pytest.mark.parametrize(
    ("value", "error", "verdict", "word"),
    [(0.02, 0.005, "supported", "lowers"), (-0.02, 0.005, "contradicted", "raises"),
     (0.02, 0.05, "inconclusive", "does not detectably change")],
)  # fmt: skip
def test_temperature_scaling_is_judged_by_likelihood(
    results: Results, value: float, error: float, verdict: str, word: str
) -> None:
    assert results.trust is not None
    finding = calibration_finding(replace(results.trust, nll_gain=Estimate(value, error, math.inf)))
    assert finding.verdict == verdict
    assert word in finding.sentence
    assert finding.claim is not None and (finding.claim.effect, finding.claim.verdict) == (value, verdict)


@pytest.mark.parametrize(
    ("temperature", "error", "verdict", "word"),
    [(0.8, 0.02, "supported", "too modest"), (1.3, 0.02, "supported", "too sure"),
     (1.05, 0.2, "inconclusive", "not detectably")],
)  # fmt: skip
def test_a_temperature_other_than_one_is_read_only_by_a_test(
    results: Results, temperature: float, error: float, verdict: str, word: str
) -> None:
    assert results.trust is not None
    found = Estimate(math.log(temperature), error, math.inf)
    finding = temperature_finding(replace(results.trust, log_temperature=found))
    assert finding.verdict == verdict
    assert word in finding.sentence
    assert finding.claim is not None and finding.claim.null == 1.0 and finding.claim.p == found.p
    assert (finding.claim.low < 1 < finding.claim.high) == (verdict == "inconclusive")


@pytest.mark.parametrize(
    ("value", "error", "verdict", "word"),
    [
        (0.003, 0.0005, "supported", "fewer"),
        (-0.003, 0.0005, "contradicted", "more"),
        (0.003, 0.005, "inconclusive", "no diff"),
    ],
)
def test_uncertainty_is_judged_against_the_models_own_entropy(
    results: Results, value: float, error: float, verdict: str, word: str
) -> None:
    assert results.trust is not None
    finding = uncertainty_finding(results.trust, Estimate(value, error, math.inf))
    assert finding.verdict == verdict
    assert word in finding.sentence
    assert formats.points(-value - 1.959964 * error) in finding.sentence


def test_scores_are_compared_at_finding_errors_and_at_telling_ood_images(results: Results) -> None:
    told, trust = {each.name: each for each in uncertainty_findings(results)}, results.trust
    assert trust is not None and trust.ood is not None
    (seed,), inside = trust.seeds, trust.uncertainties["entropy"].scores[0]
    outside = trust.ood.scores["entropy"][seed]
    truth = [0] * len(inside) + [1] * len(outside)
    assert f"tells them from test images with an AUROC of {roc_auc_score(truth, [*inside, *outside]):.3f} (95 % CI" in (
        told["uncertainty/ood"].sentence
    )
    assert {fact.name for fact in ranking_facts(results)} >= {*told["uncertainty/ood"].facts}


def test_runs_of_seeds_that_not_all_sources_have_are_not_named(two_seeds: Results, named: Callable) -> None:
    assert two_seeds.trust is not None
    trust = replace(two_seeds.trust, seeds=(1,))
    changed = replace(two_seeds, trust=trust)
    told = named([*calibration_facts(changed), *uncertainty_facts(changed)])
    assert {run.rpartition("/")[2] for fact in told.values() for run in fact.runs} == {"seed-1"}
    for finding in (each for each in calibration_findings(changed) if each.claim):
        assert finding.claim is not None and {run.rpartition("/")[2] for run in finding.claim.runs} == {"seed-1"}


def test_every_score_ranks_the_errors_of_the_single_network_seed_by_seed(
    two_seeds: Results, named: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uncertainty, "FEWEST", 1)
    facts, trust = named(ranking_facts(two_seeds)), two_seeds.trust
    assert trust is not None
    for name, each in trust.uncertainties.items():
        pairs = zip(~trust.before.correct, each.scores, strict=True)
        expected = np.mean([roc_auc_score(wrong, scores) for wrong, scores in pairs])
        assert facts[f"uncertainty/equal/auroc-{name}"].value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("differences", "verdict", "words"),
    [
        ({"a": 0.1, "b": 0.2}, "supported", "on the same predictions, b (+0.200, joint 95 % CI −1.000 to +1.000, "
         "adjusted p = 0.010) and a rank them better."),
        ({"a": -0.1}, "contradicted", "on the same predictions, a (−0.100, joint"),
        ({}, "inconclusive", "no other score differs detectably, the largest difference being that of none (+0.010"),
    ],
)  # fmt: skip
def test_words_of_a_ranking_follow_its_tests(differences: dict[str, float], verdict: str, words: str) -> None:
    gains = {name: Contrast(value, -1.0, 1.0, 0.01) for name, value in differences.items()}
    gains |= {"none": Contrast(0.01, -1.0, 1.0, 0.5)}
    told = ranking_finding(ERRORS, gains, Estimate(0.8, 0.01, math.inf), ("f",))
    assert told.verdict == verdict and words in told.sentence
    assert told.sentence.startswith(
        "The network’s own entropy ranks its errors with an AUROC of 0.800 (95 % CI 0.780 to"
    )


def test_validation_without_an_error_tells_no_temperature(
    results: Results, named: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = results.view
    for run in view.runs_of("level3/se-head"):
        sure = 40.0 * np.eye(10, dtype=np.float32)[run.arrays["validation_labels"]]
        monkeypatch.setitem(run.arrays, "validation_logits", sure)
    found = results_of(view)
    told = {finding.name: finding.sentence for finding in calibration_findings(found)}
    assert (
        "a network has all validation images right" in told["calibration/reading"]
        and "calibration/temperature" not in told
    )
    assert "calibration/temperature" not in named(calibration_facts(found))
    assert found.trust is not None and found.trust.temperature == 1


def test_too_few_errors_carry_no_test_of_confidence(results: Results) -> None:
    assert results.trust is not None
    told = temperature_finding(
        replace(results.trust, validation_errors=FEWEST - 1, log_temperature=Estimate(-3, 0.1, 9))
    )
    assert told.verdict == "inconclusive" and told.sentence.startswith("So few errors on validation images do not tell")
    labels = np.arange(200) % 2
    sure = np.full((1, 200), 0.995)
    probs = np.where(labels == np.arange(2)[:, None], sure, 1 - sure).T[None]
    perfect = Uncertainty("entropy", "Entropy", 1 - sure, probs, labels)
    finding = surely_wrong_finding(*sure_errors(perfect), "the network", overconfidence(perfect))
    assert finding.verdict == "inconclusive" and finding.sentence == (
        "Of the 0 errors of the network, 0 are made with a confidence of 90 % or more; of the 200 answers given with "
        "such confidence that is 0.00 %, 95 % CI 0.00 to 1.88, and their confidence less their accuracy is −0.50 "
        "points (95 % CI −0.50 to +1.38)."
    )
    trust = replace(results.trust, uncertainties=results.trust.uncertainties | {"entropy": perfect})
    assert detections(trust) == {}


def test_too_few_errors_of_a_seed_carry_no_test_of_declining(results: Results) -> None:
    assert results.trust is not None and results.trust.gain is not None
    chosen = results.trust.uncertainties[results.trust.chosen]
    found = []
    for errors in (FEWEST, FEWEST - 1):
        wrong = np.arange(100) < np.array([[50], [errors]])
        probs = np.where(wrong[..., None], [0.0, 1.0], [1.0, 0.0])
        made = replace(chosen, probs=probs, scores=np.ones((2, 100)), labels=np.zeros(100, dtype=int))
        uncertainties = results.trust.uncertainties | {chosen.name: made}
        told = gain_findings(replace(results, trust=replace(results.trust, uncertainties=uncertainties)))
        found.append("uncertainty/gain" in {each.name for each in told})
    assert found == [True, False]


@pytest.mark.parametrize(("images", "judged"), [(FEWEST, True), (FEWEST - 1, False)])
def test_few_images_of_another_dataset_carry_no_test(
    results: Results, named: Callable, images: int, judged: bool
) -> None:
    assert results.trust is not None and results.trust.ood is not None
    scores = {n: {s: one[:images] for s, one in each.items()} for n, each in results.trust.ood.scores.items()}
    ood = replace(results.trust.ood, images=images, scores=scores)
    few = replace(results, trust=replace(results.trust, ood=ood))
    assert ("uncertainty/ood" in {each.name for each in uncertainty_findings(few)}) == judged
    told = {name for name in named(standing_facts(few)) if name.startswith("uncertainty/ood/")}
    assert judged or not told
    table = trust(few)
    assert table is not None and table.header[-1] == "OOD" and all(row[-1] != formats.MISSING for row in table.rows)
    assert "uncertainty/ood/auroc-entropy" in named(ranking_facts(few))


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_sure_errors_are_judged_by_the_interval_of_a_proportion(seeds: int) -> None:
    labels, claimed, errors = np.arange(200) % 2, 0.92, 7
    probs = np.where(labels == np.arange(2)[:, None], claimed, 1 - claimed).T
    probs[:errors] = probs[:errors, ::-1]
    excess = overconfidence(Uncertainty("entropy", "Entropy", np.ones((seeds, 200)), np.stack([probs] * seeds), labels))
    assert excess is not None
    low, high = proportion_confint(200 - errors, 200, method="wilson")
    value, interval = excess
    assert value == pytest.approx(claimed - (1 - errors / 200))
    assert (interval.low, interval.high) == pytest.approx((claimed - high, claimed - low))
    counted = (errors, errors, 200, 1)
    assert surely_wrong_finding(*counted, "the network", excess).verdict == "supported"


def test_scores_worse_than_chance_are_told_apart_from_those_not_shown_to_be_better() -> None:
    poor = {"entropy": Estimate(0.3, 0.01, math.inf), "information": Estimate(0.51, 0.1, math.inf)}
    found = chance_finding(OOD, poor, ())
    assert found.verdict == "contradicted"
    assert chance_finding(OOD, {"information": poor["information"]}, ()).verdict == "inconclusive"
    told = found.sentence
    assert told.startswith("Worse than chance: entropy, 0.300 (95 % CI 0.280 to 0.320). Not shown to ")
    assert "information, 0.510" in told.partition("Not shown")[2]


def test_at_most_three_classes_are_named_beside_the_worst() -> None:
    gaps = {name: Contrast(0.01 * n, 0, 1, 0.001) for n, name in enumerate("abcdefg", start=1)}
    told = flattered_finding(gaps, "the network").sentence
    assert "when it answers g: it is too high" in told
    assert told.endswith("it misleads for f (+6.00), e (+5.00), d (+4.00) and 3 more, too.")
    assert flattered_finding({"a": gaps["a"]}, "the network").sentence.endswith("adjusted p = 0.0010.")


def test_summaries_name_the_scores_that_differ_by_what_matters(results: Results, named: Callable) -> None:
    facts, trust = named(standing_facts(results)), results.trust
    assert trust is not None
    own = detection(trust, "entropy")
    gains = {name: detection(trust, name) - own for name in trust.uncertainties if name != "entropy"}
    for (name, _), found in zip(gains.items(), contrasts(gains).values(), strict=True):
        title = trust.uncertainties[name].title[1:]
        for how, sign in (("better", 1), ("worse", -1)):
            told = facts[f"uncertainty/equal/{how}"].text if f"uncertainty/equal/{how}" in facts else ""
            assert (title in told) == (found.sign == sign and abs(found.difference) >= MATTERS)


def test_a_score_below_chance_is_called_better_than_none(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    poor = {"entropy": rng.normal(0.1, 0.1, (1, 500)), "ensemble-entropy": rng.normal(0.3, 0.1, (1, 500))}
    monkeypatch.setattr(uncertainty, "ood_detections", lambda trust: poor)
    assert not [fact for fact in standing_facts(results) if fact.name == "uncertainty/ood/better"]
    poor["ensemble-entropy"] += 0.3
    assert [fact for fact in standing_facts(results) if fact.name == "uncertainty/ood/better"]


def test_confidence_by_class_is_tested_only_where_answers_are_right_and_wrong_often_enough(results: Results) -> None:
    assert results.trust is not None
    before, classes = results.trust.before, results.view.classes
    answers = before.probs.argmax(axis=2)
    enough = [
        name
        for label, name in enumerate(classes)
        if all(((answers == label) & (before.correct == right)).sum() >= FEWEST for right in (True, False))
    ]
    assert [*flattering(before, classes)] == enough != classes


def test_every_score_of_the_table_has_its_margin(results: Results) -> None:
    table = trust(results)
    assert table is not None and all("±" in str(cell) for row in table.rows for cell in row[2:])
    assert all(re.fullmatch(r"[\d.]+ \([\d.]+–[\d.]+\)", str(row[1])) for row in table.rows)


def test_proper_scores_of_the_table_are_those_of_scikit_learn(two_seeds: Results) -> None:
    """A Brier score is the sum of those of all classes, each against the others."""
    table, found = trust(two_seeds), two_seeds.trust
    assert table is not None and found is not None and table.header[2:4] == ("NLL, nats", "Brier")
    for row, each in zip(table.rows, found.uncertainties.values(), strict=True):
        labels, classes = each.labels, range(each.probs.shape[2])
        nll = np.mean([log_loss(labels, probs, labels=classes) for probs in each.probs])
        brier = np.mean([sum(brier_score_loss(labels == c, probs[:, c]) for c in classes) for probs in each.probs])
        of_images = -np.log(each.probs[:, np.arange(len(labels)), labels]).mean(axis=0)
        half = norm.ppf(0.975) * of_images.std() / np.sqrt(len(labels))
        assert row[2] == f"{nll:.3f} ± {half:.3f}" and str(row[3]).startswith(f"{brier:.3f} ± ")


def test_declining_the_least_certain_tenth_leaves_the_errors_among_the_rest() -> None:
    wrong = np.isin(np.arange(1, 21), [5, 19, 20])
    probs = np.where(wrong[:, None], [0.0, 1.0], [1.0, 0.0])[None]
    found = Uncertainty("u", "U", np.arange(20.0)[None], probs, np.zeros(20, dtype=int))
    assert (found.risk_at(0.9), found.risk_at(1)) == pytest.approx((1 / 18, 3 / 20))
    low, high = proportion_confint(1, 18, method="wilson")
    assert (
        "declining the least certain 10 % of the images takes the error rate of the answers from 15.00 % to 5.56 % "
        f"(95 % CI {100 * low:.2f} to {100 * high:.2f})."
    ) in selective_finding(found).sentence
