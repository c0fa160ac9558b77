"""Errors beside the labels' own errors, and people's answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from analysis.results import Results
from analysis.subjects.labels import (
    audited_errors,
    human_agreement,
    label_facts,
    label_finding,
    people_facts,
    people_finding,
)
from study.data.descriptions import shipped
from study.errors import StudyError
from study.records import Predictions

CIFAR = shipped("cifar10")
AUDIT, BEGINS = CIFAR.label_audit, CIFAR.test_begins
VOTES = {3: 5, 10: 3, 20: 2, 30: 0}  # for the label given, by image


def audit_file(path: Path) -> Path:
    entries = [{"id": i, "mturk": {"given": n, "guessed": 5 - n, "neither": 0, "both": 0}} for i, n in VOTES.items()]
    path.write_text(json.dumps(entries))
    return path


def predicting(wrong: list[int], images: np.ndarray) -> Predictions:
    """Predictions for images by their position in the official test set, wrong for some."""
    predicted = np.isin(images, wrong).astype(int)
    return Predictions(images + BEGINS, np.zeros(len(images), int), np.eye(2, dtype="f4")[predicted])


def with_folder(results: Results, folder: Path) -> Results:
    plan = results.view.plan
    return replace(
        results, view=replace(results.view, plan=replace(plan, dataset=replace(plan.dataset, folder=str(folder))))
    )


def test_errors_are_counted_by_what_the_crowd_said(tmp_path: Path) -> None:
    counts = audited_errors(audit_file(tmp_path / AUDIT), predicting([3, 10, 20, 99], np.arange(10_000)), BEGINS)
    assert counts == {"wrong": 4, "suspected": 4, "faulty": 2, "wrong-suspected": 3, "wrong-faulty": 1}


def test_only_tested_images_are_counted(tmp_path: Path) -> None:
    counts = audited_errors(audit_file(tmp_path / AUDIT), predicting([20], np.array([3, 20, 21])), BEGINS)
    assert counts == {"wrong": 1, "suspected": 2, "faulty": 1, "wrong-suspected": 1, "wrong-faulty": 1}


@pytest.mark.parametrize("content", ["{", "[1]", '[{"id": 3}]', '[{"id": "x", "mturk": {"given": 1}}]', "7"])
def test_a_damaged_audit_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "audit.json"
    path.write_text(content)
    with pytest.raises(StudyError, match=r"audit\.json"):
        audited_errors(path, predicting([1], np.array([1])), BEGINS)


def test_a_missing_audit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot read"):
        audited_errors(tmp_path / "none.json", predicting([1], np.array([1])), BEGINS)


@pytest.mark.parametrize(
    ("wrong", "both", "faulty", "verdict"),
    [(100, 30, 40, "supported"), (500, 2, 40, "contradicted"), (100, 4, 40, "inconclusive"), (0, 0, 9, "inconclusive")],
)
def test_errors_fall_on_labels_in_doubt_as_fishers_test_says(wrong: int, both: int, faulty: int, verdict: str) -> None:
    told = label_finding({"wrong": wrong, "wrong-faulty": both, "faulty": faulty}, 1_000, "the vote")
    assert told.verdict == verdict
    if wrong:
        table = [[both, wrong - both], [faulty - both, 1_000 - wrong - faulty + both]]
        p = stats.fisher_exact(table).pvalue
        assert ("p < 0.001" if p < 0.001 else f"p = {p:.2g}") in told.sentence.replace("\N{NO-BREAK SPACE}", " ")
        assert f"Of the {wrong} images that the vote misclassifies, {both} " in told.sentence


@pytest.mark.parametrize(
    ("correlation", "verdict", "words"),
    [(0.5, "supported", "tends to hesitate where people do"), (-0.5, "contradicted", "sure where people hesitate"),
     (0.01, "inconclusive", "does not detectably hesitate")],
)  # fmt: skip
def test_hesitating_where_people_do_is_a_correlation(correlation: float, verdict: str, words: str) -> None:
    told = people_finding({"same-choice": 0.9, "entropy-correlation": correlation}, 1_000, "the vote")
    assert told.verdict == verdict and words in told.sentence and told.sentence.startswith("The vote names the class")


def test_predicting_what_people_say_agrees_with_them() -> None:
    counts = np.array([[9, 1, 0], [5, 0, 5], [0, 10, 0]])
    agreement = human_agreement(counts, counts / 10)
    assert agreement["entropy-correlation"] == pytest.approx(1)
    assert agreement["same-choice"] == 1


def test_choices_agree_where_the_model_names_a_class_most_people_chose() -> None:
    counts = np.array([[9, 1], [5, 5], [2, 8], [2, 8]])
    probs = np.array([[0.8, 0.2], [0.1, 0.9], [0.6, 0.4], [0.3, 0.7]])
    assert human_agreement(counts, probs)["same-choice"] == pytest.approx(3 / 4)


def test_people_who_never_hesitate_leave_the_correlation_open() -> None:
    agreement = human_agreement(np.array([[9, 0], [0, 9]]), np.array([[0.8, 0.2], [0.4, 0.6]]))
    assert np.isnan(agreement["entropy-correlation"])


def test_counts_of_other_images_are_refused() -> None:
    with pytest.raises(StudyError, match="do not match"):
        human_agreement(np.ones((3, 10)), np.ones((2, 10)) / 10)


def test_label_facts_need_the_optional_files(results: Results, empty: Results, tmp_path: Path) -> None:
    assert list(label_facts(results)) == list(label_facts(with_folder(empty, tmp_path))) == []
    assert list(label_facts(with_folder(results, tmp_path))) == []
    audit_file(tmp_path / AUDIT)
    counted = [fact.name for fact in label_facts(with_folder(results, tmp_path))]
    assert counted == [f"labels/{n}" for n in ("wrong", "suspected", "faulty", "wrong-suspected", "wrong-faulty")]


@pytest.mark.parametrize("content", [b"", b"not numpy", None])
def test_damaged_human_counts_are_one_clear_line(results: Results, tmp_path: Path, content: bytes | None) -> None:
    people, (predictions,) = tmp_path / "counts.npy", results.view.predictions("level1/finetuned")
    if content is None:
        np.save(people, np.ones((1, 10)))  # of fewer images than are tested
    else:
        people.write_bytes(content)
    official = replace(predictions, indices=predictions.indices + BEGINS)
    with pytest.raises(StudyError, match="counts.npy is damaged or of another test set"):
        list(people_facts(people, official, (), BEGINS))
