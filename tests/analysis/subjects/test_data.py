"""What the paper says of the images."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analysis.results import Results
from analysis.subjects.data import class_sizes, data_facts, sizes
from study.description import DataDescription, Description


def described(results: Results, **changes: object) -> Results:
    plan = results.view.plan
    dataset = replace(plan.dataset, **changes)  # type: ignore[arg-type]
    return replace(results, view=replace(results.view, plan=replace(plan, dataset=dataset)))


def test_what_is_known_is_told(results: Results) -> None:
    facts = {fact.name: fact.text for fact in data_facts(results)}
    assert facts["data/images"] == "colour photographs" and facts["data/sizes"] == "32×32 px"
    assert facts["data/superclasses"] == "animal or vehicle" and "data/missing" not in facts


def test_what_is_not_known_is_said_where_it_is_missed(results: Results) -> None:
    unknown = described(results, description=Description(), remarks=("2 files left out: no image by its name",))
    facts = {fact.name: fact.text for fact in data_facts(unknown)}
    assert facts["data/left-out"] == "2 files left out: no image by its name."
    assert "describes no super-classes" in facts["data/missing"] and "no pass marks" in facts["data/missing"]
    assert {"data/superclasses", "data/note", "data/limits", "data/licence"}.isdisjoint(facts)


def test_sizes_are_those_found_and_the_one_stored(results: Results) -> None:
    data: DataDescription = replace(results.view.plan.dataset, dimensions=(30, 40, 200, 100), image_size=40)
    assert sizes(data) == "30×40 to 200×100 px, of which the central square is stored at 40×40 px"
    assert sizes(replace(data, dimensions=(28, 28, 28, 28))) == "28×28 px, stored at 40×40 px"


@pytest.mark.parametrize(("counts", "said"), [((30, 20, 25), False), ((40, 20), False), ((41, 20), True), ((), False)])
def test_classes_that_differ_in_size_by_more_than_half_are_mentioned(
    results: Results, counts: tuple[int, ...], said: bool
) -> None:
    text = class_sizes(replace(results.view.plan.dataset, counts={"train": counts}))
    assert text == ("Classes differ in size: they have 20 to 41 training images each." if said else "")
