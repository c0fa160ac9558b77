"""Families of differences, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.statistics.comparison import difference_squares
from analysis.statistics.contrasts import Contrast, accuracy_contrasts, contrasts
from analysis.statistics.crossed import over_recipes, pooled

RNG = np.random.default_rng(0)
VALUES = {"a": RNG.normal(0.4, 1, (2, 50)), "b": RNG.normal(0.0, 1, (2, 50)), "c": RNG.normal(-1, 1, (1, 30))}


def test_p_values_are_those_of_z_tests_over_images_adjusted_by_holm() -> None:
    found, raw = contrasts(VALUES), []
    for values in VALUES.values():
        image = values.mean(axis=0)
        raw.append(2 * stats.norm.sf(abs(image.mean()) / (image.std() / np.sqrt(len(image)))))
    assert [each.p for each in found.values()] == pytest.approx(multipletests(raw, method="holm")[1])


def test_intervals_hold_the_family_together_by_bonferroni() -> None:
    image = VALUES["a"].mean(axis=0)
    half = stats.norm.ppf(1 - 0.05 / 3 / 2) * image.std() / np.sqrt(50)
    found = contrasts(VALUES)["a"]
    assert (found.low, found.high) == pytest.approx((image.mean() - half, image.mean() + half))


def test_an_interval_that_excludes_zero_goes_with_a_small_p() -> None:
    excluding = [each for each in contrasts(VALUES).values() if each.low > 0 or each.high < 0]
    assert excluding and all(each.p < 0.05 for each in excluding)


def test_a_difference_is_only_as_good_as_its_p() -> None:
    assert [Contrast(d, 0, 0, p).sign for d, p in ((0.1, 0.01), (-0.1, 0.01), (0.1, 0.2))] == [1, -1, 0]


def test_a_family_of_none_is_empty() -> None:
    assert contrasts({}) == {}


def test_accuracies_of_one_seed_are_compared_by_the_exact_test() -> None:
    few, many = np.array([[1.0] * 4 + [0.0]]), np.array([[1.0] * 15 + [-1.0] * 2 + [0.0] * 83])
    found = accuracy_contrasts({"few": few, "many": many})
    raw = [stats.binomtest(4, 4).pvalue, stats.binomtest(15, 17).pvalue]  # McNemar's test, exact
    assert [found["few"].p, found["many"].p] == pytest.approx(multipletests(raw, method="holm")[1])
    assert found["few"].difference == 0.8 and found["few"].p > 0.05


def test_intervals_of_accuracies_add_two_images_and_hold_the_family() -> None:
    image = np.array([1.0] * 15 + [-1.0] * 2 + [0.0] * 83 + [1.0, -1.0])
    half = stats.norm.ppf(1 - 0.05 / 2 / 2) * image.std() / np.sqrt(len(image))  # Bonett & Price 2012
    found = accuracy_contrasts({"a": image[None, :-2], "b": image[None, :-2]})["a"]
    assert (found.low, found.high) == pytest.approx((image.mean() - half, image.mean() + half))
    assert found.difference == pytest.approx(0.13)


def test_several_seeds_are_compared_by_images() -> None:
    values = RNG.integers(-1, 2, (3, 200)).astype(float)
    image = np.append(values.mean(axis=0), [1 / 3, -1 / 3])
    p = 2 * stats.norm.sf(abs(image.mean()) / (image.std() / np.sqrt(202)))
    assert accuracy_contrasts({"a": values})["a"].p == pytest.approx(p)


def _recipes(seeds: int, luck: float, rng: np.random.Generator) -> dict[tuple[str, int], np.ndarray]:
    """Differences in correctness of two equal recipes on ten classes, each training with luck of its own in each."""
    chance = np.clip(rng.beta(8, 0.7, (10, 500)), 0, 1)
    sides = [rng.random((seeds, 10, 500)) < chance + rng.normal(0, luck, (seeds, 10, 1)) for _ in range(2)]
    difference = sides[0].astype(float) - sides[1]
    return {("class", number): difference[:, number] for number in range(10)}


def test_luck_in_training_is_not_taken_for_what_a_recipe_does_to_classes() -> None:
    rng, as_recipes, as_networks, studies = np.random.default_rng(0), 0, 0, 60
    for _ in range(studies):
        values = _recipes(3, 0.02, rng)
        found = accuracy_contrasts(values, dict.fromkeys(values, ("recall", ("treated", "control"))))
        as_recipes += any(each.sign for each in found.values())
        as_networks += any(each.sign for each in accuracy_contrasts(values).values())
    assert as_recipes <= 0.05 * studies < 0.3 * studies < as_networks


def test_recipes_take_their_chance_from_all_of_a_pool() -> None:
    values = _recipes(4, 0.0, np.random.default_rng(1))
    retrained = {name: ("recall", ("treated", "control")) for name in values}
    squares = {name: difference_squares(each, np.zeros_like(each)) for name, each in values.items()}
    spread = np.mean([each.between_seeds / each.interaction for each in squares.values()])
    chance = pooled({("treated", "control", str(name)): each for name, each in squares.items()})
    assert chance and chance.overdispersion == pytest.approx(spread)
    raw = [over_recipes(each, chance).p for each in squares.values()]
    found = accuracy_contrasts(values, retrained)
    assert [each.p for each in found.values()] == pytest.approx(multipletests(raw, method="holm")[1])


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_differ_without_a_verdict_on_recipes(seeds: int) -> None:
    values = {"a": np.tile([1.0] * 40 + [0.0] * 60, (seeds, 1))}
    (found,) = accuracy_contrasts(values, {"a": ("recall", ("treated", "control"))}).values()
    assert (found.differs, found.sign, found.decidable) == (1, 0, False)
    assert contrasts(values, {"a": ("any", ("treated", "control"))})["a"].sign == 0
    assert accuracy_contrasts(values)["a"].sign == 1
