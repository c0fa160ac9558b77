"""Findings as data, and whether their words follow from it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from analysis import formats
from analysis.evidence import Claim, Fact, Finding
from analysis.statistics.crossed import ALPHA

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# Numbers that are part of a name, or that every study prints alike: the 95 % of intervals, levels, kernels.
CONSTANTS = re.compile(
    r"\b[NR]\d+\b|CIFAR-10H?|SHA-256|"
    r"MobileNetV3|CompactCNN|float\d+|int8|F1|Top-\d+|p(?:50|95)|95\s% CI|80\s% power|[Ll]evel \d|\d+×\d+"
)
# Words for an effect that is better than its null, which claims give as above it, and for one that is worse.
DIRECTIONS = {
    1: re.compile(r"\b(?:improves? accuracy|meets|lowers the negative|leaves fewer)\b"),
    -1: re.compile(r"\b(?:lowers? accuracy|misses|raises the negative|leaves more)\b"),
}
UNDECIDED = re.compile(
    r"\bundecided\b|\bno difference in|\bno difference was detected\b|\btoo close to\b|\bnot detectably\b"
)
EQUIVALENT = re.compile(r"\bno difference that matters\b")


def contradiction(finding: Finding, facts: Mapping[str, Fact]) -> str:
    """What the finding's words contradict; empty when they follow from its claim, or when it claims no test."""
    claim = finding.claim
    if claim is None:
        return ""
    if finding.verdict != claim.verdict:
        return f"its claim is {claim.verdict}"
    return _wrong_words(finding.sentence, claim) or _unfounded(finding, claim, facts)


def _wrong_words(sentence: str, claim: Claim) -> str:
    """What words for another verdict or direction contradict."""
    sign = 1 if claim.effect > claim.null else -1
    decided = claim.verdict in ("supported", "contradicted")
    if (EQUIVALENT.search(sentence) and claim.verdict != "equivalent") or (UNDECIDED.search(sentence) and decided):
        return f"its claim is {claim.verdict}"
    if DIRECTIONS[-sign].search(sentence):
        return f"its effect of {claim.effect:.2g} is {'better' if sign > 0 else 'worse'} than {claim.null:.2g}"
    if DIRECTIONS[sign].search(sentence) and claim.p is not None and not claim.p < ALPHA:
        return f"its p is {claim.p:.2g}"
    return ""


def _unfounded(finding: Finding, claim: Claim, facts: Mapping[str, Fact]) -> str:
    """Numbers of the sentence that neither its facts nor its claim hold."""
    texts = [facts[name].text for name in finding.facts if name in facts]
    known = {number for text in (*texts, *_numbers(claim)) for number in NUMBER.findall(text)}
    # A digit inside a word is part of a name.
    told = re.findall(r"(?<![\w.,])\d+(?:[.,]\d+)*(?![\w-])", CONSTANTS.sub("", finding.sentence))
    unknown = [number for number in told if number not in known]
    return f"neither its claim nor its facts hold {formats.listing(unknown)}" if unknown else ""


def _numbers(claim: Claim) -> Iterator[str]:
    """The claim's numbers in every form that a sentence may print."""
    yield from map(formats.count, (claim.n, claim.seeds, 2 * claim.seeds, claim.family))
    for value in (claim.effect, claim.low, claim.high, claim.null, claim.margin):
        if value is not None:
            yield from (formats.percent(value), formats.decimal(value), formats.number(value))
    for p in (claim.p, claim.p_equivalence):
        if p is not None:
            yield formats.p_value(p)
