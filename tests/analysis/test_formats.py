"""How numbers print."""

from __future__ import annotations

import math

import pytest

from analysis import formats


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.5, "0.50"),
        (0.0123, "0.012"),
        (0.001, "0.0010"),
        (0.00099, "< 0.001"),
        (1.0, "1.0"),
        (math.nan, "–"),
    ],
)
def test_p_has_two_significant_digits_or_is_below_a_thousandth(p: float, text: str) -> None:
    assert formats.p_value(p) == text


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.0084, "+0.84"), (-0.0084, "−0.84"), (0.00001, "0.00"), (-0.00001, "0.00")]
)
def test_differences_carry_their_sign_and_a_rounded_zero_none(fraction: float, text: str) -> None:
    assert formats.points(fraction) == text


def test_percent_has_two_decimals() -> None:
    assert formats.percent(0.91337) == "91.34"
    assert formats.percent(1.0) == "100.00"


@pytest.mark.parametrize(("seconds", "text"), [(59.94, "59.9 s"), (90, "1.5 min"), (5400, "1.5 h")])
def test_duration_prints_in_the_unit_a_reader_would_choose(seconds: float, text: str) -> None:
    assert formats.duration(seconds)[2] == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(999, "999"), (1000, "1.00 k"), (27_123, "27.1 k"), (412_345, "412 k"), (3_412_000, "3.41 M")],
)
def test_quantities_have_three_significant_digits(number: float, text: str) -> None:
    assert formats.quantity(number) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.001, "0.001"), (0.0, "0"), (15.0, "15"), (5e-4, "0.0005"), (0.1, "0.1")]
)
def test_settings_print_as_short_as_they_are_exact(value: float, text: str) -> None:
    assert formats.setting(value) == text


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_listing_reads_as_in_a_sentence(names: list[str], text: str) -> None:
    assert formats.listing(names) == text
