"""The temperature and the abstention threshold, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from study.errors import StudyError
from study.metrics.calibration import choose_abstention, fit_temperature


def test_temperature_brings_confidence_to_the_accuracy() -> None:
    # Two classes, margin 4, right in 3 of 4: the best p is 0.75 = 1 / (1 + exp(-4 / T)), so T = 4 / ln 3.
    logits, labels = np.tile([4.0, 0.0], (8, 1)), np.array([0, 0, 0, 1] * 2)
    assert fit_temperature(logits, labels) == pytest.approx(4 / np.log(3), rel=1e-4)


def test_temperature_scales_with_the_logits() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 5)).astype(np.float32), rng.integers(0, 5, 200)
    logits[np.arange(200), labels] += 1
    assert fit_temperature(3 * logits, labels) == pytest.approx(3 * fit_temperature(logits, labels), rel=1e-3)


def test_temperature_without_images_is_reported() -> None:
    with pytest.raises(StudyError, match="needs validation predictions"):
        fit_temperature(np.empty((0, 3)), np.empty(0, dtype=int))


def test_threshold_is_the_lowest_that_keeps_the_risk() -> None:
    # 100 images, confidence 1.00, 0.99, ... 0.01. Errors at ranks 60 and 80: answering 79 has risk
    # 1/79 < 2 %, answering 80 to 99 has 2/80 ... 2/99 > 2 %, answering all 100 has 2/100 = 2 %.
    confidence = np.arange(100, 0, -1) / 100
    correct = ~np.isin(np.arange(1, 101), (60, 80))
    everything = choose_abstention(confidence, correct)
    assert (everything.threshold, everything.coverage, everything.risk) == (0.01, 1.0, 0.02)
    correct[89] = False  # rank 90: now 3/100, and the lowest that holds is rank 79 with confidence 0.22
    fewer = choose_abstention(confidence, correct)
    assert (fewer.threshold, fewer.coverage, fewer.risk) == (0.22, 0.79, 1 / 79)
    assert "at most 2 %" in fewer.rule


def test_threshold_falls_back_to_ninety_percent_coverage() -> None:
    confidence, correct = np.arange(100, 0, -1) / 100, np.arange(100) % 2 == 0
    chosen = choose_abstention(confidence, correct)
    assert (chosen.threshold, chosen.coverage, chosen.risk) == (0.11, 0.9, 0.5)
    assert "90 %" in chosen.rule


def test_threshold_never_splits_images_of_equal_confidence() -> None:
    confidence = np.array([0.9, 0.9, 0.9, 0.5])
    chosen = choose_abstention(confidence, np.array([True, True, True, False]))
    assert (chosen.threshold, chosen.coverage, chosen.risk) == (0.9, 0.75, 0.0)
    assert choose_abstention(confidence, np.array([True, False, True, True])).coverage == 1.0


def test_images_are_taken_in_any_order() -> None:
    rng = np.random.default_rng(0)
    confidence, correct = rng.random(50), rng.random(50) < 0.9
    order = rng.permutation(50)
    assert choose_abstention(confidence[order], correct[order]) == choose_abstention(confidence, correct)
