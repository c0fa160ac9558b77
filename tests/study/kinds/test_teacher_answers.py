from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import accuracy_score
from torch import Tensor

from study import records
from study.data.augmentation import fixed_view
from study.experiment import Architecture, Augmentation
from study.kinds import TeacherAnswers
from study.kinds.teacher_answers import ANSWERS
from study.models.classifier import load_trained, prepare
from study.records import Run
from tests.exported_models import MOBILENET, OWN, classifier
from tests.study.kinds.workshop import RECIPE, Workshop, network

pytestmark = pytest.mark.usefixtures("one_thread")
assert MOBILENET  # these tests share the exporter's worker

FLIP = Augmentation(flip=True, crop=2)
VALIDATION = {"a": 0.2, "b": 0.4, "c": 0.3}
BY_RANK = ("level3/b", "level3/c", "level3/a")
TEACHER = TeacherAnswers(
    level=5, name="teacher", candidates=tuple(f"level3/{name}" for name in VALIDATION), augmentation=FLIP, views=3
)


def record_candidates(workshop: Workshop) -> dict[str, Run]:
    runs = (workshop.untrained(network(n), metrics={"validation_accuracy": a}) for n, a in VALIDATION.items())
    return {run.key: run for run in runs}


def asked(run: Run, images: Tensor) -> np.ndarray:
    """Probabilities (N, C) of a recorded network, by torch and SciPy."""
    model = load_trained(run, 10)
    with torch.no_grad():
        return softmax(model(prepare(images, 32, model)).double().numpy(), axis=1)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_answers_are_of_the_same_views_by_the_best_candidates_on_validation(workshop: Workshop, rank: int) -> None:
    workshop = replace(workshop, seed=1)
    runs, seen = record_candidates(workshop), list[int]()
    context = workshop.context(TEACHER, seen.append)
    outcome = replace(TEACHER, rank=rank).carry_out(context)
    assert outcome.metrics["teacher"] == BY_RANK[rank - 1]
    views = [fixed_view(context.images("train"), FLIP, 1, number) for number in range(3)]
    expected = np.stack([asked(runs[BY_RANK[rank - 1]], view) for view in views])
    np.testing.assert_allclose(outcome.arrays[ANSWERS], expected, atol=1e-5)
    assert outcome.arrays[ANSWERS].dtype == np.float32
    assert seen == [80, 80, 80]


def test_teachers_accuracy_is_that_on_all_validation_images(workshop: Workshop) -> None:
    best = record_candidates(workshop)["level3/b"]
    recorded = best.predictions("validation")
    expected = accuracy_score(recorded.labels, recorded.predicted)
    told = TEACHER.carry_out(workshop.context(TEACHER)).metrics["teacher_validation_accuracy"]
    assert told == pytest.approx(expected) and told != best.metrics["validation_accuracy"]


def test_int8_answers_are_close_to_those_in_float_and_the_same_again(workshop: Workshop) -> None:
    architecture = Architecture(OWN, attention="se", dropout=0.2)
    undecided = deepcopy(classifier(OWN))
    with torch.no_grad():
        shown = undecided(prepare(workshop.context(TEACHER).images("train"), 32, undecided))
        undecided.classifier.bias.sub_(shown.mean(dim=0))  # or one class would win for all images of the workshop
    workshop.untrained(network("own", RECIPE, architecture), undecided)
    teacher = replace(TEACHER, candidates=("level3/own",), views=1)
    exact, int8, again = (
        replace(teacher, int8=how).carry_out(workshop.context(teacher)).arrays[ANSWERS] for how in (False, True, True)
    )
    assert not np.array_equal(int8, exact) and np.array_equal(int8, again)
    np.testing.assert_allclose(int8.sum(axis=2), 1, atol=1e-5)
    assert exact.std(axis=1).mean() > 0.02, "answers must depend on the image for the comparison to mean something"
    assert np.abs(int8 - exact).mean() < 0.2 * exact.std(axis=1).mean()


def test_the_studys_teachers_are_the_best_members_by_validation(tiny_study: Path) -> None:
    plan = records.read_plan(tiny_study)
    runs = records.current_runs(tiny_study, plan)
    teachers = [run for run in runs.values() if isinstance(run.experiment, TeacherAnswers)]
    judged = {key: runs[f"{key}/seed-0"].metrics["validation_accuracy"] for key in teachers[0].experiment.needs}
    best = sorted(judged.values(), reverse=True)
    assert len(teachers) == 2 and len({run.metrics["teacher"] for run in teachers}) == 2
    for rank, run in enumerate(teachers):
        assert judged[run.metrics["teacher"]] == best[rank]
        assert run.arrays[ANSWERS].shape == (2, 80, 10)
        # in int8, or it would be the very accuracy recorded
        assert abs(run.metrics["teacher_validation_accuracy"] - best[rank]) <= 0.1
