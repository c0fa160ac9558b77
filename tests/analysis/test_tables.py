"""Tables: what is marked, what is missing, what captions say."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.findings import all_findings
from analysis.formats import MISSING
from analysis.results import Results, results_of
from analysis.tables import ablation, builders, experiments, headline, level1, level_table, per_class, recipes
from analysis.view import view_study
from tests.fabricate import fabricate


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    accuracies = {"level2/augmented": 0.99, "level2/plain": 0.70}
    return results_of(view_study(fabricate(tmp_path_factory.mktemp("study"), images=300, accuracies=accuracies)))


def test_best_is_marked_when_it_differs_from_the_next_by_a_test(results: Results) -> None:
    table = level_table(results, {}, 2)
    assert table is not None
    ((row, column),) = table.best
    assert (table.rows[row][0], table.header[column]) == ("Augmented", "Accuracy, %")


def test_best_is_not_marked_when_the_next_is_as_good(tmp_path: Path) -> None:
    same = dict.fromkeys(("level3/plain-head", "level3/se-head", "level3/scratch-cnn"), 0.9)
    table = level_table(results_of(view_study(fabricate(tmp_path, images=100, accuracies=same))), {}, 3)
    assert table is not None
    assert table.best == frozenset()


def test_experiment_without_control_has_no_difference(results: Results) -> None:
    table = level_table(results, {}, 2)
    assert table is not None
    (plain,) = (row for row in table.rows if row[0] == "Plain")
    assert plain[1] == MISSING and plain[4:] == (MISSING,) * 3


def test_headline_has_a_row_per_level_and_no_pass_mark_at_level_5(results: Results) -> None:
    table = headline(results, {})
    assert table is not None
    assert [row[0] for row in table.rows] == ["1", "2", "3", "4", "5"]
    assert table.rows[4][4] == MISSING
    assert table.caption.startswith("Test accuracy of the selected models goes from ")


def test_ablation_has_a_row_per_comparison_of_level_2(results: Results) -> None:
    table = ablation(results, all_findings(results))
    assert table is not None
    assert [row[0] for row in table.rows] == [results.view.experiments[j.key].differs for j in results.judged_at(2)]
    assert table.caption.startswith(all_findings(results)["summary/level2"].sentence)


def test_level1_adds_costs(results: Results) -> None:
    table = level1(results, {})
    assert table is not None
    assert table.rows[0][-3:] == ("3.40 M", "60.0 M", "25.0 s")


def test_per_class_shows_recall_beside_the_controls(results: Results) -> None:
    table = per_class(results, {})
    assert table is not None
    assert len(table.rows) == 10
    assert ("Control recall, %" in table.header) == (results.best[3] in results.judged)


def test_recipes_print_every_setting_of_a_training(results: Results) -> None:
    table = recipes(results, {})
    assert table is not None
    rows = {row[0]: row[1:] for row in table.rows}
    assert len(rows) == sum(planned.trained for planned in results.view.experiments.values())
    spec = results.view.experiments["level2/augmented"].training["recipe"]
    row = rows[results.view.title("level2/augmented")]
    assert float(row[3]) == spec["weight_decay"] and int(row[5]) == spec["batch_size"]
    assert float(row[1].split(" (")[0]) == spec["stages"][0]["learning_rate"]


def test_experiments_that_train_are_listed_before_they_have_run(tmp_path: Path) -> None:
    empty = results_of(view_study(fabricate(tmp_path, seeds=())))
    table = experiments(empty, {})
    assert table is not None
    planned = list(empty.view.experiments.values())
    assert [row[1] for row in table.rows] == [each.title for each in planned if "recipe" in each.training]
    assert 0 < len(table.rows) < len(planned)
    assert "Time leaves out the epochs that a control trained for its student (Compact CNN, " in table.caption
    assert {row[-1] for row in table.rows} == {"pending"}
    made = {name for name, build in builders().items() if build(empty, {}) is not None}
    assert made == {"experiments", "recipes"}
