"""Facts by unit, and functions that say what they make."""

from __future__ import annotations

import pytest

from analysis import evidence
from analysis.evidence import MAKES, Origin
from analysis.statistics.comparison import summarise
from study.records import Predictions


def test_each_unit_prints_in_its_own_way() -> None:
    made = Origin("f")
    printed = [
        made.percent("a", 0.91337).text,
        made.points("a", -0.0084).text,
        made.interval("a", 0.9, 0.92).text,
        made.count("a", 10_000).text,
        made.number("a", 0.12345).text,
        made.milliseconds("a", 1.4).text,
        made.megabytes("a", 1_600_000).text,
        made.duration("a", 5400).text,
        made.text("a", "cat").text,
    ]
    assert printed == [
        "91.34 %", "−0.84 points", "90.00 to 92.00 %", "10,000", "0.123", "1.40 ms", "1.60 MB", "1.5 h", "cat"
    ]  # fmt: skip


def test_value_stays_raw_and_origin_is_kept() -> None:
    fact = Origin(summarise, ("x/seed-0",)).percent("accuracy/x", 0.91337)
    assert (fact.value, fact.unit, fact.function, fact.runs) == (
        0.91337, "percent", "analysis.statistics.comparison.summarise", ("x/seed-0",)
    )  # fmt: skip
    assert Origin(Predictions.accuracy).function == "study.records.Predictions.accuracy"


@pytest.mark.parametrize("what", ["facts", "findings", "table", "figure"])
def test_decorator_marks_a_function_and_leaves_it_as_it_is(what: str) -> None:
    def maker() -> int:
        return 1

    assert getattr(evidence, what)(maker) is maker
    assert getattr(maker, MAKES) == what
