"""The study as a whole, and the model each level selects."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from analysis.formats import MISSING
from analysis.results import Results
from analysis.statistics.comparison import Accuracy
from analysis.subjects.overview import headline, level_facts, pass_mark_finding, study_facts


def test_level_facts_hold_selected_models_and_published_figures(two_seeds: Results, named: Callable) -> None:
    facts = named(level_facts(two_seeds))
    assert facts["best/level3"].text == two_seeds.view.title(two_seeds.best[3])
    assert facts["pass-mark/level1"].text == "85.00 %"
    assert facts["reference-accuracy/level4"].text == "97.27 %"
    assert facts["reference-latency/level5"].text == "7.52 ms"
    assert "pass-mark/level5" not in facts and "reference-latency/level1" not in facts


def test_runs_and_evaluations_are_counted(two_seeds: Results, named: Callable) -> None:
    facts, view = named(study_facts(two_seeds)), two_seeds.view
    assert facts["study/runs"].value == len(facts["study/runs"].runs) == 2 * len(view.experiments)
    assert facts["study/test-evaluations"].value == 2 * len(two_seeds.accuracies)
    assert facts["study/seed-list"].text == "0 and 1"


def test_study_without_runs_still_names_itself(empty: Results, named: Callable) -> None:
    facts = named(study_facts(empty))
    assert facts["study/preset"].text == "quick"
    assert facts["study/runs"].value == 0


@pytest.mark.parametrize(
    ("low", "high", "verdict", "word"),
    [
        (0.91, 0.93, "supported", "meets"),
        (0.86, 0.88, "contradicted", "misses"),
        (0.89, 0.91, "inconclusive", "too close"),
    ],
)
def test_pass_mark_is_met_only_with_the_whole_interval(low: float, high: float, verdict: str, word: str) -> None:
    finding = pass_mark_finding(2, "Augmented", Accuracy((low + high) / 2, None, low, high, 1, 1000), 0.90, ("run",))
    assert finding.verdict == verdict
    assert word in finding.sentence and "this one network on images like these" in finding.sentence
    claim = finding.claim
    assert claim is not None and (claim.about, claim.null, claim.p, claim.runs) == ("networks", 0.90, None, ("run",))
    assert (claim.low, claim.high, claim.verdict) == (low, high, verdict)


def test_pass_mark_of_several_seeds_covers_seeds_and_images() -> None:
    finding = pass_mark_finding(2, "Augmented", Accuracy(0.92, 0.001, 0.91, 0.93, 3, 1000), 0.90)
    assert "3 seeds, over seeds and images" in finding.sentence
    assert finding.claim is not None and finding.claim.about == "recipes"


def test_headline_has_a_row_per_level_and_no_pass_mark_at_level_5(results: Results) -> None:
    table = headline(results, {})
    assert table is not None
    assert [row[0] for row in table.rows] == ["1", "2", "3", "4", "5"]
    assert table.rows[4][4] == MISSING
    assert table.caption.startswith("Test accuracy of the selected models goes from ")
