"""Findings: sentences that choose their own words by the evidence, with a verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from analysis import formats
from analysis.evidence import Finding, Verdict
from analysis.results import SEED_NOISE, Judged, Results
from analysis.section_facts import Speed, int8_speeds
from analysis.statistics.accuracy import Accuracy
from analysis.statistics.comparison import ALPHA, BootstrapResult, Comparison

SAME_SPEED = 0.05
LEFT_OUT = ("leaving out", "without", "removing")


def verdict_of(comparison: Comparison, p: float, retrained: bool = True) -> Verdict:
    """Supported or contradicted, by the sign of the difference, when p (adjusted) is below 0.05.

    A single seed of ``retrained`` networks cannot tell a difference below SEED_NOISE from chance in
    training, whatever p says about the images; that is inconclusive too.
    """
    lucky = retrained and comparison.seeds == 1 and abs(comparison.difference) < SEED_NOISE
    if lucky or not p < ALPHA or comparison.difference == 0:
        return "inconclusive"
    return "supported" if comparison.difference > 0 else "contradicted"


def effect(comparison: Comparison, p: float, over: str = "", retrained: bool = True) -> str:
    """What the treated experiment does to accuracy, as the words after its name.

    ``over`` names the control. An inconclusive comparison says what it could have seen.
    """
    verdict = verdict_of(comparison, p, retrained)
    if verdict == "inconclusive":
        return no_difference(comparison, p, retrained)
    sign = 1 if verdict == "supported" else -1
    low, high = sorted((sign * comparison.low, sign * comparison.high))
    size = formats.percent(abs(comparison.difference))
    verb = "improves accuracy by" if sign > 0 else "lowers accuracy by"
    interval = f"95 % CI {formats.percent(low)} to {formats.percent(high)}"
    seeds = f"n = {formats.plural(comparison.seeds, 'seed')}"
    against = f" against {over}" if over else ""
    return f"{verb} {size} points{against} ({interval}, {formats.p_phrase(p)}, {seeds})"


def no_difference(comparison: Comparison, p: float, retrained: bool = True) -> str:
    """The words for a comparison that cannot tell its two sides apart."""
    difference = f"difference {formats.points(comparison.difference)} points"
    interval = f"95 % CI {formats.points_interval(comparison.low, comparison.high)}"
    seeds = f"n = {formats.plural(comparison.seeds, 'seed')}"
    seen = f"the study would have seen {formats.percent(comparison.detectable)} points"
    noisy = retrained and comparison.seeds == 1 and p < ALPHA and abs(comparison.difference) < SEED_NOISE
    if noisy:
        seen = f"with one seed a difference under {formats.percent(SEED_NOISE)} points may be chance in training"
    return f"no difference was detected ({difference}, {interval}, {formats.p_phrase(p)}, {seeds}); {seen}"


def comparison_finding(name: str, judged: Judged, treated: str, control: str, facts: str) -> Finding:
    """Sentence about one comparison; ``facts`` is what the names of its facts end in."""
    verdict = verdict_of(judged.comparison, judged.p, judged.retrained)
    if verdict == "inconclusive":
        words = no_difference(judged.comparison, judged.p, judged.retrained)
        sentence = f"Between {treated} and {control} {words}."
    else:
        words = effect(judged.comparison, judged.p, control, judged.retrained)
        sentence = f"{treated} {words}."
    kinds = ("difference", "difference-interval", "p", "detectable")
    return Finding(name, sentence, verdict, tuple(f"{kind}/{facts}" for kind in kinds))


def loss_finding(name: str, judged: Judged, treated: str, control: str, facts: str) -> Finding:
    """Where a loss is what the claim expects: without an ingredient that is to help, or in eight bits."""
    finding = comparison_finding(name, judged, treated, control, facts)
    flipped: dict[Verdict, Verdict] = {"supported": "contradicted", "contradicted": "supported"}
    return replace(finding, verdict=flipped.get(finding.verdict, finding.verdict))


def all_findings(results: Results) -> dict[str, Finding]:
    """Every finding that the runs of a study support, by name."""
    groups = (_comparisons, _progress, _pass_marks, _ensemble, _summaries, _trust, _latency)
    return {finding.name: finding for group in groups for finding in group(results)}


def _comparisons(results: Results) -> Iterator[Finding]:
    return (_about(results, judged) for judged in results.judged.values())


def _about(results: Results, judged: Judged) -> Finding:
    planned, title = results.view.experiments[judged.key], results.view.title
    left_out = planned.differs.startswith(LEFT_OUT) or planned.name.startswith(LEFT_OUT)
    make = loss_finding if left_out or planned.kind == "Quantization" else comparison_finding
    return make(f"difference/{judged.key}", judged, planned.title, title(judged.control), judged.key)


def _progress(results: Results) -> Iterator[Finding]:
    title = results.view.title
    for level, judged in results.progress.items():
        before = results.view.experiments[judged.control].level
        treated, control = f"{title(judged.key)} (level {level})", f"{title(judged.control)} (level {before})"
        name, facts = f"progress/level{level}", f"level{level}-over-previous"
        yield comparison_finding(name, judged, treated, control, facts)


def _pass_marks(results: Results) -> Iterator[Finding]:
    for level, key in results.best.items():
        mark = results.view.plan["pass_marks"].get(str(level))
        if mark is not None:
            yield pass_mark_finding(level, results.view.title(key), results.accuracies[key], mark)


def pass_mark_finding(level: int, title: str, accuracy: Accuracy, mark: float) -> Finding:
    """Whether the level's model meets its mark: with its whole interval, not at all, or undecided."""
    interval = formats.percent_interval(accuracy.low, accuracy.high)
    reached = f"{formats.percent(accuracy.mean)} % (95 % CI {interval})"
    target = f"the level {level} pass mark of {formats.percent(mark)} %"
    verdict: Verdict
    if accuracy.low >= mark:
        verdict, words = "supported", f"meets {target} with {reached}"
    elif accuracy.high < mark:
        verdict, words = "contradicted", f"misses {target} with {reached}"
    else:
        verdict, words = "inconclusive", f"reaches {reached}, too close to {target} to call"
    facts = ("best", "best-accuracy", "best-accuracy-interval", "pass-mark")
    return Finding(f"pass-mark/level{level}", f"{title} {words}.", verdict, tuple(f"{f}/level{level}" for f in facts))


