"""Sentences shared by captions."""

from __future__ import annotations

from dataclasses import replace

from analysis.captions import accuracy_interval, difference_interval, join
from analysis.results import Results


def test_caption_says_which_variability_its_interval_covers(results: Results, two_seeds: Results) -> None:
    assert "Wilson" in accuracy_interval(results)
    assert "not variation between training seeds" in accuracy_interval(results)
    assert "n = 2 seeds" in accuracy_interval(two_seeds) and "chance in training" in accuracy_interval(two_seeds)
    assert "McNemar" in difference_interval(results) and "paired z" in difference_interval(two_seeds)
    assert all("they decide nothing about recipes" in difference_interval(each) for each in (results, two_seeds))


def test_caption_of_three_seeds_is_about_recipes(three_seeds: Results) -> None:
    told = difference_interval(three_seeds)
    assert "cover seeds and test images" in told and "nothing was retrained" in told


def test_empty_sentences_leave_no_gap() -> None:
    assert join("A.", "", "B.") == "A. B."


def test_captions_do_not_claim_more_seeds_than_a_row_has(three_seeds: Results) -> None:
    (key, accuracy), (other, judged) = (
        next(iter(three_seeds.accuracies.items())),
        next(iter(three_seeds.judged.items())),
    )
    assert "Means over n = 3 seeds" in accuracy_interval(three_seeds)
    assert "or seeds are fewer" not in difference_interval(three_seeds)
    few = replace(judged, retrained=True, comparison=replace(judged.comparison, about="networks", seeds=1))
    mixed = replace(
        three_seeds,
        accuracies=three_seeds.accuracies | {key: replace(accuracy, seeds=1)},
        judged=three_seeds.judged | {other: few},
    )
    assert "Means over up to n = 3 seeds" in accuracy_interval(mixed)
    assert "of several seeds, chance in training" in accuracy_interval(mixed)
    assert "where nothing was retrained or seeds are fewer than 3, test images alone" in difference_interval(mixed)
