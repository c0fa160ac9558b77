"""Seeds × images: variances, what recipes share, and what more seeds would show."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import ttost_paired

from analysis.statistics.crossed import (
    MANY_SEEDS,
    MIN_SEEDS,
    SEED_SD,
    Chance,
    Estimate,
    MeanSquares,
    assumed,
    chance_of,
    degrees_together,
    over_networks,
    over_recipes,
    planned,
    pooled,
    prior_degrees,
    seeds_for_equivalence,
    seeds_needed,
)


def values(seeds: int = 4, images: int = 30) -> np.ndarray:
    return np.random.default_rng(7).normal(0.1, 1.0, (seeds, images))


def test_mean_squares_are_those_of_statsmodels() -> None:
    table = values()
    seed, image = (index.ravel() for index in np.indices(table.shape))
    frame = pd.DataFrame({"y": table.ravel(), "seed": seed, "image": image})
    expected = anova_lm(ols("y ~ C(seed) + C(image)", frame).fit())["mean_sq"]
    found = MeanSquares.of(table)
    assert found.between_seeds == pytest.approx(expected["C(seed)"])
    assert found.between_images == pytest.approx(expected["C(image)"])
    assert found.interaction == pytest.approx(expected["Residual"])


def test_networks_at_hand_vary_with_the_images_alone() -> None:
    table = values()
    estimate = over_networks(MeanSquares.of(table))
    assert estimate.standard_error == pytest.approx(table.mean(axis=0).std() / math.sqrt(30))
    shifted = over_networks(MeanSquares.of(table + np.arange(4)[:, None]))
    assert shifted.standard_error == pytest.approx(estimate.standard_error)


def test_recipes_vary_with_seeds_and_images() -> None:
    """The variance that the analysis of variance gives: (images + seeds - interaction) / (S N)."""
    squares = MeanSquares.of(values() + np.random.default_rng(1).normal(0, 1, 30))
    expected = (squares.between_images + squares.between_seeds - squares.interaction) / (4 * 30)
    assert over_recipes(squares, squares.own).standard_error == pytest.approx(math.sqrt(expected))


def test_where_images_show_nothing_of_their_own_the_reference_is_that_of_the_seeds() -> None:
    squares = MeanSquares(0.1, 0.9, 2.0, 1.0, seeds=4, images=30)
    estimate = over_recipes(squares, Chance(2.0, 12.5, 4.0))
    assert (estimate.degrees, estimate.standard_error) == (pytest.approx(12.5), pytest.approx(math.sqrt(2 / 120)))


def test_comparisons_that_share_an_experiment_tell_less_together() -> None:
    assert degrees_together({("a", "b"): 2, ("c", "d"): 2}) == 4
    # Two that share an arm: (2 + 2)² / (2 + 2 + 2 · 2/4).
    assert degrees_together({("a", "x"): 2, ("b", "x"): 2}) == pytest.approx(16 / 5)


def test_degrees_of_freedom_are_those_of_the_pooled_variance() -> None:
    """A variance with d degrees of freedom scatters by sqrt(2 / d) of itself."""
    rng = np.random.default_rng(3)
    control, treated = rng.normal(size=(4000, 1, 3)), rng.normal(size=(4000, 5, 3))
    variance = (treated - control).var(axis=2, ddof=1).mean(axis=1)
    expected = degrees_together({(name, "control"): 2 for name in "abcde"})
    assert 2 * (variance.mean() / variance.std()) ** 2 == pytest.approx(expected, rel=0.1)


def test_chance_is_pooled_over_what_was_repeated() -> None:
    one, other = MeanSquares(0, 1, 3.0, 1.0, 3, 100), MeanSquares(0, 1, 1.0, 0.5, 2, 100)
    chance = pooled({("a", "b"): one, ("c", "d"): other, ("e", "f"): MeanSquares.of(values(seeds=1))})
    assert chance is not None
    assert chance.overdispersion == pytest.approx((2 * 3.0 + 1 * 2.0) / 3)
    assert chance.degrees == pytest.approx(9 / 3)
    assert pooled({("e", "f"): MeanSquares.of(values(seeds=1))}) is None


@pytest.mark.parametrize("prior", [1.0, 3.0, 6.0])
def test_prior_degrees_are_found_again_where_variances_are_drawn_with_them(prior: float) -> None:
    """The model of Smyth 2004: a comparison's variance is prior degrees × a constant / a draw of chi square."""
    rng = np.random.default_rng(5)
    true = prior * 2.0 / rng.chisquare(prior, 20_000)
    assert prior_degrees([Chance(each, 2, 1) for each in true * rng.chisquare(2, 20_000) / 2]) == pytest.approx(
        prior, rel=0.15
    )


def test_variances_that_differ_by_chance_alone_are_pooled() -> None:
    alike = np.random.default_rng(6).chisquare(2, (200, 17))
    found = [prior_degrees([Chance(each, 2, 1) for each in study]) for study in alike]
    assert np.mean(np.isinf(found)) > 0.4 and np.median(found) > 10
    assert prior_degrees([Chance(5.0, 2, 1)]) == math.inf


def test_chance_of_a_comparison_lies_between_its_own_and_that_of_all() -> None:
    squares, together = MeanSquares(0.01, 0.045, 9 * 0.045, 0.045, 3, 10_000), Chance(2.0, 20.0, 10.0, prior=3.0)
    found = together.of(squares)
    assert (found.overdispersion, found.degrees) == (pytest.approx((3 * 2.0 + 2 * 9.0) / 5), pytest.approx(5))
    assert together.of(replace(squares, between_seeds=0.0)).overdispersion == pytest.approx(6 / 5)
    assert replace(together, overdispersion=1.1).of(replace(squares, between_seeds=0.0)).overdispersion == 1.0
    assert together.of(squares.with_seeds(1)) == together and replace(together, degrees=4.0).of(squares).degrees == 4
    assert replace(together, prior=math.inf).of(squares).overdispersion == 2.0
    assert found.with_seeds(6).degrees == pytest.approx(3 + 5)
    assert chance_of(squares, together) == found and chance_of(squares, None) == squares.own


