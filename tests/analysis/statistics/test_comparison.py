import time
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from analysis.statistics.comparison import (
    bootstrap_difference,
    compare,
    detectable_effect,
    holm,
    mcnemar,
    paired_interval,
    seeds_needed,
)
from study.errors import StudyError
from tests.outcomes import predictions_with


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def outcomes(only_a: int, only_b: int, both: int) -> tuple[np.ndarray, np.ndarray]:
    a = np.repeat([True, False, True], [only_a, only_b, both])
    b = np.repeat([False, True, True], [only_a, only_b, both])
    return a, b


def random_difference(seeds: int, images: int) -> np.ndarray:
    return generator().choice([-1.0, 0.0, 1.0], p=[0.05, 0.85, 0.10], size=(seeds, images))


def exact_p(only_a: np.ndarray, only_b: np.ndarray) -> np.ndarray:
    """Two-sided sign test of the discordant pairs."""
    return np.minimum(1, 2 * stats.binom.cdf(np.minimum(only_a, only_b), only_a + only_b, 0.5))


@pytest.mark.parametrize(("only_a", "only_b"), [(3, 12), (12, 3), (6, 0), (40, 44)])
def test_mcnemar_is_the_sign_test_of_the_discordant_images(only_a: int, only_b: int) -> None:
    *counts, p = mcnemar(*outcomes(only_a, only_b, both=50))
    assert counts == [only_a, only_b]
    assert p == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)


def test_mcnemar_of_equal_classifiers_finds_nothing() -> None:
    assert mcnemar(*outcomes(0, 0, both=20))[-1] == 1.0


def test_paired_interval_agrees_with_the_r_package_statpsych() -> None:
    interval = paired_interval(26, 4, 48)  # ci.prop.ps(.05, 12, 4, 26, 6)
    assert (interval.low, interval.high) == pytest.approx((0.2548067, 0.6251933), abs=1e-7)


def test_paired_interval_covers_the_true_difference_as_often_as_it_says() -> None:
    counts = generator().multinomial(500, [0.06, 0.03, 0.91], size=4000)
    intervals = [paired_interval(int(a), int(b), 500) for a, b, _ in counts]
    covered = np.mean([interval.low <= 0.03 <= interval.high for interval in intervals])
    assert 0.94 < covered < 0.965


def test_paired_interval_of_equal_classifiers_still_has_width() -> None:
    interval = paired_interval(0, 0, 100)
    assert -0.05 < interval.low < 0 < interval.high < 0.05


def test_bootstrap_of_one_seed_agrees_with_scipy() -> None:
    difference = random_difference(1, 400)
    ours = bootstrap_difference(difference, generator(), resamples=20_000)
    theirs = stats.bootstrap(difference, np.mean, n_resamples=20_000, batch=1000, method="percentile", rng=generator())
    expected = (theirs.confidence_interval.low, theirs.confidence_interval.high)
    assert (ours.low, ours.high) == pytest.approx(expected, abs=0.0026)  # one image is 0.0025
    assert ours.standard_error == pytest.approx(theirs.standard_error, rel=0.03)


def test_bootstrap_variance_is_that_of_drawing_seeds_and_images_independently() -> None:
    difference = random_difference(4, 60) + np.array([[0.0], [0.1], [0.0], [-0.1]])

    def second_moment(size: int) -> np.ndarray:
        """E[w wᵀ] of weights w = multinomial counts / size."""
        ones = np.full((size, size), 1 / size**2)
        return ones + (np.eye(size) / size - ones) / size

    expected_square = np.sum(second_moment(4) @ difference @ second_moment(60) * difference)
    variance = expected_square - difference.mean() ** 2
    result = bootstrap_difference(difference, generator(), resamples=20_000)
    assert result.standard_error == pytest.approx(np.sqrt(variance), rel=0.03)


def test_images_shared_by_the_seeds_do_not_average_out() -> None:
    one = random_difference(1, 500)
    alone = bootstrap_difference(one, generator(), resamples=5000)
    repeated = bootstrap_difference(np.repeat(one, 3, axis=0), generator(), resamples=5000)
    assert repeated.standard_error == pytest.approx(alone.standard_error, rel=0.05)


