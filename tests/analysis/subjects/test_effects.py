"""The table of all comparisons, and what is said of those that are undecided."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.evidence import Strip
from analysis.results import Results
from analysis.subjects.effects import drawn, effects, open_facts, open_finding, open_questions, summaries


def test_every_comparison_has_a_row_below_the_head_of_its_level(three_seeds: Results, empty: Results) -> None:
    table = effects(three_seeds)
    assert table is not None and effects(empty) is None
    heads = [row[0] for row in table.rows if len(row) == 1]
    assert heads[0] == "Level 1: transfer" and len(heads) == 5
    rows = [row for row in table.rows if len(row) > 1]
    assert [row[0] for row in rows] == [three_seeds.view.title(key) for key in three_seeds.judged]
    assert {row[8] for row in rows} == {"3"}
    told = {"inconclusive": "–"}
    assert [row[6] for row in rows] == [told.get(each.verdict, each.verdict) for each in three_seeds.judged.values()]
    arrows = dict(zip(three_seeds.judged, (row[2] for row in rows), strict=True))
    assert arrows["level2/augmented"] == "↑" and arrows["level2/plain"] == arrows["level5/int8-static"] == "↓"


def test_a_vote_costs_the_training_of_its_members_and_quantising_nothing(three_seeds: Results) -> None:
    table = effects(three_seeds)
    assert table is not None and three_seeds.ensemble is not None
    cost = {row[0]: row[-1] for row in table.rows if len(row) > 1}
    members = len(three_seeds.ensemble.members)
    assert cost[three_seeds.view.title(three_seeds.ensemble.best_vote)] == f"{members * 25 / 60:.1f} min"
    assert cost["MobileNet, static int8"] == "–"


def test_strips_share_a_scale_that_holds_every_interval_and_zero(three_seeds: Results) -> None:
    judged = list(three_seeds.judged.values())
    strips = drawn(judged)
    assert all(isinstance(strip, Strip) and 0 <= strip.low <= strip.middle <= strip.high <= 1 for strip in strips)
    assert len({strip.zero for strip in strips}) == 1 and 0 <= strips[0].zero <= 1
    (scale,) = {
        round((strip.high - strip.low) / (each.comparison.high - each.comparison.low), 6)
        for strip, each in zip(strips, judged, strict=True)
    }
    assert strips[0].middle - strips[0].zero == pytest.approx(scale * judged[0].comparison.difference)


def test_strips_are_filled_where_adjusted_p_is_small(three_seeds: Results) -> None:
    judged = list(three_seeds.judged.values())
    assert [strip.filled for strip in drawn(judged)] == [each.p < 0.05 for each in judged]


def test_what_deployment_does_is_summed_up_apart_from_recipes(three_seeds: Results) -> None:
    recipe, deployment = summaries(three_seeds)
    assert (recipe.name, deployment.name) == ("summary/recipe", "summary/deployment")
    assert deployment.sentence.startswith("Of 6 comparisons with a control, ")
    assert {name.split("/", 1)[1] for name in deployment.facts} == {each.key for each in three_seeds.judged_at(5)}


def test_undecided_comparisons_are_counted_level_by_level(three_seeds: Results, named: Callable) -> None:
    facts, judged = named(open_facts(three_seeds)), three_seeds.judged.values()
    undecided = sum(each.verdict == "inconclusive" for each in judged)
    assert 0 < undecided < len(judged) and facts["undecided/study"].value == undecided
    for level in three_seeds.view.levels:
        there = sum(each.verdict == "inconclusive" for each in three_seeds.judged_at(level))
        assert (facts[f"undecided/level{level}"].value if there else 0) == there


def test_undecided_comparisons_say_how_many_seeds_would_find_what_matters() -> None:
    told = open_finding("open/level2", {"that": 54, "this": 9, "those": None}, 7, brief=False)
    assert told.sentence == (
        "3 of 7 comparisons are undecided. Seeds that would find the smallest difference that matters: 9 for this and "
        "54 for that. For those, to find the smallest difference that matters takes more test images."
    )
    told = open_finding("open/study", {"this": 9, "that": 5}, 7, brief=True)
    assert told.sentence.endswith(
        "9 seeds of each recipe would find the smallest difference that matters in all of them."
    )
    told = open_finding("open/study", {"this": 9, "those": None}, 7, brief=True)
    assert told.sentence == (
        "2 of 7 comparisons are undecided; 9 seeds of each recipe would find the smallest difference that matters in "
        "1 of them, the others need more test images."
    )


def test_many_undecided_comparisons_are_told_by_the_fewest_and_the_most_seeds() -> None:
    told = open_finding("open/level2", {"a": 9, "b": 54, "c": 3, "d": 20}, 5, brief=False)
    assert told.sentence.endswith("the smallest difference that matters: from 3 for c to 54 for b.")


def test_where_no_number_of_seeds_is_enough_that_is_said() -> None:
    images = "to find the smallest difference that matters takes more test images."
    several, one = (
        open_finding("o", {"a": None, "b": None}, 2, brief=True),
        open_finding("o", {"a": None}, 1, brief=False),
    )
    assert several.sentence == f"Both comparisons are undecided; {images}"
    assert one.sentence == f"The comparison is undecided; {images}"


def test_from_too_few_seeds_it_is_not_told_how_many_more_it_takes(results: Results) -> None:
    told = {finding.name: finding.sentence for finding in open_questions(results)}
    assert told["open/level1"] == "The comparison is undecided; a verdict on a recipe takes 3 seeds or more."
    assert "takes 3 seeds or more" in told["open/study"]


def test_levels_without_open_comparisons_ask_nothing(three_seeds: Results) -> None:
    asked = {finding.name for finding in open_questions(three_seeds)}
    decided = [n for n in three_seeds.view.levels if all(j.verdict != "inconclusive" for j in three_seeds.judged_at(n))]
    assert decided and not asked & {f"open/level{level}" for level in decided}
