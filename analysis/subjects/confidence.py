"""Where confidence misleads: errors made surely, answers it flatters, and what averaging does to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from analysis import formats
from analysis.captions import claim, evidence
from analysis.evidence import Fact, Finding, Origin, Verdict, facts, findings
from analysis.results import Results
from analysis.statistics import influence
from analysis.statistics.contrasts import Contrast, contrasts
from analysis.statistics.crossed import FEWEST, Estimate, estimate_of
from analysis.statistics.trust import Trust, Uncertainty
from analysis.view import StudyView
from study.metrics.calibration import expected_calibration_error, fit_temperature, probabilities
from study.metrics.intervals import Interval, wilson

SURE = 0.9
NAMED = 3  # classes beside the worst one that a sentence names


@facts
def confidence_facts(results: Results) -> Iterator[Fact]:
    """How many errors there are, and how many of them are made with a confidence of 90 % or more."""
    if results.trust is not None:
        wrong, surely, sure, _ = sure_errors(results.trust.before)
        made = Origin(surely_wrong_finding, results.trust.runs(results.trust.model))
        yield made.count("calibration/errors", wrong)
        yield made.count("calibration/sure-errors", surely)
        yield made.count("calibration/sure-answers", sure)
        if compared := _ensemble(results, results.trust):
            of_vote = Origin(ensemble_finding, results.trust.runs(results.trust.vote))
            yield of_vote.percent("calibration/ece-ensemble", compared.voted)
            yield of_vote.percent("calibration/ece-members", compared.single)
            yield of_vote.percent("calibration/ece-ensemble-scaled", compared.voted_scaled)
            yield of_vote.percent("calibration/ece-members-scaled", compared.single_scaled)
            surplus, interval = compared.surplus, compared.surplus.interval()
            yield of_vote.points("calibration/surplus", surplus.value)
            bounds = f"{formats.points_interval(interval.low, interval.high)} points"
            yield of_vote.fact("calibration/surplus-interval", [interval.low, interval.high], "points", bounds)


@findings
def confidence_findings(results: Results) -> Iterator[Finding]:
    """Of the network whose confidence is examined, and of the ensemble."""
    trust = results.trust
    if trust is None:
        return
    phrase = results.view.phrase
    if (counted := sure_errors(trust.before))[2]:
        yield surely_wrong_finding(*counted, phrase(trust.model), overconfidence(trust.before))
    flattered = flattering(trust.before, results.view.classes)
    if any(each.sign for each in flattered.values()):
        yield flattered_finding(flattered, phrase(trust.model))
    if compared := _ensemble(results, trust):
        finding = ensemble_finding(compared, phrase(trust.vote))
        keys: tuple[str, ...] = (trust.vote, *results.ensemble.members) if results.ensemble else (trust.vote,)
        shared = replace(results, view=results.view.restricted_to(trust.seeds))
        tested = claim("z test of calibration errors", compared.difference, shared, finding.verdict, keys)
        yield replace(finding, claim=replace(tested, expects="loss"))


def _gap(uncertainty: Uncertainty) -> np.ndarray:
    """Confidence less correctness of each image, (S, N): its mean is how much too sure the model is."""
    return uncertainty.probs.max(axis=2) - uncertainty.correct


def sure_errors(uncertainty: Uncertainty) -> tuple[int, int, int, int]:
    """Errors, errors with a confidence of at least 90 %, answers with such a confidence, all seeds together; seeds."""
    wrong, sure = ~uncertainty.correct, uncertainty.probs.max(axis=2) >= SURE
    return int(wrong.sum()), int((wrong & sure).sum()), int(sure.sum()), len(wrong)


def overconfidence(uncertainty: Uncertainty) -> tuple[float, Interval]:
    """By how much the confidence of answers given surely, of which there are some, exceeds their accuracy.

    With its 95 % interval: with fewer than ``FEWEST`` of them right, or wrong, in a seed, the interval is Wilson's
    of the accuracy at the counts of one seed: the seeds share their images.
    """
    confidence, right = uncertainty.probs.max(axis=2), uncertainty.correct
    sure = confidence >= SURE
    if _fewest(sure & right, sure & ~right) >= FEWEST:
        excess = estimate_of(influence.of_ratio(_gap(uncertainty), sure))
        return excess.value, excess.interval()
    claimed, seeds = float(confidence[sure].mean()), len(sure)
    reached = wilson((sure & right).sum() / seeds, sure.sum() / seeds)
    return claimed - float(right[sure].mean()), Interval(claimed - reached.high, claimed - reached.low)


def surely_wrong_finding(
    wrong: int, surely: int, sure: int, seeds: int, phrase: str, excess: tuple[float, Interval]
) -> Finding:
    """How many of the errors a threshold on confidence would let pass, and whether such confidence is too high.

    Counts are over all seeds; the seeds share their images, so intervals are those of one seed's mean counts.
    ``excess`` is by how much such confidence exceeds the accuracy of the answers: contradicted where it does,
    supported where it falls short.
    """
    shares = []
    for total in (wrong, sure):
        share = wilson(surely / seeds, max(1, total) / seeds)
        bounds = formats.percent_interval(share.low, share.high)
        shares.append(f"{formats.percent(surely / max(1, total))} %, 95 % CI {bounds}")
    among = "" if seeds == 1 else ", all seeds together"
    words = (
        f"Of the {formats.plural(wrong, 'error')} of {phrase}{among}, {formats.count(surely)}"
        f"{f' ({shares[0]})' if wrong else ''} {'is' if surely == 1 else 'are'} made with a confidence of "
        f"{formats.decimal(100 * SURE, 0)} % or more; of the {formats.plural(sure, 'answer')} given with such "
        f"confidence that is {shares[1]}"
    )
    surplus, interval = excess
    verdict: Verdict = "contradicted" if interval.low > 0 else "supported" if interval.high < 0 else "inconclusive"
    bounds = formats.points_interval(interval.low, interval.high)
    words += f", and their confidence less their accuracy is {formats.points(surplus)} points (95 % CI {bounds})"
    facts = tuple(f"calibration/{name}" for name in ("errors", "sure-errors", "sure-answers"))
    return Finding("calibration/surely-wrong", f"{words}.", verdict, facts)


def _fewest(*masks: np.ndarray) -> int:
    """How many images of a seed, of those with the fewest, are in any of the masks (S, N)."""
    return min(int(mask.sum(axis=1).min()) for mask in masks)


def flattering(uncertainty: Uncertainty, classes: list[str]) -> dict[str, Contrast]:
    """Confidence less accuracy of the answers that name a class, by class, as one family.

    Of classes with at least ``FEWEST`` right and as many wrong answers: of fewer the test's normal law does not hold.
    """
    gap, answers, right = _gap(uncertainty), uncertainty.probs.argmax(axis=2), uncertainty.correct
    named = {label: answers == label for label in np.unique(answers)}
    enough = {label: mask for label, mask in named.items() if _fewest(mask & right, mask & ~right) >= FEWEST}
    return contrasts({classes[label]: influence.of_ratio(gap, mask) for label, mask in enough.items()})


def flattered_finding(gaps: Mapping[str, Contrast], phrase: str) -> Finding:
    """The answers whose confidence is detectably off, the worst first."""
    found = sorted((item for item in gaps.items() if item[1].sign), key=lambda item: -abs(item[1].difference))
    (name, worst), others = found[0], found[1:]
    rest = [f"{name} ({formats.points(each.difference)})" for name, each in others[:NAMED]]
    if left := len(others) - len(rest):
        rest.append(f"{formats.count(left)} more")
    side = "too high" if worst.sign > 0 else "too low"
    words = f"The confidence of {phrase} is most misleading when it answers {name}: it is {side}, with a difference "
    words += f"from the accuracy of these answers of {evidence(worst)}"
    if rest:
        words += f"; it misleads for {formats.listing(rest)}, too"
    return Finding("calibration/flattered", f"{words}.", "contradicted", ("calibration/errors",))


class Averaged(NamedTuple):
    """Calibration errors of an ensemble (``voted``) and of its members on average (``single``), also after scaling.

    ``difference`` is of the former two, before temperature scaling; ``surplus`` is the mean confidence of the ensemble
    less its accuracy.
    """

    difference: Estimate
    voted: float
    single: float
    voted_scaled: float
    single_scaled: float
    surplus: Estimate


def _ensemble(results: Results, trust: Trust) -> Averaged | None:
    """The ensemble beside its members; None without its uncertainty."""
    ensemble = results.ensemble
    voted = trust.uncertainties.get("ensemble-entropy")
    if ensemble is None or voted is None:
        return None
    keys = (*ensemble.members, trust.vote)
    shared = results.view.restricted_to(trust.seeds)
    *members, votes = (
        [influence.of_ece(probabilities(p.logits), p.labels) for p in each] for each in shared.paired(*keys)
    )
    *apart, together = (_scaled(shared, key) for key in keys)
    of_vote, single = np.stack(votes), np.mean(members, axis=0)
    return Averaged(
        estimate_of(of_vote - single),
        float(of_vote.mean()),
        float(single.mean()),
        together,
        float(np.mean(apart)),
        estimate_of(_gap(voted)),
    )


def _scaled(view: StudyView, key: str) -> float:
    """Calibration error after temperature scaling by validation images, which every voter has; the mean over seeds."""
    pairs = zip(view.predictions(key), view.predictions(key, "validation"), strict=True)
    scaled = [(probabilities(p.logits, fit_temperature(v.logits, v.labels)), p.labels) for p, v in pairs]
    return float(np.mean([expected_calibration_error(*each) for each in scaled]))


def ensemble_finding(averaged: Averaged, phrase: str) -> Finding:
    """Whether averaging members makes confidence better calibrated than theirs; contradicted where worse."""
    difference, surplus = averaged.difference, averaged.surplus
    interval, excess = difference.interval(), surplus.interval()
    verdict: Verdict = "supported" if interval.high < 0 else "contradicted" if interval.low > 0 else "inconclusive"
    how = {"supported": "better calibrated than", "contradicted": "worse calibrated than"}.get(
        verdict, "not detectably better or worse calibrated than"
    )
    sentence = (
        f"The ensemble by {phrase} is {how} its members are on average: its calibration error is "
        f"{formats.percent(averaged.voted)} %, theirs {formats.percent(averaged.single)} % "
        f"(difference {formats.points(difference.value)} points, 95 % CI "
        f"{formats.points_interval(interval.low, interval.high)}, {formats.p_phrase(difference.p)}). "
        f"Its mean confidence less its accuracy is {formats.points(surplus.value)} points (95 % CI "
        f"{formats.points_interval(excess.low, excess.high)}). Temperature scaling takes the two errors to "
        f"{formats.percent(averaged.voted_scaled)} and {formats.percent(averaged.single_scaled)} %."
    )
    kinds = ("ece-ensemble", "ece-members", "ece-ensemble-scaled", "ece-members-scaled", "surplus", "surplus-interval")
    names = tuple(f"calibration/{name}" for name in kinds)
    return Finding("calibration/ensemble", sentence, verdict, names)