def test_interval_and_p_are_students() -> None:
    sample = values()[0]
    estimate = Estimate(float(sample.mean()), float(stats.sem(sample)), 29)
    expected = stats.ttest_1samp(sample, 0)
    assert estimate.p == pytest.approx(expected.pvalue)
    interval = estimate.interval()
    assert (interval.low, interval.high) == pytest.approx(tuple(expected.confidence_interval()))


@pytest.mark.parametrize("margin", [0.1, 0.5])
def test_equivalence_is_two_one_sided_tests(margin: float) -> None:
    sample = values()[0]
    estimate = Estimate(float(sample.mean()), float(stats.sem(sample)), 29)
    expected = ttost_paired(sample, np.zeros(30), -margin, margin)[0]
    assert estimate.p_equivalence(margin) == pytest.approx(expected)


def test_certainty_decides_without_a_variance() -> None:
    nothing, something = Estimate(0.0, 0.0, 5), Estimate(0.2, 0.0, 5)
    assert (nothing.p, something.p) == (1.0, 0.0)
    assert (nothing.p_equivalence(0.1), something.p_equivalence(0.1)) == (0.0, 1.0)


@pytest.mark.parametrize("degrees", [4.0, 30.0, 3000.0])
def test_detectable_effect_has_the_power_it_promises(degrees: float) -> None:
    effect = Estimate(0.0, 0.01, degrees).detectable(alpha=0.01)
    power = TTestPower().power(effect / 0.01 / math.sqrt(degrees + 1), degrees + 1, 0.01, df=degrees)
    assert power == pytest.approx(0.8, abs=0.002)


def test_seeds_needed_is_the_least_number_with_enough_power() -> None:
    squares, chance = MeanSquares(0.004, 0.045, 0.09, 0.045, 3, 10_000), Chance(2.0, 12.0, 6.0)
    needed = seeds_needed(squares, chance, 0.004, alpha=0.003)
    assert needed is not None and needed > MIN_SEEDS
    assert planned(squares, chance, needed).detectable(0.003) <= 0.004
    assert planned(squares, chance, needed - 1).detectable(0.003) > 0.004


def test_no_number_of_seeds_makes_up_for_too_few_images() -> None:
    of_images = MeanSquares(0.004, 3.0, 0.09, 0.045, 3, 1000)
    assert seeds_needed(of_images, of_images.own, 0.004, 0.05) is None
    assert seeds_needed(of_images, of_images.own, 0.0, 0.05) is None


def test_three_seeds_are_needed_however_large_the_effect() -> None:
    squares = MeanSquares(0.4, 0.045, 0.045, 0.045, 3, 10_000)
    assert seeds_needed(squares, Chance(1.0, 12.0, 6.0), 0.4, 0.05) == MIN_SEEDS < MANY_SEEDS


def test_networks_never_repeated_are_assumed_to_vary_as_published() -> None:
    """The variance of one pair's difference is discordant / n + 2 sd²."""
    difference = np.repeat([1.0, -1.0, 0.0], [225, 225, 9550])[None]
    squares = MeanSquares.of(difference)
    variance = planned(squares, assumed(squares, 9.0), 3).standard_error ** 2 * 3
    assert variance == pytest.approx(0.045 / 10_000 + 2 * SEED_SD**2, rel=1e-3)


def test_seeds_to_come_are_as_those_that_were_seen() -> None:
    squares = MeanSquares.of(values(seeds=3) + np.random.default_rng(1).normal(0, 1, 30))
    assert squares.with_seeds(3).between_images == pytest.approx(squares.between_images)
    more = squares.with_seeds(6)
    assert more.of_images / 6 == pytest.approx(squares.of_images / 3)


def test_what_is_not_a_number_has_no_p() -> None:
    assert math.isnan(Estimate(math.nan, math.nan, math.inf).p) and Estimate(0.0, 0.0, math.inf).p == 1.0


@pytest.mark.parametrize("mean", [0.0, 0.5, -0.8])
def test_power_of_equivalence_is_how_often_both_tests_reject(mean: float) -> None:
    rng, margin, n = np.random.default_rng(0), 1.0, 40
    error = 2.0 / math.sqrt(n)
    samples = rng.normal(mean, 2.0, (20_000, n))
    found = (
        np.abs(samples.mean(axis=1)) + stats.t.ppf(0.95, n - 1) * samples.std(axis=1, ddof=1) / math.sqrt(n) < margin
    )
    assert Estimate(mean, error, n - 1).power_of_equivalence(margin, 0.05) == pytest.approx(found.mean(), abs=0.015)


def test_seeds_for_equivalence_have_the_power_that_is_said_where_nothing_differs() -> None:
    squares = MeanSquares(0.0, 0.05, 0.05, 0.05, 3, 10_000)
    chance, alpha = Chance(1.0, 20.0, 10.0), 0.05 / 17
    seeds = seeds_for_equivalence(squares, chance, 0.003, alpha)
    assert seeds is not None
    powers = [planned(squares, chance, each).power_of_equivalence(0.003, alpha) for each in (seeds - 1, seeds)]
    assert powers[0] < 0.8 <= powers[1]