def _ensemble(results: Results) -> Iterator[Finding]:
    ensemble = results.ensemble
    judged = results.judged.get(ensemble.best_vote) if ensemble else None
    if ensemble is None or judged is None:
        return
    treated = f"the ensemble ({results.view.title(ensemble.best_vote)})"
    control = f"its best member ({results.view.title(ensemble.best_member)})"
    finding = comparison_finding("ensemble/gain", judged, treated, control, ensemble.best_vote)
    sentence = finding.sentence[0].upper() + finding.sentence[1:]
    yield replace(finding, sentence=sentence)


def _summaries(results: Results) -> Iterator[Finding]:
    for level in results.view.levels:
        judged = results.judged_at(level)
        if len(judged) == 1:
            yield replace(_about(results, judged[0]), name=f"summary/level{level}")
        elif judged:
            told = summary_finding(f"summary/level{level}", judged, [results.view.title(j.key) for j in judged])
            verdicts = {_about(results, each).verdict for each in judged}
            yield replace(told, verdict=next(v for v in ("contradicted", "supported", "inconclusive") if v in verdicts))


def summary_finding(name: str, judged: Sequence[Judged], titles: Sequence[str]) -> Finding:
    """How many of several comparisons improve, lower, or show nothing, naming those that do something."""
    facts = tuple(f"{kind}/{j.key}" for j in judged for kind in ("difference", "p"))
    verdicts = [verdict_of(j.comparison, j.p, j.retrained) for j in judged]
    lowering = [title for title, v in zip(titles, verdicts, strict=True) if v == "contradicted"]
    improving = [title for title, v in zip(titles, verdicts, strict=True) if v == "supported"]
    parts = [
        f"{len(named)} {verb if len(named) > 1 else verb + 's'} accuracy ({formats.listing(named)})"
        for named, verb in ((lowering, "lower"), (improving, "improve"))
        if named
    ]
    silent = verdicts.count("inconclusive")
    if silent == len(judged):
        sentence = f"In none of {silent} comparisons with a control was a difference detected."
        return Finding(name, sentence, "inconclusive", facts)
    if silent:
        parts.append(f"for {silent} no difference was detected")
    verdict: Verdict = "contradicted" if lowering else "supported" if improving else "inconclusive"
    return Finding(name, f"Of {len(judged)} comparisons with a control, {formats.listing(parts)}.", verdict, facts)


def _trust(results: Results) -> Iterator[Finding]:
    trust = results.trust
    if trust is None:
        return
    ece = [f"{formats.percent(u.calibration.ece)} %" for u in (trust.before, trust.after)]
    yield calibration_finding(trust.temperature, (ece[0], ece[1]), _nll_drop(results), trust.nll_gain)
    yield temperature_finding(trust.temperature)
    if trust.gain is not None:
        chosen, baseline = trust.uncertainties[trust.chosen], trust.before
        yield uncertainty_finding(chosen.title, chosen.aurc, baseline.aurc, trust.gain, trust.chosen)


