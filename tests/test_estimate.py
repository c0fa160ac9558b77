from __future__ import annotations

import pytest

from study.data import Dataset
from study.estimate import Estimator
from study.experiment import Search, Training
from study.levels import experiments
from study.machine import Machine
from tests.conftest import TINY

BY_KEY = {experiment.key: experiment for experiment in experiments(TINY)}


@pytest.mark.usefixtures("one_thread")
def test_estimates_grow_with_the_work(digits: Dataset, cpu: Machine) -> None:
    estimator = Estimator(digits, cpu)
    frozen, tuned, searched = (
        estimator.seconds(BY_KEY[key]) for key in ("level1/head-only", "level2/augmented", "level2/search")
    )
    assert frozen < tuned < searched
    assert 0 < estimator.seconds(BY_KEY["level4/hard"]) < tuned


def test_images_are_those_the_trainer_will_report(digits: Dataset, cpu: Machine) -> None:
    estimator = Estimator(digits, cpu)
    tuned, search = BY_KEY["level2/augmented"], BY_KEY["level2/search"]
    assert isinstance(tuned, Training) and isinstance(search, Search)
    assert estimator.images(tuned) == tuned.recipe.epochs * 80
    trials = search.trials * search.trial_epochs * search.trial_images
    assert estimator.images(search) == search.base.recipe.epochs * 80 + trials
    assert estimator.images(BY_KEY["level4/hard"]) == 0
