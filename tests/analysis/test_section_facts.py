"""Facts of single sections."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.evidence import Fact
from analysis.results import Results, results_of
from analysis.section_facts import (
    CIFAR_TRAINING_IMAGES,
    _people_facts,
    audit_of,
    class_facts,
    deployment_facts,
    ensemble_facts,
    int8_speeds,
    label_facts,
    search_facts,
    trust_facts,
)
from analysis.view import view_study
from study.errors import StudyError
from study.records import Predictions, load_plan, write_json
from tests.fabricate import fabricate


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return results_of(view_study(fabricate(tmp_path_factory.mktemp("study"), images=300)))


def by_name(facts: object) -> dict[str, Fact]:
    return {fact.name: fact for fact in facts}  # type: ignore[attr-defined]


def test_most_confused_pair_is_counted_from_the_predictions(results: Results) -> None:
    facts = by_name(class_facts(results))
    predictions, classes = results.view.predictions(results.best[3])[0], results.view.classes
    true, predicted = (classes.index(facts[f"confused/{side}"].text) for side in ("true", "predicted"))
    assert facts["confused/count"].value == ((predictions.labels == true) & (predictions.predicted == predicted)).sum()


def test_worst_class_has_the_lowest_recall(results: Results) -> None:
    facts = by_name(class_facts(results))
    predictions = results.view.predictions(results.best[3])[0]
    recalls = [predictions.correct[predictions.labels == label].mean() for label in range(10)]
    assert facts["worst-class/recall"].value == pytest.approx(min(recalls))
    assert facts["worst-class/name"].text == results.view.classes[int(np.argmin(recalls))]


def test_gain_of_the_ensemble_is_fixed_less_broken(results: Results) -> None:
    facts = by_name(ensemble_facts(results))
    images = facts["ensemble/fixed"].value - facts["ensemble/broken"].value
    assert facts["ensemble/gain"].value == pytest.approx(images / 300)


def test_calibration_and_uncertainty_are_reported_for_the_test_images(results: Results) -> None:
    facts = by_name(trust_facts(results))
    assert facts["calibration/ece-before"].unit == "percent"
    assert facts["uncertainty/best-auroc"].value == max(
        fact.value for name, fact in facts.items() if name == f"uncertainty/auroc-{results.trust.chosen}"  # type: ignore[union-attr]
    )  # fmt: skip
    assert facts["selective/risk"].value < facts["selective/risk-of-all"].value


def test_size_ratio_is_float_over_int8_bytes(results: Results) -> None:
    fact = by_name(deployment_facts(results))["int8/level5/int8-static/size-ratio"]
    assert (fact.value, fact.text) == (6_000_000 / 1_600_000, "3.8")


def test_speedup_compares_a_model_with_its_own_quantised_form(results: Results) -> None:
    speeds = {speed.key: (speed.full, speed.int8) for speed in int8_speeds(results)}
    assert speeds["level5/int8-static"] == (1.4, 0.7)
    assert by_name(deployment_facts(results))["latency/level5/int8-static/speedup"].text == "2.00"


def test_search_reports_the_trial_it_settled_on(results: Results) -> None:
    facts = by_name(search_facts(results))
    run, trials = results.view.runs_of("level2/search")[0], results.view.trials("level2/search")
    best = trials[run.metrics["best_trial"]]
    assert facts["search/level2/search/trials"].value == len(trials)
    assert facts["search/level2/search/learning-rate"].value == best["params"]["learning_rate"]


def test_audited_errors_use_positions_in_the_official_test_set(tmp_path: Path) -> None:
    votes = [
        {"id": 3, "mturk": {"given": 1}},
        {"id": 5, "mturk": {"given": 4}},
        {"id": 9, "mturk": {"given": 0}},
    ]
    (tmp_path / "audit.json").write_text(json.dumps(votes))
    indices = CIFAR_TRAINING_IMAGES + np.array([3, 4, 5])
    predictions = Predictions(indices, np.array([0, 0, 1]), np.eye(2, dtype=np.float32)[[1, 0, 1]])
    audit = audit_of(tmp_path / "audit.json", predictions)
    assert (audit.tested, audit.wrong, audit.suspected, audit.faulty) == (3, 1, 2, 1)
    assert (audit.wrong_suspected, audit.wrong_faulty) == (1, 1)


def test_label_facts_need_the_optional_files(tmp_path: Path) -> None:
    study, data = fabricate(tmp_path / "study", images=60), tmp_path / "data"
    data.mkdir()
    plan = load_plan(study)
    plan["dataset"]["folder"] = str(data)
    write_json(study / "study.json", plan)
    assert set(by_name(label_facts(results_of(view_study(study))))) == {"labels/model"}


def test_pending_sections_yield_no_facts(tmp_path: Path) -> None:
    empty = results_of(view_study(fabricate(tmp_path, seeds=())))
    for group in (class_facts, ensemble_facts, trust_facts, label_facts, deployment_facts, search_facts):
        assert list(group(empty)) == []


@pytest.mark.parametrize("content", [b"", b"not numpy", None])
def test_damaged_human_counts_are_one_clear_line(results: Results, tmp_path: Path, content: bytes | None) -> None:
    people, (predictions,) = tmp_path / "counts.npy", results.view.predictions("level1/finetuned")
    if content is None:
        np.save(people, np.ones((1, 10)))  # of fewer images than are tested
    else:
        people.write_bytes(content)
    with pytest.raises(StudyError, match="counts.npy is damaged or of another test set"):
        list(_people_facts(people, predictions, ()))
