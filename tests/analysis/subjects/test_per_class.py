"""Where the selected model errs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from analysis.results import Results, results_of
from analysis.statistics.contrasts import Contrast
from analysis.subjects.per_class import (
    Step,
    _frequent,
    _recognised,
    _takeaway,
    change_finding,
    class_facts,
    errors,
    per_class,
    steps,
)
from analysis.view import view_study
from tests.fabricate import experiments, fabricate


def test_most_confused_pair_is_counted_from_the_predictions(results: Results, named: Callable) -> None:
    facts = named(class_facts(results))
    predictions, classes = results.view.predictions(results.best[3])[0], results.view.classes
    true, predicted = (classes.index(facts[f"confused/{side}"].text) for side in ("true", "predicted"))
    assert facts["confused/count"].value == ((predictions.labels == true) & (predictions.predicted == predicted)).sum()


def test_worst_class_has_the_lowest_recall(results: Results, named: Callable) -> None:
    facts = named(class_facts(results))
    predictions = results.view.predictions(results.best[3])[0]
    recalls = [predictions.correct[predictions.labels == label].mean() for label in range(10)]
    assert facts["worst-class/recall"].value == pytest.approx(min(recalls))
    assert facts["worst-class/name"].text == results.view.classes[int(np.argmin(recalls))]


def test_confusions_and_classes_that_tie_are_not_told_apart() -> None:
    tied, ahead = (np.array([[5, count, 0], [2, 5, 0], [2, 0, 5]]) for count in (2, 3))
    assert _frequent(tied, "abc", top=1) == [] and _frequent(ahead, "abc", top=1) == [("a", "b", 3)]
    assert _takeaway(ahead, "abc") == "a → b is the most frequent confusion."
    assert _takeaway(tied, "abc") == "No confusion is more frequent than all others."
    scored = pd.DataFrame({"class": [*"abcdefg"], "recall": [0.5] * 2 + [0.7] * 5})
    assert _recognised(scored) == "a and b have the lowest recall."
    assert _recognised(scored[2:]) == "5 classes have the lowest recall."
    assert _recognised(scored[1:]) == "The class b is recognised least often."


def test_of_many_classes_the_text_does_not_promise_them_one_by_one(
    many: Results, results: Results, named: Callable
) -> None:
    assert named(class_facts(many))["errors/pairs"].text == "by which confusions"
    assert "errors/pairs" not in named(class_facts(results))


def test_per_class_shows_recall_beside_the_controls(results: Results) -> None:
    table = per_class(results)
    assert table is not None
    assert len(table.rows) == 10
    assert ("Control recall, %" in table.header) == (results.best[3] in results.judged)


def test_classes_wait_for_level_3(empty: Results) -> None:
    assert list(class_facts(empty)) == []
    assert per_class(empty) is None and errors(empty) is None and steps(empty) == []


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A hundred classes of three test images."""
    names = [f"class {number}" for number in range(100)]
    folder = fabricate(tmp_path_factory.mktemp("many"), classes=names, images=300, planned=experiments(1, 2, 3))
    return results_of(view_study(folder))


def test_of_many_classes_the_worst_and_the_best_are_shown_and_the_others_counted(many: Results) -> None:
    table = per_class(many)
    assert table is not None
    recalls = [float(row[1]) for row in table.rows]
    assert len(recalls) == 15 and recalls == sorted(recalls)
    predictions = many.view.predictions(many.best[3])[0]
    of_class = sorted(100 * predictions.correct[predictions.labels == label].mean() for label in range(100))
    assert recalls == pytest.approx([*of_class[:10], *of_class[-5:]], abs=0.005)
    assert "the other 85 have a recall of" in table.caption


def test_no_class_is_shown_twice_where_few_of_many_have_test_images(fabricated: Callable[..., Results]) -> None:
    names = [f"class {number}" for number in range(25)]
    results = fabricated(classes=names, shares=[1] * 12 + [0] * 13, images=120, planned=experiments(1, 2, 3))
    table = per_class(results)
    assert table is not None and sorted(row[0] for row in table.rows) == sorted(names[:12])


def test_of_many_classes_the_most_frequent_confusions_are_drawn(many: Results) -> None:
    figure = errors(many)
    assert figure is not None and "The 15 confusions shown of" in figure.caption
    (axes,) = figure.draw().axes
    lengths = [bar.get_width() for bar in axes.patches]
    assert lengths == sorted(lengths, reverse=True) and len(lengths) == 15
    wrong = (~many.view.predictions(many.best[3])[0].correct).sum()
    assert f"hold {int(sum(lengths))} of its {wrong} errors" in figure.caption


def test_sizes_of_classes_are_shown_where_they_differ(fabricated: Callable[..., Results]) -> None:
    results = fabricated(classes=["a", "b"], shares=(3, 1), images=80, planned=experiments(1, 2, 3))
    table = per_class(results)
    assert table is not None
    assert [row[1] for row in table.rows] == ["60", "20"] and table.header[1] == "Images"
    assert "n = 20 to 60 images per class" in table.caption


def test_steps_compare_recall_class_by_class_as_one_family(results: Results) -> None:
    found = steps(results)
    assert [step.key for step in found] == ["level2/augmented", results.ensemble.best_vote]  # type: ignore[union-attr]
    treated, control = results.view.paired("level2/augmented", "level1/finetuned")
    cats = treated[0].labels == results.view.classes.index("cat")
    change = found[0].classes["cat"]
    assert change.difference == pytest.approx(treated[0].correct[cats].mean() - control[0].correct[cats].mean())
    assert change.family == 20


@pytest.mark.parametrize(
    ("changes", "verdict", "sentence"),
    [
        ({"cat": 0.05, "dog": 0.07}, "supported", "A raises the recall of dog (+7.00 points) and cat (+5.00 points) "
         "(each adjusted p ≤ 0.010) against B; for the other 8 classes no change was detected."),
        ({"cat": 0.05, "dog": -0.07}, "contradicted", "A raises the recall of cat (+5.00 points, adjusted p = 0.010) "
         "and lowers that of dog (−7.00 points, adjusted p = 0.010) against B; for the other 8 classes no change was "
         "detected."),
        ({}, "inconclusive",
         "Between A and B no class changes detectably; the largest change is that of c0 (+1.00 points)."),
    ],
)  # fmt: skip
def test_classes_that_change_are_named(changes: dict[str, float], verdict: str, sentence: str) -> None:
    told = {name: Contrast(difference, 0, 0, 0.01) for name, difference in changes.items()}
    told |= {f"c{n}": Contrast(0.01, 0, 0, 0.5) for n in range(10 - len(changes))}
    finding = change_finding(Step("k", "c", told), "A", "B")
    assert (finding.verdict, finding.sentence) == (verdict, sentence)


def test_many_classes_that_change_are_counted() -> None:
    told = {f"c{n}": Contrast(0.01 * (n + 1), 0, 0, 0.001) for n in range(6)}
    assert (
        "the recall of 6 classes, from c5 (+6.00 points) to c0 (+1.00 points)"
        in change_finding(Step("k", "c", told), "a", "b").sentence
    )


def test_too_few_seeds_change_classes_of_these_networks_alone() -> None:
    told = {"cat": Contrast(0.05, 0, 0, 0.01, decidable=False), "dog": Contrast(0.01, 0, 0, 0.5, decidable=False)}
    finding = change_finding(Step("k", "c", told), "A", "B")
    assert finding.verdict == "inconclusive" and finding.sentence.startswith("A raises the recall of cat (+5.00 points")
    assert finding.sentence.endswith("this is about these networks, as a verdict on recipes takes 3 seeds or more.")
