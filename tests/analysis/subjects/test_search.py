"""What the search tried and settled on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.results import Results
from analysis.subjects.search import plan_facts, search, search_facts


def test_budget_and_ranges_are_known_before_the_search(empty: Results) -> None:
    printed = {fact.name: fact.text for fact in plan_facts(empty)}
    assert printed["search/level2/search/range-label-smoothing"] == "0 to 0.2"
    assert printed["search/level2/search/trial-images"] == "10,000"
    assert list(search_facts(empty)) == [] and search(empty) is None


def test_search_reports_the_trial_it_settled_on(results: Results, named: Callable) -> None:
    facts = named(search_facts(results))
    run, trials = results.view.runs_of("level2/search")[0], results.view.trials("level2/search")
    best = trials[run.metrics["best_trial"]]
    assert facts["search/level2/search/trials"].value == len(trials)
    assert facts["search/level2/search/learning-rate"].value == pytest.approx(best["params"]["learning_rate"])


def test_caption_says_what_the_trials_that_ended_reach(results: Results) -> None:
    ended = [trial["value"] for trial in results.view.trials("level2/search") if trial["state"] == "COMPLETE"]
    figure = search(results)
    assert figure is not None
    assert figure.caption.startswith(
        f"The trials that the search completes reach {100 * min(ended):.2f} to {100 * max(ended):.2f} % on validation."
    )
