"""The study as a whole, and the model each level selects."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from analysis import formats
from analysis.results import Judged, Results
from analysis.statistics.comparison import Accuracy, Comparison
from analysis.statistics.crossed import About
from analysis.subjects.overview import (
    conclusion_finding,
    conclusions,
    level_facts,
    levels,
    marks_finding,
    pass_mark_finding,
    study_facts,
)


def test_level_facts_hold_selected_models_and_published_figures(two_seeds: Results, named: Callable) -> None:
    facts = named(level_facts(two_seeds))
    assert facts["best-phrase/level3"].text == two_seeds.view.phrase(two_seeds.best[3])
    assert facts["pass-mark/level1"].text == "85.00 %"
    assert facts["reference-accuracy/level4"].text == "97.27 %"
    assert facts["reference-latency/level5"].text == "7.52 ms"
    assert "pass-mark/level5" not in facts and "reference-latency/level1" not in facts
    for level, key in two_seeds.best.items():
        mean = np.mean([accuracy_score(p.labels, p.predicted) for p in two_seeds.view.predictions(key)])
        assert facts[f"best-accuracy/level{level}"].value == pytest.approx(mean)


def test_conclusion_tells_the_mean_of_the_seeds(two_seeds: Results) -> None:
    (told,) = conclusions(two_seeds)
    for level in (1, 2, 3, 4):
        recorded = (accuracy_score(p.labels, p.predicted) for p in two_seeds.view.predictions(two_seeds.best[level]))
        assert formats.percent(float(np.mean(list(recorded)))) in told.sentence


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
    finding = pass_mark_finding(
        2, "the full recipe", Accuracy((low + high) / 2, None, low, high, 1, 1000), 0.90, ("run",)
    )
    assert finding.verdict == verdict
    assert word in finding.sentence and finding.sentence.startswith("The full recipe ")
    claim = finding.claim
    assert claim is not None and (claim.about, claim.null, claim.p, claim.runs) == ("networks", 0.90, None, ("run",))
    assert (claim.low, claim.high, claim.verdict) == (low, high, verdict)


def test_pass_mark_of_several_seeds_is_about_the_recipe() -> None:
    finding = pass_mark_finding(2, "Augmented", Accuracy(0.92, 0.001, 0.91, 0.93, 3, 1000), 0.90, ())
    assert finding.claim is not None and finding.claim.about == "recipes"


def test_pass_marks_are_told_together_missed_ones_first() -> None:
    told = marks_finding({"1": "supported", "2": "supported", "3": "contradicted"})
    assert told.sentence == (
        "Level 3 misses its pass mark; levels 1 and 2 meet their pass marks with their whole intervals."
    )
    assert told.verdict == "contradicted"


def step(difference: float, low: float, high: float, p: float, about: About = "recipes") -> Judged:
    comparison = Comparison(about, "a test", difference, low, high, p, 0.9, 0.003, 3, 1000)
    return Judged("later", "earlier", comparison, p, 0.9, retrained=True)


def test_conclusion_says_how_far_accuracy_moves_and_which_steps_are_shown() -> None:
    path = {1: ("the first", 0.88), 2: ("the second", 0.93), 3: ("the third", 0.928), 4: ("the last", 0.976)}
    steps = {4: step(0.01, 0.0075, 0.0125, p=0.001), 2: step(0.05, 0.04, 0.06, p=0.001)}
    steps[3] = step(-0.002, -0.005, 0.001, p=0.2)
    told = conclusion_finding(path, steps)
    assert told.sentence == (
        "From level 1 (the first) to level 4 (the last) the test accuracy of the models selected is 88.00, 93.00, "
        "92.80 and 97.60 %; each against the model that the level before selects, the steps to levels 2 and 4 are "
        "shown to raise accuracy (+5.00 points, 95 % CI +4.00 to +6.00, adjusted p = 0.0010; +1.00 points, 95 % CI "
        "+0.75 to +1.25, adjusted p = 0.0010) and the step to level 3 is undecided (−0.20 points, 95 % CI −0.50 to "
        "+0.10, adjusted p = 0.20)."
    )
    few = conclusion_finding(path, steps | {3: step(-0.002, -0.005, 0.001, p=0.2, about="networks")})
    assert (
        "and the step to level 3 has no verdict with so few seeds (−0.20 points, 95 % CI −0.50 to +0.10)."
        in few.sentence
    )
    assert told.verdict == "supported" and "difference/level3-over-previous" in told.facts


def test_levels_name_the_models_they_select(results: Results, empty: Results) -> None:
    figure = levels(results)
    assert figure is not None and levels(empty) is None
    (axes,) = figure.draw().axes
    told = " ".join(label.get_text().replace("\n", " ") for label in axes.get_xticklabels())
    assert all(results.view.title(key) in told for key in results.best.values())


def test_levels_show_models_and_not_what_is_measured_of_them(results: Results) -> None:
    figure = levels(results)
    assert figure is not None and "level5/mc-dropout" in results.accuracies
    shown = figure.data["experiment"]
    assert "level5/mc-dropout" not in shown and {"level5/int8-static", "level4/hard", "level5/student"} <= {*shown}
