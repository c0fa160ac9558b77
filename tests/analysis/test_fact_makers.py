"""Facts by unit."""

from __future__ import annotations

from analysis.fact_makers import (
    count_fact,
    interval_fact,
    milliseconds_fact,
    number_fact,
    percent_fact,
    points_fact,
    text_fact,
)


def test_each_unit_prints_in_its_own_way() -> None:
    printed = [
        percent_fact("a", 0.91337, "f").text,
        points_fact("a", -0.0084, "f").text,
        interval_fact("a", 0.9, 0.92, "f").text,
        count_fact("a", 10_000, "f").text,
        number_fact("a", 0.12345, "f").text,
        milliseconds_fact("a", 1.4, "f").text,
        text_fact("a", "cat", "f").text,
    ]
    assert printed == ["91.34 %", "−0.84 points", "90.00 to 92.00 %", "10,000", "0.123", "1.40 ms", "cat"]


def test_value_stays_raw_and_origin_is_kept() -> None:
    fact = percent_fact("accuracy/x", 0.91337, "analysis.statistics.accuracy.summarise", ("x/seed-0",))
    assert (fact.value, fact.unit, fact.function, fact.runs) == (
        0.91337, "percent", "analysis.statistics.accuracy.summarise", ("x/seed-0",)
    )  # fmt: skip
