from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from study.data import ood
from study.data.datasets import Dataset
from study.data.ood import Outliers
from study.design.levels import experiments
from study.experiment import Search, Training
from study.machine import Machine
from study.running.estimate import Estimator
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
    whole = replace(student, branches_off="")
    assert estimator.seconds(whole) - estimator.seconds(BY_KEY[student.control]) == pytest.approx(80)


def test_estimates_do_not_depend_on_what_was_estimated_before(
    digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(_: object, *timed: object) -> tuple[float, float]:
        size = float(timed[-1].at(0).image_size)  # type: ignore[attr-defined]
        return size, size

    monkeypatch.setattr(Estimator, "_measure", measure)
    student = BY_KEY["level5/compact-student"]
    first, later = (Estimator(digits, cpu, PLAN) for _ in range(2))
    later.seconds(BY_KEY["level5/student"])  # asks for level 3's network, whose images grow
    assert first.seconds(student) == later.seconds(student)


def test_epochs_that_another_run_trained_are_not_counted(
    digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator, student = Estimator(digits, cpu, PLAN), BY_KEY["level5/compact-student"]
    monkeypatch.setattr(estimator, "_per_image", lambda *_: (1.0, 0.0))
    assert isinstance(student, Training) and student.shared_epochs == student.recipe.epochs - 1
    whole = replace(student, branches_off="")
    assert estimator.seconds(whole) - estimator.seconds(student) == pytest.approx(80 * student.shared_epochs)
    assert (estimator.images(whole), estimator.images(student)) == (80 * student.recipe.epochs, 80)


def test_networks_that_are_only_evaluated_count_their_images_and_views(
    digits: Dataset, cpu: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewed = replace(TINY, views_at_test=True)
    estimator = Estimator(digits, cpu, experiments(viewed))
    monkeypatch.setattr(estimator, "_per_image", lambda *_: (0.0, 1.0))
    monkeypatch.setattr(ood, "at_hand", lambda _: Outliers("dots", torch.zeros(5, 3, 32, 32)))
    dropout, others = BY_KEY["level5/mc-dropout"], BY_KEY["level5/out-of-distribution"]
    assert estimator.seconds(dropout) == pytest.approx(2 * (40 + 70 + 5), rel=0.01)
    assert estimator.seconds(others) == pytest.approx(len(others.needs) * 2 * 5, rel=0.02)


def test_images_are_those_the_trainer_will_report(digits: Dataset, cpu: Machine) -> None:
    estimator = Estimator(digits, cpu, PLAN)
    tuned, search = BY_KEY["level2/augmented"], BY_KEY["level2/search"]
    assert isinstance(tuned, Training) and isinstance(search, Search)
    assert estimator.images(tuned) == tuned.recipe.epochs * 80
    trials = search.trials * search.trial_epochs * search.trial_images
    assert estimator.images(search) == search.base.recipe.epochs * 80 + trials
    assert estimator.images(BY_KEY["level4/hard"]) == 0
