"""Teachers, int8 and latency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sklearn.metrics import accuracy_score

from analysis.results import Results
from analysis.subjects.deployment import (
    Speed,
    agreement_facts,
    deployment,
    int8_speeds,
    latency_facts,
    latency_finding,
    pareto,
    plan_facts,
    teacher_facts,
)


def test_settings_are_known_before_any_run(empty: Results) -> None:
    printed = {fact.name: fact.text for fact in plan_facts(empty)}
    assert printed["setting/level5/latency/repeats"] == "200"
    assert printed["setting/level5/int8-static/calibration-images"] == "640"
    assert printed["answers/level5/teacher-1/views"] == "6"
    assert printed["answers/level5/teacher-1/arithmetic"] == "eight-bit integers"


def test_teachers_are_named_and_as_right_as_recorded(two_seeds: Results, named: Callable) -> None:
    facts, view, key = named(teacher_facts(two_seeds)), two_seeds.view, "level5/teacher-1"
    runs = view.runs_of(key)
    recorded = [run.metrics["teacher_validation_accuracy"] for run in runs]
    assert facts[f"teacher-accuracy/{key}"].value == pytest.approx(sum(recorded) / 2)
    assert facts[f"teacher-accuracy/{key}"].runs == tuple(run.name for run in runs)
    first, second = (view.phrase(run.metrics["teacher"]) for run in runs)
    assert facts[f"teacher-name/{key}"].text == f"{first} or, with another seed, {second}"
    assert {name.split("/", 1)[1] for name in facts} == {"level5/teacher-1", "level5/teacher-2"}


def test_size_ratio_is_float_over_int8_bytes(results: Results, named: Callable) -> None:
    timed = results.deployment.set_index(["model", "precision"])["bytes"]
    fact = named(latency_facts(results))["size/level5/int8-static/ratio"]
    assert fact.value == timed["level5/student", "float32"] / 1_600_000


def test_speedup_compares_a_model_with_its_own_quantised_form(results: Results, named: Callable) -> None:
    speeds = {speed.key: (speed.full, speed.int8) for speed in int8_speeds(results)}
    timed = results.deployment.set_index(["model", "precision"])["p50_ms"]
    assert speeds["level5/int8-static"] == (timed["level5/student", "float32"], 0.7)
    fact = named(latency_facts(results))["latency/level5/int8-static/speedup"]
    assert fact.value == pytest.approx(timed["level5/student", "float32"] / 0.7)


@pytest.mark.parametrize(("low", "high", "apart"), [(0.6, 0.9, True), (0.6, 50.0, False), (40.0, 50.0, True)])
def test_medians_are_apart_where_their_intervals_are(results: Results, low: float, high: float, apart: bool) -> None:
    int8 = results.deployment["precision"] == "int8"
    frame = results.deployment.assign(
        p50_low_ms=results.deployment["p50_low_ms"].mask(int8, low),
        p50_high_ms=results.deployment["p50_high_ms"].mask(int8, high),
    )
    speeds = int8_speeds(replace(results, deployment=frame))
    assert speeds and {speed.apart for speed in speeds} == {apart}


def test_latencies_are_those_of_the_processor_that_timed_them(results: Results, named: Callable) -> None:
    assert named(latency_facts(results))["latency/processor"].text == "Synthetic CPU"


@pytest.mark.parametrize(
    ("full", "int8", "apart", "verdict"),
    [(2.0, 1.0, True, "supported"), (1.0, 2.0, True, "contradicted"), (1.0, 1.01, True, "inconclusive"),
     (2.0, 1.0, False, "inconclusive"), (1.0, 2.0, False, "inconclusive")],
)  # fmt: skip
def test_speed_of_int8_is_judged_by_median_latency(full: float, int8: float, apart: bool, verdict: str) -> None:
    finding = latency_finding([Speed("level5/int8", "Student", full, int8, 3.75, apart)])
    assert ("not shown to differ in speed" in finding.sentence) == (not apart)
    assert finding.verdict == verdict
    assert "Student" in finding.sentence and "file 3.8 times smaller" in finding.sentence


def test_one_slower_int8_model_contradicts_and_each_is_named() -> None:
    finding = latency_finding([Speed("a", "One", 2.0, 1.0, 4.0, True), Speed("b", "Two", 1.0, 2.0, 1.0, True)])
    assert finding.verdict == "contradicted"
    assert "2.00 times as fast" in finding.sentence and "2.00 times as slow" in finding.sentence
    assert "file as large" in finding.sentence
    assert {*finding.facts} == {"latency/a/speedup", "latency/b/speedup", "size/a/ratio", "size/b/ratio"}


def test_deployment_prints_megabytes_and_milliseconds(results: Results) -> None:
    table = deployment(results)
    assert table is not None
    int8 = [row for row in table.rows if row[1] == "int8"]
    assert len(int8) == 3 and {row[4:7] for row in int8} == {("1.60", "0.70 (0.66–0.77)", "0.84")}


def test_models_that_another_one_beats_are_named(results: Results) -> None:
    frame = results.deployment.assign(p50_ms=1.0, accuracy=0.5)
    frame.loc[1:, "p50_ms"], frame.loc[1:, "accuracy"] = 2.0, 0.6
    frame.loc[2, "accuracy"] = 0.4
    figure = pareto(replace(results, deployment=frame))
    beaten, words = results.view.phrase(frame["model"][2]), "that is at least as fast and as accurate"
    assert figure is not None
    assert figure.caption.startswith(f"Of {len(frame)} timed models, beaten by another one {words}: {beaten}. ")
    one_ahead = pareto(replace(results, deployment=frame.assign(p50_ms=[1.0, 2.0, 2.0, 2.0, 2.0, 2.0], accuracy=0.5)))
    ahead = results.view.phrase(frame["model"][0])
    assert one_ahead is not None and f"beaten by no other one {words}: {ahead}. " in one_ahead.caption
    equal = pareto(replace(results, deployment=frame.assign(p50_ms=1.0, accuracy=0.5)))
    assert equal is not None and f"{words}: none. " in equal.caption


def test_deployment_waits_for_its_runs(empty: Results) -> None:
    assert list(latency_facts(empty)) == list(teacher_facts(empty)) == []
    assert deployment(empty) is pareto(empty) is None


def test_int8_models_agree_with_their_sources_as_often_as_their_answers_are_equal(
    results: Results, empty: Results, named: Callable
) -> None:
    (int8, source) = (results.view.predictions(key)[0] for key in ("level5/int8-static", "level5/student"))
    told = named(agreement_facts(results))["int8/agreement"].text
    same = 100 * accuracy_score(source.predicted, int8.predicted)
    assert told.startswith(f"{same:.2f} % for the distilled MobileNetV3-Small in static int8 (95 % CI ")
    assert list(agreement_facts(empty)) == []