def test_bootstrap_interval_covers_zero_at_least_as_often_as_it_says() -> None:
    rng = generator()
    samples = (rng.choice([-1.0, 0.0, 1.0], p=[0.05, 0.9, 0.05], size=(3, 300)) for _ in range(200))
    results = [bootstrap_difference(sample, rng, resamples=500) for sample in samples]
    assert np.mean([result.low <= 0 <= result.high for result in results]) >= 0.95


@pytest.mark.parametrize(("share", "found"), [(0.03, False), (0.04, False), (0.08, True), (0.10, True)])
def test_bootstrap_p_and_interval_reach_the_same_verdict(share: float, found: bool) -> None:
    difference = np.repeat([-1.0, 1.0, 0.0], [30, round(1000 * share), 970 - round(1000 * share)])
    result = bootstrap_difference(difference[None], generator(), resamples=3999)
    assert (result.p < 0.05) == (result.low > 0) == found


def test_bootstrap_p_is_never_zero() -> None:
    assert bootstrap_difference(np.ones((1, 50)), generator(), resamples=999).p == pytest.approx(2 / 1000)


def test_bootstrap_of_no_difference_is_certain_of_none() -> None:
    result = bootstrap_difference(np.zeros((3, 50)), generator())
    assert (result.low, result.high, result.p, result.standard_error) == (0.0, 0.0, 1.0, 0.0)


def test_bootstrap_repeats_with_the_same_generator_and_ignores_the_order_of_images() -> None:
    difference = random_difference(3, 200)
    shuffled = generator().permutation(difference, axis=1)
    assert bootstrap_difference(difference, generator()) == bootstrap_difference(shuffled, generator())


def test_bootstrap_of_distinct_values_draws_every_resample() -> None:
    half = generator().random(1500)
    symmetric = np.concatenate([half, -half])[None]  # as many resampled means above zero as below
    assert bootstrap_difference(symmetric, generator(), resamples=1500).p > 0.9


def test_bootstrap_of_distinct_values_agrees_with_scipy() -> None:
    difference = generator().exponential(size=(1, 1500))
    ours = bootstrap_difference(difference, generator(), resamples=4000)
    theirs = stats.bootstrap(difference, np.mean, n_resamples=4000, batch=500, method="percentile", rng=1)
    expected = (theirs.confidence_interval.low, theirs.confidence_interval.high)
    assert (ours.low, ours.high) == pytest.approx(expected, abs=0.1 * theirs.standard_error)
    assert ours.standard_error == pytest.approx(theirs.standard_error, rel=0.04)


def test_bootstrap_of_a_whole_test_set_takes_less_than_a_second() -> None:
    difference = random_difference(3, 10_000)
    start = time.process_time()
    bootstrap_difference(difference, generator(), resamples=2000)
    assert time.process_time() - start < 1


