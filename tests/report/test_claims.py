"""Words of findings that follow from their claim, and words that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.evidence import Claim, Finding
from report.claims import contradiction
from tests.evidence_samples import sample_fact

CLAIM = Claim("paired t test", "recipes", "points", 10_000, 3, 0.0084, 0.0030, 0.0138, 0.012, "supported", ("a", "b"))
SENTENCE = "A improves accuracy by 0.84 points against B (95 % CI 0.30 to 1.38, p = 0.012, n = 3 seeds)."
FINDING = Finding("difference/a", SENTENCE, "supported", ("difference/a",), CLAIM)
FACTS = {"difference/a": sample_fact("difference/a", "+0.84 points", 0.0084)}
LOWER = replace(CLAIM, effect=-0.0084, low=-0.0138, high=-0.0030, verdict="contradicted")
OPEN = replace(CLAIM, p=0.4, verdict="inconclusive")


def test_words_that_follow_contradict_nothing() -> None:
    assert contradiction(FINDING, FACTS) == ""


def test_a_finding_without_a_test_claims_nothing() -> None:
    assert contradiction(replace(FINDING, claim=None), {}) == ""


@pytest.mark.parametrize(
    ("finding", "says"),
    [
        (replace(FINDING, verdict="inconclusive"), "its claim is supported"),
        (replace(FINDING, sentence=SENTENCE.replace("improves", "lowers")), "its effect of 0.0084 is better than 0"),
        (replace(FINDING, verdict="contradicted", claim=LOWER), "its effect of -0.0084 is worse than 0"),
        (replace(FINDING, verdict="inconclusive", claim=OPEN), "its p is 0.4"),
        (replace(FINDING, sentence="Between A and B the comparison is undecided."), "its claim is supported"),
        (replace(FINDING, sentence="There is no difference that matters."), "its claim is supported"),
        (replace(FINDING, sentence=SENTENCE.replace("1.38", "1.39")), "hold 1.39"),
        (replace(FINDING, sentence=SENTENCE.replace("n = 3", "n = 5")), "hold 5"),
    ],
)
def test_words_that_do_not_follow_are_told(finding: Finding, says: str) -> None:
    assert says in contradiction(finding, FACTS)


def test_digits_of_names_need_no_source() -> None:
    assert contradiction(replace(FINDING, sentence=SENTENCE.replace("B", "MobileNetV3-Small, int8")), FACTS) == ""
