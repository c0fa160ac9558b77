"""What a student has from its teacher."""

from __future__ import annotations

import pytest

from analysis.results import Results
from analysis.statistics.contrasts import Contrast
from analysis.subjects.distillation import (
    AGREEMENT,
    CALIBRATION,
    ERRORS,
    PassedOn,
    passed_on,
    passed_on_finding,
)
from study.metrics.calibration import expected_calibration_error, probabilities


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
def test_verdict_is_on_agreement_with_the_teacher(sign: int, verdict: str, words: str) -> None:
    changes = {name: Contrast(0.01 * sign, 0, 0, 0.01 if sign else 0.5) for name in (AGREEMENT, ERRORS, CALIBRATION)}
    shares = dict.fromkeys(changes, 0.5)
    told = passed_on_finding(PassedOn("s", "c", shares, shares, changes), "the student", "its twin")
    assert told.verdict == verdict and f"gives its teacher’s answer {words} its twin" in told.sentence