def test_holm_multiplies_by_the_hypotheses_left_and_never_decreases() -> None:
    adjusted = holm([0.01, 0.04, 0.03, 0.005])
    assert adjusted == pytest.approx([0.01 * 3, 0.03 * 2, 0.03 * 2, 0.005 * 4])
    assert holm([0.7, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


@pytest.mark.parametrize(("rate", "images", "seeds"), [(0.06, 2000, 1), (0.05, 800, 3)])
def test_detectable_effect_is_found_with_the_promised_power(rate: float, images: int, seeds: int) -> None:
    effect = detectable_effect(rate, images, seeds)
    shares = [(rate + effect) / 2, (rate - effect) / 2, 1 - rate]
    only_a, only_b, _ = generator().multinomial(images * seeds, shares, size=4000).T
    power = (exact_p(only_a, only_b) < 0.05).mean()
    assert power == pytest.approx(0.8, abs=0.04)  # the exact test is a little conservative


def test_detectable_effect_inverts_the_sample_size_formula() -> None:
    effect, za, zb = detectable_effect(0.08, 1000, alpha=0.01, power=0.9), 2.575829, 1.281552
    pairs = (za * np.sqrt(0.08) + zb * np.sqrt(0.08 - effect**2)) ** 2 / effect**2
    assert pairs == pytest.approx(1000, rel=1e-5)


def test_full_agreement_is_not_perfect_resolution() -> None:
    effect = detectable_effect(0.0, 1000)
    changed = generator().binomial(1000, effect, size=4000)
    assert (exact_p(changed, np.zeros_like(changed)) < 0.05).mean() == pytest.approx(0.8, abs=0.05)


def test_a_handful_of_images_detects_nothing_less_than_everything() -> None:
    assert detectable_effect(0.5, 1) == 1.0


@pytest.mark.parametrize(("effect", "sd"), [(0.004, 0.0015), (-0.002, 0.002), (0.001, 0.0015)])
def test_seeds_needed_agrees_with_solving_the_power_equation(effect: float, sd: float) -> None:
    solved = TTestPower().solve_power(abs(effect) / sd, alpha=0.05, power=0.8)
    assert seeds_needed(effect, sd) == int(np.ceil(solved))


def test_two_seeds_are_needed_however_large_the_effect() -> None:
    assert seeds_needed(0.5, 0.0) == 2
    assert seeds_needed(0.5, 1e-9) == 2


def test_no_number_of_seeds_finds_an_effect_of_zero() -> None:
    with pytest.raises(ValueError, match="zero"):
        seeds_needed(0.0, 0.001)


def test_one_seed_is_compared_by_mcnemar() -> None:
    treated, control = outcomes(12, 3, both=85)
    result = compare([predictions_with(treated)], [predictions_with(control)], generator())
    interval = paired_interval(12, 3, 100)
    assert result.difference == pytest.approx(0.09)
    assert (result.low, result.high) == (interval.low, interval.high)
    assert result.p == pytest.approx(stats.binomtest(3, 15).pvalue)
    assert result.seeds == 1
    assert result.detectable == detectable_effect(0.15, 100)
    strict = compare([predictions_with(treated)], [predictions_with(control)], generator(), alpha=0.005)
    assert strict.detectable == detectable_effect(0.15, 100, alpha=0.005) > result.detectable


def test_differences_too_small_to_be_believed_are_not_detectable() -> None:
    treated, control = outcomes(12, 3, both=985)
    pair = [predictions_with(treated)], [predictions_with(control)]
    plain, wary = compare(*pair, generator()), compare(*pair, generator(), believed=0.02)
    assert wary.detectable == pytest.approx(0.02 + stats.norm.ppf(0.8) * np.sqrt(0.015 / 1000))
    assert wary.detectable > plain.detectable == compare(*pair, generator(), believed=0.001).detectable


def test_several_seeds_are_compared_by_bootstrap() -> None:
    rng = generator()
    treated, control = rng.random((3, 1000)) < 0.95, rng.random((3, 1000)) < 0.85
    result = compare([predictions_with(c) for c in treated], [predictions_with(c) for c in control], generator())
    expected = bootstrap_difference(treated.astype(float) - control, generator(), 10_000)
    assert result.difference == pytest.approx(treated.mean() - control.mean())
    assert (result.low, result.high, result.p) == (expected.low, expected.high, expected.p)
    assert result.low < result.difference < result.high
    assert result.detectable == pytest.approx((1.959964 + 0.841621) * expected.standard_error, rel=1e-6)
    assert result.seeds == 3


def test_equal_runs_do_not_claim_perfect_resolution() -> None:
    runs = [predictions_with(np.arange(100) < 90)] * 3
    result = compare(runs, runs, generator())
    assert (result.difference, result.p) == (0.0, 1.0)
    assert result.detectable > 0.02


def test_swapping_the_arms_turns_the_sign() -> None:
    a, b = ([predictions_with(c)] for c in outcomes(12, 3, both=85))
    forward, backward = compare(a, b, generator()), compare(b, a, generator())
    assert backward.difference == pytest.approx(-forward.difference)
    assert (backward.low, backward.high) == pytest.approx((-forward.high, -forward.low))
    assert backward.p == forward.p


def test_different_images_are_not_compared() -> None:
    run = predictions_with([True, False, True])
    with pytest.raises(StudyError, match="different test images"):
        compare([run], [replace(run, indices=run.indices[::-1])], generator())
    with pytest.raises(StudyError, match="different test images"):
        compare([run], [replace(run, labels=1 - run.labels)], generator())


def test_different_numbers_of_seeds_are_not_paired() -> None:
    run = predictions_with([True, False, True])
    with pytest.raises(StudyError, match="2 seeds with 1"):
        compare([run, run], [run], generator())
    with pytest.raises(StudyError, match="0 seeds"):
        compare([], [], generator())
