from __future__ import annotations

from dataclasses import replace

import pytest

from study.data import Dataset
from study.estimate import Estimator
from study.experiment import Search, Training
from study.levels import experiments
from study.machine import Machine
from tests.conftest import TINY

PLAN = experiments(TINY)
BY_KEY = {experiment.key: experiment for experiment in PLAN}


@pytest.mark.usefixtures("one_thread")
def test_estimates_grow_with_the_work(digits: Dataset, cpu: Machine) -> None:
    estimator = Estimator(digits, cpu, PLAN)
    frozen, tuned, searched = (
        estimator.seconds(BY_KEY[key]) for key in ("level1/head-only", "level2/augmented", "level2/search")
    )
    assert frozen < tuned < searched
    assert 0 < estimator.seconds(BY_KEY["level4/hard"]) < tuned


def test_every_view_at_test_is_counted(digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    estimator, alone = Estimator(digits, cpu, PLAN), BY_KEY["level3/scratch-cnn"]
    assert isinstance(alone, Training)
    monkeypatch.setattr(estimator, "_per_image", lambda *_: (0.0, 1.0))
    viewed = replace(alone, recipe=replace(alone.recipe, flip_at_test=True))
    assert estimator.seconds(viewed) - estimator.seconds(alone) == pytest.approx(40 + 70)


def test_teachers_answers_are_counted(digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    estimator = Estimator(digits, cpu, PLAN)
    monkeypatch.setattr(estimator, "_per_image", lambda *_: (0.0, 1.0))
    alone, one, several = (
        estimator.seconds(BY_KEY[f"level5/{name}"]) for name in ("student-alone", "student", "student-ensemble")
    )
    assert one - alone == pytest.approx(TINY.mobile_student.epochs * 80)
    assert several - alone == pytest.approx(TINY.teachers.ensemble * TINY.mobile_student.epochs * 80)
    student = BY_KEY["level5/compact-student"]
    assert isinstance(student, Training) and student.distillation
    assert student.distillation.last_epochs == 1 < student.recipe.epochs
    assert estimator.seconds(student) - estimator.seconds(BY_KEY[student.control]) == pytest.approx(80)


def test_images_are_those_the_trainer_will_report(digits: Dataset, cpu: Machine) -> None:
    estimator = Estimator(digits, cpu, PLAN)
    tuned, search = BY_KEY["level2/augmented"], BY_KEY["level2/search"]
    assert isinstance(tuned, Training) and isinstance(search, Search)
    assert estimator.images(tuned) == tuned.recipe.epochs * 80
    trials = search.trials * search.trial_epochs * search.trial_images
    assert estimator.images(search) == search.base.recipe.epochs * 80 + trials
    assert estimator.images(BY_KEY["level4/hard"]) == 0
