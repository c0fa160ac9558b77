"""Where the selected model errs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from analysis.results import Results, results_of
from analysis.subjects.per_class import class_facts, confusion, per_class
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


def test_per_class_shows_recall_beside_the_controls(results: Results) -> None:
    table = per_class(results, {})
    assert table is not None
    assert len(table.rows) == 10
    assert ("Control recall, %" in table.header) == (results.best[3] in results.judged)


def test_classes_wait_for_level_3(empty: Results) -> None:
    assert list(class_facts(empty)) == []
    assert per_class(empty, {}) is None and confusion(empty, {}) is None


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A hundred classes of three test images."""
    names = [f"class {number}" for number in range(100)]
    folder = fabricate(tmp_path_factory.mktemp("many"), classes=names, images=300, planned=experiments(1, 2, 3))
    return results_of(view_study(folder))


def test_of_many_classes_the_worst_and_the_best_are_shown_and_the_others_counted(many: Results) -> None:
    table = per_class(many, {})
    assert table is not None
    recalls = [float(row[1]) for row in table.rows]
    assert len(recalls) == 15 and recalls == sorted(recalls)
    predictions = many.view.predictions(many.best[3])[0]
    of_class = sorted(100 * predictions.correct[predictions.labels == label].mean() for label in range(100))
    assert recalls == pytest.approx([*of_class[:10], *of_class[-5:]], abs=0.005)
    assert "the other 85 have a recall of" in table.caption


def test_of_many_classes_the_most_frequent_confusions_are_drawn(many: Results) -> None:
    figure = confusion(many, {})
    assert figure is not None and "The 15 confusions shown of" in figure.caption
    (axes,) = figure.draw().axes
    lengths = [bar.get_width() for bar in axes.patches]
    assert lengths == sorted(lengths, reverse=True) and len(lengths) == 15
    errors = (~many.view.predictions(many.best[3])[0].correct).sum()
    assert f"hold {int(sum(lengths))} of its {errors} errors" in figure.caption


def test_sizes_of_classes_are_shown_where_they_differ(fabricated: Callable[..., Results]) -> None:
    results = fabricated(classes=["a", "b"], shares=(3, 1), images=80, planned=experiments(1, 2, 3))
    table = per_class(results, {})
    assert table is not None
    assert [row[1] for row in table.rows] == ["60", "20"] and table.header[1] == "Images"
    assert "n = 20 to 60 images per class" in table.caption
