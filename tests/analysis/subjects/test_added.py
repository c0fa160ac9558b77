from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.results import Results, results_of
from analysis.subjects import added as subject
from analysis.view import view_study
from report.build import lookup_of, render
from study import records
from study.running.adding import add
from tests.evidence_samples import blank_drawings
from tests.fabricate import fabricate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with logits and with hard labels from elsewhere, both those of one of its own networks."""
    here = tmp_path_factory.mktemp("added")
    folder = fabricate(here / "quick-cifar10", images=100)
    run = records.load_run(folder / "level2/augmented/seed-0")
    test, validation = (run.predictions(split) for split in ("test", "validation"))
    np.savez(
        here / "soft.npz",
        labels=test.labels,
        logits=test.logits,
        validation_labels=validation.labels,
        validation_logits=validation.logits,
    )
    np.savez(here / "hard.npz", labels=test.labels, predicted=test.predicted)
    add(folder, here / "soft.npz", "Soft", "level2/augmented", vote="level4/hard")
    add(folder, here / "hard.npz", "Hard", "level1/finetuned")
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return results_of(view_study(folder))


def test_the_table_shows_both_and_no_calibration_of_hard_labels(results: Results) -> None:
    table = subject.added(results)
    assert table is not None
    soft, hard = table.rows
    assert soft[:3] == ("Soft (added)", "logits", "Full recipe") and soft[5] == "0.00"
    assert hard[:3] == ("Hard (added)", "hard labels", "Fine-tuned backbone")
    assert soft[3] == hard[3] and soft[-1] != "–" and hard[-1] == "–"


def test_errors_are_compared_with_those_of_each_selected_model(results: Results) -> None:
    table, best = subject.added_overlap(results), set(results.best.values())
    assert table is not None and len(table.rows) == 2 * len(best)
    rows = {(row[0], row[1]): row[2:] for row in table.rows}
    (ours,) = results.view.predictions("level2/augmented")
    for key in best:
        (model,) = results.view.predictions(key)
        one, both = ours.correct != model.correct, ~ours.correct & ~model.correct
        shown = f"{100 * one.mean():.2f}", f"{100 * both.mean():.2f}", f"{both.sum() / (one | both).sum():.3f}"
        for title in ("Soft (added)", "Hard (added)"):
            disagreement, double_fault, *_, jaccard = rows[title, results.view.title(key)]
            assert (disagreement, double_fault, jaccard) == shown, key


def test_levels_select_nothing_that_was_added_and_count_none_of_it(results: Results) -> None:
    assert results.view.levels == [1, 2, 3, 4, 5]
    assert not any(key.startswith("added") for key in results.best.values())
    assert results.ensemble is not None and not any(key.startswith("added") for key in results.ensemble.members)


def test_comparisons_join_the_family_as_trained_apart(results: Results) -> None:
    judged = results.judged["added/soft"]
    assert judged.control == "level2/augmented" and judged.retrained and judged.comparison.difference == 0
    assert "added/hard" in results.judged


def test_the_paper_marks_them_and_only_the_vote_is_pending(folder: Path) -> None:
    lookup = lookup_of(folder)
    page = render("html", lookup, blank_drawings(lookup.evidence))
    assert "Predictions made elsewhere" in page and "Soft (added)" in page
    assert "pending: difference/added/soft-in-hard" in page and "pending: difference/added/hard" not in page


def test_a_study_without_additions_has_neither_facts_nor_table_of_them(two_seeds: Results) -> None:
    assert list(subject.tables(two_seeds)) == [] and list(subject.added_facts(two_seeds)) == []
