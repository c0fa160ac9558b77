"""Calibration of the network whose confidence is examined, before and after temperature scaling."""

from __future__ import annotations

import math
from collections.abc import Iterator

from analysis import formats
from analysis.evidence import Claim, Fact, Finding, Origin, Verdict, facts, findings
from analysis.results import Results
from analysis.statistics.comparison import PAIRED
from analysis.statistics.crossed import ALPHA, FEWEST, Estimate
from analysis.statistics.influence import of_log_temperature
from analysis.statistics.trust import Trust, trust_of
from study.kinds import McDropout
from study.metrics.calibration import expected_calibration_error, fit_temperature, negative_log_likelihood


@facts
def calibration_facts(results: Results) -> Iterator[Fact]:
    """Calibration before and after temperature scaling."""
    trust = results.trust
    if trust is None:
        return
    model, before, after = trust.runs(trust.model), trust.before, trust.after
    yield Origin(trust_of, model).text("calibration/model", results.view.phrase(trust.model))
    dropout = any(isinstance(results.view.experiments[key], McDropout) for key in trust.sources)
    needed, best = (
        "which has the dropout that one of the uncertainties needs",
        "the most accurate one on validation images",
    )
    yield Origin(trust_of, model).text("calibration/reason", needed if dropout else best)
    yield Origin(expected_calibration_error, model).percent("calibration/ece-before", before.ece)
    yield Origin(expected_calibration_error, model).percent("calibration/ece-after", after.ece)
    yield Origin(negative_log_likelihood, model).number("calibration/nll-before", before.losses.mean())
    yield Origin(negative_log_likelihood, model).number("calibration/nll-after", after.losses.mean())
    if trust.validation_errors:
        yield Origin(fit_temperature, model).number("calibration/temperature", trust.temperature, 2)
        low, high = _temperatures(trust)
        text = f"{formats.decimal(low)} to {formats.decimal(high)}"
        yield Origin(of_log_temperature, model).fact("calibration/temperature-interval", [low, high], "number", text)


def _temperatures(trust: Trust) -> tuple[float, float]:
    """Interval of the temperature."""
    interval = trust.log_temperature.interval()
    return math.exp(interval.low), math.exp(interval.high)


@findings
def calibration_findings(results: Results) -> Iterator[Finding]:
    """What temperature scaling does."""
    trust = results.trust
    if trust is None:
        return
    if trust.validation_errors:
        yield calibration_finding(trust)
        yield temperature_finding(trust)
    else:
        words = "Where a network has all validation images right, they tell no temperature."
        yield Finding("calibration/reading", words, "inconclusive", ("calibration/errors",))


def temperature_finding(trust: Trust) -> Finding:
    """Whether the network was too sure or too modest, judged by the temperature fitted on validation images."""
    estimate, (low, high) = trust.log_temperature, _temperatures(trust)
    if trust.validation_errors < FEWEST:
        verdict: Verdict = "inconclusive"
        reading = "So few errors on validation images do not tell whether the network is too sure or too modest"
    elif math.isnan(estimate.p) or estimate.p >= ALPHA:
        verdict = "inconclusive"
        reading = "The network is not detectably too sure or too modest"
    elif estimate.value < 0:
        verdict, reading = "supported", "The network is too modest"
    else:
        verdict, reading = "supported", "The network is too sure"
    fitted = f"fitted temperature {formats.decimal(trust.temperature)}, 95 % CI {formats.decimal(low)} to "
    fitted += f"{formats.decimal(high)}, {formats.p_phrase(estimate.p)} against one"
    claim = Claim(
        "z test of the fitted temperature", "networks", "number", trust.validation_images, len(trust.seeds),
        trust.temperature, low, high, estimate.p, verdict, trust.runs(trust.model), null=1.0,
    )  # fmt: skip
    names = ("calibration/temperature", "calibration/temperature-interval")
    return Finding("calibration/reading", f"{reading} ({fitted}).", verdict, names, claim)


def calibration_finding(trust: Trust) -> Finding:
    """Whether temperature scaling makes the probabilities better, judged by the negative log-likelihood."""
    before, after, gain = trust.before, trust.after, trust.nll_gain
    verdict, interval = verdict_of_gain(gain), gain.interval()
    verb = {"supported": "lowers", "contradicted": "raises", "inconclusive": "does not detectably change"}[verdict]
    bounds = f"95 % CI {formats.signed(-interval.high, 3)} to {formats.signed(-interval.low, 3)}"
    sentence = (
        f"Temperature scaling {verb} the negative log-likelihood "
        f"(change {formats.signed(-gain.value, 3)} nats, {bounds}, {formats.p_phrase(gain.p)}); the calibration "
        f"error goes from {formats.percent(before.ece)} % to {formats.percent(after.ece)} %."
    )
    names = tuple(
        f"calibration/{name}" for name in ("temperature", "ece-before", "ece-after", "nll-before", "nll-after")
    )
    claim = claim_of_gain(trust, gain, "number", verdict, trust.model)
    return Finding("calibration/temperature", sentence, verdict, names, claim)


def claim_of_gain(trust: Trust, gain: Estimate, unit: formats.Unit, verdict: Verdict, *keys: str) -> Claim:
    """A gain over these networks as data: how far a score of these sources, or of all, falls where less is better."""
    interval, images = gain.interval(), len(trust.before.labels)
    return Claim(
        PAIRED, "networks", unit, images, len(trust.seeds), gain.value, interval.low, interval.high, gain.p, verdict,
        trust.runs(*keys),
    )  # fmt: skip


def verdict_of_gain(gain: Estimate) -> Verdict:
    """Supported where the gain is detected, contradicted where a loss is."""
    if math.isnan(gain.p) or gain.p >= ALPHA:
        return "inconclusive"
    return "supported" if gain.value > 0 else "contradicted"
