"""The statistics keep their promises where the truth is known: a small version of ``python -m analysis.simulation``."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.simulation import World, false, judged, plan, power, scores, studies, verdicts
from analysis.statistics.comparison import MARGIN

STUDIES = 60


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("shift", [0.0, 0.01])
def test_three_seeds_cover_the_truth_and_seldom_find_what_is_not_there(shift: float, rng: np.random.Generator) -> None:
    rates = verdicts(World(images=1000, seeds=3, shift=shift), STUDIES, rng)
    assert 0.93 < rates["coverage"] < 0.975
    assert 0.025 < rates["positives"] < 0.07
    assert 0.93 < rates["networks"] < 0.97
    assert 0.92 < rates["accuracy"] < 0.98
    assert rates["studies"] <= 0.05 and rates["at the margin"] <= 0.05


def test_recipes_that_vary_more_than_others_are_seldom_found_better(rng: np.random.Generator) -> None:
    """Pooled as if all varied alike, an eighth of such studies had a false verdict."""
    world = World(seeds=3, shift=0.0015, wild=0.008)
    found = [any(false(world, each) for each in judged(study)) for study in studies(world, 2 * STUDIES, rng)]
    assert np.mean(found) <= 0.1


def test_one_seed_finds_nothing_about_recipes(rng: np.random.Generator) -> None:
    for study in studies(World(images=1000, seeds=1, shift=0.02), 10, rng):
        assert all(each.verdict == "inconclusive" for each in judged(study) if each.retrained)


def test_the_detectable_effect_is_found_in_four_of_five_studies(rng: np.random.Generator) -> None:
    rates = power(World(images=1000, seeds=3, shift=0.005), 100, rng)
    assert rates["power"] == pytest.approx(0.8, abs=0.12)  # three standard errors


def test_scores_of_confidence_are_tested_at_their_level(rng: np.random.Generator) -> None:
    rates = scores(World(images=1000, seeds=1), 100, rng)
    assert rates["AURC"] < 0.12 and rates["T"] < 0.12  # three standard errors
    assert rates["AUROC"] > 0.88 and rates["ECE"] > 0.88


def test_a_verdict_is_false_where_the_truth_is_another(rng: np.random.Generator) -> None:
    """A gain of forty times what matters is found, and only its absence makes the verdict false."""
    key = "level5/student"
    gaining = World(images=2000, seeds=3, gains={key: 40 * MARGIN})
    (study,) = studies(gaining, 1, rng)
    each = next(each for each in judged(study) if each.key == key)
    assert each.verdict == "supported"
    assert not false(gaining, each) and false(World(), each)
    assert key in {treated for treated, _, _ in plan()}