def _nll_drop(results: Results) -> float:
    assert results.trust is not None
    return results.trust.before.calibration.nll - results.trust.after.calibration.nll


def calibration_finding(temperature: float, ece: tuple[str, str], drop: float, gain: BootstrapResult) -> Finding:
    """Whether temperature scaling makes the probabilities better, judged by the negative log-likelihood."""
    verdict = _verdict_of_gain(drop, gain)
    verb = {"supported": "lowers", "contradicted": "raises", "inconclusive": "does not detectably change"}[verdict]
    interval = f"95 % CI {formats.signed(-gain.high, 3)} to {formats.signed(-gain.low, 3)}"
    sentence = (
        f"Temperature scaling (T = {formats.decimal(temperature)}) {verb} the negative log-likelihood "
        f"(change {formats.signed(-drop, 3)} nats, {interval}, {formats.p_phrase(gain.p)}); the calibration "
        f"error goes from {ece[0]} to {ece[1]}."
    )
    scores = ("ece-before", "ece-after", "nll-before", "nll-after")
    names = ("calibration/temperature", *(f"calibration/{score}" for score in scores))
    return Finding("calibration/temperature", sentence, verdict, names)


def temperature_finding(temperature: float) -> Finding:
    """What the fitted temperature says of the network: too modest below one, too sure above."""
    sentence = "A temperature above one means that the network was too sure, as networks fitted closely tend to be."
    if temperature < 1:
        sentence = "A temperature below one means that the network was too modest, as label smoothing tends to make it."
    return Finding("calibration/reading", sentence, "supported", ("calibration/temperature",))


def uncertainty_finding(title: str, aurc: float, baseline: float, gain: BootstrapResult, name: str) -> Finding:
    """Whether refusing by the uncertainty chosen on validation leaves fewer errors than by the model's own entropy."""
    verdict = _verdict_of_gain(baseline - aurc, gain)
    whose = f"{title[0].lower()}{title[1:]}"
    words = {
        "supported": f"Refusing images by {whose} leaves fewer errors than by entropy of the single model",
        "contradicted": f"Refusing images by {whose} leaves more errors than by entropy of the single model",
        "inconclusive": f"Between refusing images by {whose} and by entropy of the single model no difference in the "
        "errors left was detected",
    }
    interval = f"95 % CI {formats.points_interval(-gain.high, -gain.low)} points"
    numbers = f"AURC {formats.percent(aurc)} % against {formats.percent(baseline)} %"
    sentence = f"{words[verdict]} ({numbers}; difference {interval}, {formats.p_phrase(gain.p)})."
    return Finding("uncertainty/gain", sentence, verdict, (f"uncertainty/aurc-{name}", "uncertainty/aurc-entropy"))


def _verdict_of_gain(gain: float, bootstrap: BootstrapResult) -> Verdict:
    if math.isnan(gain) or not bootstrap.p < ALPHA:
        return "inconclusive"
    return "supported" if gain > 0 else "contradicted"


def _latency(results: Results) -> Iterator[Finding]:
    speeds = int8_speeds(results)
    if speeds:
        yield latency_finding(speeds, [results.view.title(speed.key) for speed in speeds])


def latency_finding(speeds: Sequence[Speed], titles: Sequence[str]) -> Finding:
    """Whether each int8 model answers sooner than its float32 form; 5 % either way is a draw.

    Supported when all do, contradicted when one answers later, else inconclusive.
    """
    told = [f"{_speed_words(speed)} for {title}" for speed, title in zip(speeds, titles, strict=True)]
    slowest = min(speed.full / speed.int8 for speed in speeds)
    verdict: Verdict = "supported" if slowest > 1 + SAME_SPEED else "inconclusive"
    if slowest < 1 - SAME_SPEED:
        verdict = "contradicted"
    facts = tuple(f"latency/{speed.key}/speedup" for speed in speeds)
    return Finding("latency/int8", f"Against float32, int8 at batch 1 is {formats.listing(told)}.", verdict, facts)


def _speed_words(speed: Speed) -> str:
    ratio = speed.full / speed.int8
    medians = f"(median {formats.decimal(speed.int8)} ms against {formats.decimal(speed.full)} ms)"
    if abs(ratio - 1) <= SAME_SPEED:
        return f"equally fast to within {formats.decimal(100 * SAME_SPEED, 0)} % {medians}"
    return f"{formats.decimal(max(ratio, 1 / ratio))} times as {'fast' if ratio > 1 else 'slow'} {medians}"
