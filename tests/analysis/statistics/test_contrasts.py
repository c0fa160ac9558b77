"""Families of differences, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.statistics.contrasts import Contrast, accuracy_contrasts, contrasts

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
