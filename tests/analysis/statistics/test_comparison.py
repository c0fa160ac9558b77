from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from analysis.results import Judged
from analysis.statistics.comparison import (
    adjusted,
    compare,
    detectable_effect,
    difference_squares,
    holm,
    mcnemar,
    power_analysis,
)
from analysis.statistics.crossed import Chance, assumed, over_networks, over_recipes, seeds_needed
from analysis.subjects.effects import _seeds_wanted


def generator() -> np.random.Generator:
    return np.random.default_rng(7)


def outcomes(only_a: int, only_b: int, both: int) -> tuple[np.ndarray, np.ndarray]:
    a = np.repeat([True, False, True], [only_a, only_b, both])
    b = np.repeat([False, True, True], [only_a, only_b, both])
    return a, b


def exact_p(only_a: np.ndarray, only_b: np.ndarray) -> np.ndarray:
    """Two-sided sign test of the discordant pairs."""
    return np.minimum(1, 2 * stats.binom.cdf(np.minimum(only_a, only_b), only_a + only_b, 0.5))


@pytest.mark.parametrize(("only_a", "only_b"), [(3, 12), (12, 3), (6, 0), (40, 44)])
def test_mcnemar_is_the_sign_test_of_the_discordant_images(only_a: int, only_b: int) -> None:
    p = mcnemar(*outcomes(only_a, only_b, both=50))
    assert p == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)


def test_mcnemar_of_equal_classifiers_finds_nothing() -> None:
    assert mcnemar(*outcomes(0, 0, both=20)) == 1.0


def test_interval_of_one_pair_agrees_with_the_r_package_statpsych() -> None:
    found = compare(*(side[None] for side in outcomes(26, 4, both=18)))  # ci.prop.ps(.05, 12, 4, 26, 6)
    assert (found.low, found.high) == pytest.approx((0.2548067, 0.6251933), abs=1e-7)


def test_interval_of_one_pair_covers_the_true_difference_as_often_as_it_says() -> None:
    counts = generator().multinomial(500, [0.06, 0.03, 0.91], size=1000)
    found = [compare(*(side[None] for side in outcomes(int(a), int(b), int(rest)))) for a, b, rest in counts]
    assert 0.93 < np.mean([each.low <= 0.03 <= each.high for each in found]) < 0.97


def test_equal_classifiers_still_have_an_interval() -> None:
    for seeds in (1, 3):
        same = np.ones((seeds, 100), dtype=bool)
        found = compare(same, same)
        assert -0.05 < found.low < 0 < found.high < 0.05
        assert found.p == 1.0


