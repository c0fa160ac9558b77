"""Whether voting makes confidence better calibrated."""

from __future__ import annotations

import math

import pytest

from analysis.statistics.crossed import Estimate
from analysis.subjects.calibration import ensemble_finding


@pytest.mark.parametrize(
    ("difference", "verdict", "words"),
    [(-0.02, "supported", "is better calibrated than its members"),
     (0.02, "contradicted", "is worse calibrated than its members"),
     (0.001, "inconclusive", "is not detectably better or worse calibrated than its members")],
)  # fmt: skip
def test_a_smaller_calibration_error_is_better(difference: float, verdict: str, words: str) -> None:
    estimate, surplus = Estimate(difference, 0.002, math.inf), Estimate(-0.03, 0.005, math.inf)
    told = ensemble_finding(estimate, 0.05 + difference, 0.05, surplus, "the mean")
    assert told.verdict == verdict and words in told.sentence
    assert f"its calibration error is {5 + 100 * difference:.2f} %, theirs 5.00 % on average" in told.sentence
    assert "less its accuracy is −3.00 points (95 % CI −3.98 to −2.02)" in told.sentence
