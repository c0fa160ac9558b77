"""What a student has from its teacher."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.results import Results
from analysis.statistics.contrasts import Contrast
from analysis.statistics.crossed import FEWEST
from analysis.subjects.distillation import (
    AGREEMENT,
    CALIBRATION,
    ERRORS,
    PassedOn,
    Start,
    passed_on,
    passed_on_finding,
    start_finding,
    start_findings,
)
from study.metrics.calibration import expected_calibration_error, probabilities
from study.records import Predictions, Run


def test_measures_are_those_of_the_predictions(results: Results) -> None:
    view = results.view
    mobile = next(each for each in passed_on(results) if each.key == "level5/student")
    teacher = view.predictions(view.runs_of("level5/teacher-1")[0].metrics["teacher"])[0]
    student, twin = (view.predictions(key)[0] for key in (mobile.key, mobile.control))
    assert mobile.taught[AGREEMENT] == pytest.approx((student.predicted == teacher.predicted).mean())
    wrong = ~teacher.correct
    shared = (student.predicted[wrong] == teacher.predicted[wrong]).mean()
    assert mobile.taught[ERRORS] == pytest.approx(shared)
    ece = expected_calibration_error(probabilities(twin.logits), twin.labels)
    assert mobile.untaught[CALIBRATION] == pytest.approx(ece)
    assert mobile.differences[ERRORS].difference == pytest.approx(mobile.taught[ERRORS] - mobile.untaught[ERRORS])


def test_each_seed_is_compared_with_its_own_teacher(two_seeds: Results) -> None:
    view = two_seeds.view
    answers = dict(view.runs["level5/teacher-1"])
    first, second = [key for key in view.experiments if key in ("level1/finetuned", "level3/scratch-cnn")]
    for seed, teacher in enumerate((first, second)):
        answers[seed] = replace(answers[seed], metrics=answers[seed].metrics | {"teacher": teacher})
    changed = replace(two_seeds, view=replace(view, runs={**view.runs, "level5/teacher-1": answers}))
    (mobile, *_) = passed_on(changed)
    teachers = view.predictions(first)[0], view.predictions(second)[1]
    agreed = [(a.predicted == b.predicted).mean() for a, b in zip(view.predictions(mobile.key), teachers, strict=True)]
    assert mobile.taught[AGREEMENT] == pytest.approx(np.mean(agreed))
    (told,), reached = start_findings(changed), 100 * np.mean([teacher.correct.mean() for teacher in teachers])
    assert told.sentence.startswith(f"On test images the teachers reach on average {reached:.2f} %, ")


@pytest.mark.parametrize(("errors", "told"), [(FEWEST - 1, False), (FEWEST, True)])
def test_few_errors_of_a_teacher_are_not_compared(
    results: Results, monkeypatch: pytest.MonkeyPatch, errors: int, told: bool
) -> None:
    teacher, predictions = results.view.runs_of("level5/teacher-1")[0].metrics["teacher"], Run.predictions

    def with_errors(run: Run, split: str) -> Predictions:
        found = predictions(run, split)
        logits = np.eye(found.logits.shape[1])[found.labels]
        logits[:errors] = np.roll(logits[:errors], 1, axis=1)
        return replace(found, logits=logits) if run.key == teacher else found

    monkeypatch.setattr(Run, "predictions", with_errors)
    for each in passed_on(results):
        assert (ERRORS in each.differences) == told
        assert ("too few errors" not in passed_on_finding(each, "the student", "its twin").sentence) == told


def test_students_of_one_teacher_are_one_family(results: Results, empty: Results) -> None:
    found = passed_on(results)
    assert [each.key for each in found] == ["level5/student", "level5/compact-student"]
    assert {contrast.family for each in found for contrast in each.differences.values()} == {6}
    assert passed_on(empty) == []


@pytest.mark.parametrize(
    ("sign", "verdict", "words"),
    [(1, "supported", "more often than"), (-1, "contradicted", "less often than"),
     (0, "inconclusive", "not detectably more often than")],
)  # fmt: skip
def test_words_are_on_agreement_and_errors_with_the_teacher(sign: int, verdict: str, words: str) -> None:
    changes = {name: Contrast(0.01 * sign, 0, 0, 0.01 if sign else 0.5) for name in (AGREEMENT, ERRORS, CALIBRATION)}
    shares = dict.fromkeys(changes, 0.5)
    told = passed_on_finding(PassedOn("s", "c", shares, shares, changes), "the student", "its twin")
    assert told.verdict == verdict and f"gives its teacher’s answer {words} its twin" in told.sentence


def test_agreement_that_accuracy_explains_is_nothing_passed_on() -> None:
    changes = {AGREEMENT: Contrast(0.01, 0, 0, 0.01), ERRORS: Contrast(-0.01, 0, 0, 0.01)}
    changes[CALIBRATION] = Contrast(0.0, 0, 0, 1.0)
    shares = dict.fromkeys(changes, 0.5)
    told = passed_on_finding(PassedOn("s", "c", shares, shares, changes), "the student", "its twin")
    assert told.verdict == "contradicted" and "answer more often than its twin" in told.sentence
    assert "it repeats fewer of the teacher’s errors" in told.sentence


def test_too_few_seeds_say_what_these_networks_do_and_end_in_no_verdict() -> None:
    changes = {name: Contrast(0.01, 0, 0, 0.01, decidable=False) for name in (AGREEMENT, ERRORS, CALIBRATION)}
    shares = dict.fromkeys(changes, 0.5)
    told = passed_on_finding(PassedOn("s", "c", shares, shares, changes), "the student", "its twin")
    assert told.verdict == "inconclusive" and "answer more often than its twin" in told.sentence
    assert told.sentence.endswith("this is about these networks, as a verdict on recipes takes 3 seeds or more.")


def test_twins_stand_beside_the_teacher_of_their_students(results: Results, empty: Results) -> None:
    (told,) = start_findings(results)
    teacher = results.view.runs_of("level5/teacher-1")[0].metrics["teacher"]
    reached = [f"{100 * results.accuracies[key].mean:.2f} %" for key in (teacher, "level5/student-alone")]
    assert told.sentence.startswith(f"On test images the teacher reaches {reached[0]}, the untaught MobileNetV3-Small ")
    assert reached[1] in told.sentence and list(start_findings(empty)) == []


def test_a_teacher_behind_and_a_twin_that_has_not_learned_are_said() -> None:
    good, weak, strong = Start("a twin", 0.6, 0.9), Start("a weak twin", 0.2, 0.39), Start("a strong one", 0.8, 1.0)
    assert start_finding(0.7, 0.8, [good], ()).verdict == "supported"
    told = start_finding(0.7, 0.8, [weak, strong], ())
    assert told.verdict == "contradicted" and told.sentence == (
        "On test images the teacher reaches 70.00 %, a weak twin 20.00 % and a strong one 80.00 %. The teacher "
        "is no more accurate there than a strong one. A weak twin is right on only 39.00 % of its training "
        "images: it has hardly learned, and its comparisons say little about longer training."
    )