def test_holm_multiplies_by_the_hypotheses_left_and_never_decreases() -> None:
    adjusted = holm([0.01, 0.04, 0.03, 0.005])
    assert adjusted == pytest.approx([0.01 * 3, 0.03 * 2, 0.03 * 2, 0.005 * 4])
    assert holm([0.7, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


def test_at_most_so_many_true_hypotheses_cost_no_more_than_that() -> None:
    """Of four tests at most two null hypotheses are true: factors 2, 2, 2, 1 (Shaffer 1986)."""
    adjusted = holm([0.01, 0.04, 0.03, 0.005], at_most=2)
    assert adjusted == pytest.approx([0.02, 0.06, 0.06, 0.01])


@pytest.mark.parametrize(("rate", "images", "alpha"), [(0.06, 2000, 0.05), (0.045, 10_000, 0.05 / 17)])
def test_detectable_effect_is_found_with_the_promised_power(rate: float, images: int, alpha: float) -> None:
    effect = detectable_effect(rate, images, alpha)
    shares = [(rate + effect) / 2, (rate - effect) / 2, 1 - rate]
    only_a, only_b, _ = generator().multinomial(images, shares, size=4000).T
    power = (exact_p(only_a, only_b) < alpha).mean()
    assert power == pytest.approx(0.8, abs=0.04)  # the exact test is a little conservative


def test_detectable_effect_inverts_the_sample_size_formula() -> None:
    effect, za, zb = detectable_effect(0.08, 1000, alpha=0.01), 2.575829, 0.841621
    pairs = (za * np.sqrt(0.08) + zb * np.sqrt(0.08 - effect**2)) ** 2 / effect**2
    assert pairs == pytest.approx(1000, rel=1e-5)


def test_full_agreement_is_not_perfect_power() -> None:
    effect = detectable_effect(0.0, 1000, 0.05)
    changed = generator().binomial(1000, effect, size=4000)
    assert (exact_p(changed, np.zeros_like(changed)) < 0.05).mean() == pytest.approx(0.8, abs=0.05)


def test_a_handful_of_images_detects_nothing_less_than_everything() -> None:
    assert detectable_effect(0.5, 1, 0.05) == 1.0


def test_one_seed_is_compared_by_mcnemar_and_says_nothing_of_recipes() -> None:
    treated, control = (side[None] for side in outcomes(12, 3, both=85))
    found = compare(treated, control, retrained=True)
    assert found.difference == pytest.approx(0.09)
    assert found.p == pytest.approx(stats.binomtest(3, 15).pvalue)
    assert (found.about, found.test, found.seeds, found.images) == ("networks", "exact McNemar test", 1, 100)


def two_sides(seeds: int, images: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    rng = generator()
    return rng.random((seeds, images)) < 0.95, rng.random((seeds, images)) < 0.93


@pytest.mark.parametrize(("seeds", "retrained", "about"), [(2, True, "networks"), (3, True, "recipes"),
                                                           (3, False, "networks")])  # fmt: skip
def test_recipes_need_three_trainings_of_both_sides(seeds: int, retrained: bool, about: str) -> None:
    assert compare(*two_sides(seeds), retrained=retrained).about == about


def test_recipes_are_compared_over_seeds_and_images() -> None:
    treated, control = two_sides(3)
    squares, chance = difference_squares(treated, control), Chance(2.0, 20.0, 10.0)
    found, expected = compare(treated, control, True, chance, margin=0.01), over_recipes(squares, chance)
    assert found.difference == pytest.approx(treated.mean() - control.mean())
    assert (found.low, found.high) == (expected.interval().low, expected.interval().high)
    assert (found.p, found.p_equivalence) == (expected.p, expected.p_equivalence(0.01))


def test_chance_in_training_widens_what_is_said_of_recipes_alone() -> None:
    treated, control = two_sides(3)
    calm, wild = (compare(treated, control, True, Chance(spread, 20.0, 10.0)) for spread in (1.0, 9.0))
    assert wild.high - wild.low > 2 * (calm.high - calm.low)
    same = (compare(treated, control, False, Chance(spread, 20.0, 10.0)) for spread in (1.0, 9.0))
    assert len({(each.low, each.high) for each in same}) == 1


def test_swapping_the_arms_turns_the_sign() -> None:
    for a, b in ([side[None] for side in outcomes(12, 3, both=85)], two_sides(3)):
        forward, backward = compare(a, b, True), compare(b, a, True)
        assert backward.difference == pytest.approx(-forward.difference)
        assert (backward.low, backward.high) == pytest.approx((-forward.high, -forward.low))
        assert backward.p == pytest.approx(forward.p)


def test_what_was_trained_once_tells_what_three_trainings_would_detect() -> None:
    treated, control = (side[None] for side in outcomes(240, 210, both=9550))
    seen = power_analysis(treated, control, True, None, per_seed=9.0, alpha=0.05 / 17)
    error = np.sqrt((0.045 / 10_000 + 2 * 0.0015**2) / 3)
    nominal = (stats.t.ppf(1 - 0.025 / 17, 18) + stats.norm.ppf(0.8)) * error
    assert seen.detectable == pytest.approx(nominal, rel=0.02)
    assert seen.seeds is not None and seen.seeds > 3


def test_seeds_are_counted_apart_for_what_matters_and_for_what_was_seen() -> None:
    treated, control = (side[None] for side in outcomes(250, 200, both=9550))
    seen = power_analysis(treated, control, True, None, per_seed=9.0, alpha=0.01)
    squares = difference_squares(treated, control)
    matters, needed = (seeds_needed(squares, assumed(squares, 9), size, 0.01) for size in (0.003, abs(squares.mean)))
    assert (seen.matters, seen.seeds, seen.equivalent) == (matters, needed, None) and matters != needed
    assert power_analysis(control, treated, True, None, per_seed=9.0, alpha=0.01) == seen
    assert power_analysis(treated, control, True, None, 9.0, 0.01, margin=squares.mean).matters == needed
    judged = Judged("treated", "control", compare(treated, control), 0.5, 0.5, True, power=seen)
    assert _seeds_wanted(judged) == matters


def test_seeds_for_equivalence_give_two_one_sided_tests_their_power() -> None:
    treated, control = (side[None] for side in outcomes(101, 99, both=9800))
    seen = power_analysis(treated, control, True, None, per_seed=9.0, alpha=0.01, margin=0.0035)
    seeds = np.arange(3, 1000)
    error, critical = np.sqrt((0.02 / 10_000 + 2 * 0.0015**2) / seeds), stats.t.ppf(1 - 0.01, 9 * (seeds - 1))
    found = [stats.nct.sf(critical, 9 * (seeds - 1), (0.0035 + sign * 0.0002) / error) for sign in (-1, 1)]
    assert seen.equivalent == seeds[sum(found) - 1 >= 0.8][0]


def test_what_trains_nothing_asks_for_no_seeds() -> None:
    treated, control = (side[None] for side in outcomes(12, 3, both=985))
    one = power_analysis(treated, control, False, None, 1.0, 0.05)
    assert (one.detectable, one.seeds) == (detectable_effect(0.015, 1000, 0.05), None)
    three = power_analysis(*two_sides(3), False, None, 1.0, 0.05)
    expected = over_networks(difference_squares(*two_sides(3))).standard_error * (1.959964 + 0.841621)
    assert three.detectable == pytest.approx(expected)


def test_difference_and_equivalence_are_adjusted_as_one_family() -> None:
    one = compare(*two_sides(3), retrained=True)
    family = [replace(one, p=0.01, p_equivalence=0.9), replace(one, p=0.5, p_equivalence=0.02)]
    assert adjusted(family) == [(pytest.approx(0.02), pytest.approx(1.0)), (pytest.approx(1.0), pytest.approx(0.04))]
    assert adjusted([]) == []
