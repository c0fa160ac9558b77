"""Findings as data, and whether their words follow from it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from analysis import formats
from analysis.evidence import Claim, Fact, Finding

ALPHA = 0.05
LEVELS = ("95", "80")  # of intervals and of power, in percent
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# Words that say that the effect is above its null, or below it.
DIRECTIONS = {
    1: re.compile(r"\b(?:improves?|raises?|meets?|leaves more)\b"),
    -1: re.compile(r"\b(?:lowers?|misses|leaves fewer)\b"),
}
UNDECIDED = re.compile(
    r"\bundecided\b|\bno difference in|\bno difference was detected\b|\btoo close to\b|\bnot detectably\b"
)
EQUIVALENT = re.compile(r"\bno difference that matters\b")


def listed(finding: Finding) -> dict[str, Any]:
    """A finding with its claim, JSON-ready: test, n, seeds, effect, interval, p, verdict and runs."""
    return asdict(finding)


def contradiction(finding: Finding, facts: Mapping[str, Fact]) -> str:
    """Why the finding's words do not follow from its claim; empty when they do, or when it claims no test."""
    claim = finding.claim
    if claim is None:
        return ""
    if finding.verdict != claim.verdict:
        return f"a verdict of {claim.verdict}"
    return _wrong_direction(finding.sentence, claim) or _unfounded(finding, claim, facts)


def _wrong_direction(sentence: str, claim: Claim) -> str:
    """Where words and numbers point in different directions."""
    above = int(math.copysign(1, claim.effect - claim.null))
    if EQUIVALENT.search(sentence) and claim.verdict != "equivalent":
        return f"words for {claim.verdict}, not for equivalent"
    if UNDECIDED.search(sentence) and claim.verdict in ("supported", "contradicted"):
        return f"words for {claim.verdict}, not for undecided"
    if DIRECTIONS[-above].search(sentence):
        return f"words for an effect {'above' if above > 0 else 'below'} {claim.null:g}"
    if DIRECTIONS[above].search(sentence) and claim.p is not None and not claim.p < ALPHA:
        return f"words for an effect that p = {claim.p:.2g} does not show"
    return ""


def _unfounded(finding: Finding, claim: Claim, facts: Mapping[str, Fact]) -> str:
    """Numbers of the sentence that neither its facts nor its claim hold."""
    texts = [facts[name].text for name in finding.facts if name in facts]
    known = {number for text in (*texts, *_numbers(claim), *LEVELS) for number in NUMBER.findall(text)}
    # A digit inside a word, such as int8, is part of a name.
    told = re.findall(r"(?<![\w.,])\d+(?:[.,]\d+)*(?![\w-])", finding.sentence)
    unknown = [number for number in told if number not in known]
    return f"a source for {formats.listing(unknown)}" if unknown else ""


def _numbers(claim: Claim) -> Iterator[str]:
    """The claim's numbers in every form that a sentence may print."""
    yield from map(formats.count, (claim.n, claim.seeds, 2 * claim.seeds, claim.family))
    for value in (claim.effect, claim.low, claim.high, claim.null, claim.margin):
        if value is not None:
            yield from (formats.percent(value), formats.decimal(value), formats.number(value))
    for p in (claim.p, claim.p_equivalence):
        if p is not None:
            yield formats.p_value(p)
