"""Grad-CAM on untrained networks: which images, which maps, and that ROAD is the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from study import records
from study.data.datasets import Dataset, evenly
from study.design import levels
from study.design.presets import by_name
from study.experiment import Architecture, from_data, to_data
from study.kinds import GradCam, Training
from study.kinds.gradcam import ABSENT, activation_maps, choose, road
from study.machine import Machine
from study.models import classifier
from study.models.classifier import Classifier, build, prepare
from study.records import Outcome, Predictions, Run
from tests.study.kinds.workshop import Workshop, network

KEY = ("level3/plain", "level3/attended")
MEASURED = 4


def test_chosen_images_are_a_typical_hit_and_the_surest_error_of_each_class() -> None:
    margins = np.array([1.0, 3.0, 2.0, -1.0, -4.0, 5.0])  # of class 0 over class 1
    labels = np.array([0, 0, 0, 0, 0, 1])
    logits = np.column_stack([margins, np.zeros(6)]).astype(np.float32)
    correct, wrong = choose(Predictions(np.arange(6), labels, logits), 2)
    assert correct.tolist() == [2, ABSENT]
    assert wrong.tolist() == [4, 5]


def with_fitted_head(experiment: Training, digits: Dataset) -> Classifier:
    """A network of random weights whose last layer is fitted to a few images by least squares."""
    few = digits.train[: 60 if experiment.architecture.attention else 20]
    model = build(experiment.architecture, 10, seed=1).eval()
    with torch.inference_mode():
        features = model.embedding(prepare(digits.images[few], 32, model))
        wanted = functional.one_hot(digits.labels[few], 10) - 0.1
        solved = torch.linalg.solve(features.T @ features + 0.1 * torch.eye(features.shape[1]), features.T @ wanted)
        model.classifier.weight.copy_(solved.T)
    return model


@pytest.fixture(scope="module")
def looked(
    tmp_path_factory: pytest.TempPathFactory, digits: Dataset, cpu: Machine
) -> tuple[Workshop, list[Run], Outcome]:
    """Two networks with nothing trained but their heads, and where they look."""
    workshop = Workshop(tmp_path_factory.mktemp("study"), digits, cpu)
    attended = replace(network("attended"), architecture=Architecture("compact_cnn_small", attention="se"))
    runs = [workshop.untrained(each, with_fitted_head(each, digits)) for each in (network("plain"), attended)]
    experiment = GradCam(level=3, name="grad-cam", sources=KEY, road_images=MEASURED)
    return workshop, runs, experiment.carry_out(workshop.context(experiment))


def test_images_are_those_that_the_last_source_was_asked_about(looked: tuple[Workshop, list[Run], Outcome]) -> None:
    workshop, runs, outcome = looked
    predictions, found = runs[-1].predictions("test"), outcome.arrays
    correct, wrong = choose(predictions, 10)
    shown = {ABSENT: None}
    for rows, chosen, right in ((found["correct"], correct, True), (found["wrong"], wrong, False)):
        for label, (row, position) in enumerate(zip(rows, chosen, strict=True)):
            assert (row == ABSENT) == (position == ABSENT)
            if row != ABSENT:
                image = workshop.dataset.images[predictions.indices[position]].numpy()
                assert np.array_equal(found["images"][row], image) and found["images"].dtype == np.uint8
                assert found["targets"][row] == label
                assert found["predicted"][row] == predictions.predicted[position]
                assert (found["predicted"][row] == label) == right
                shown[row] = label
    assert len(shown) - 1 == len(found["images"]) >= 10


def all_right(runs: list[Run]) -> np.ndarray:
    """Places of the test images that all networks classify correctly."""
    return np.flatnonzero(np.all([run.predictions("test").correct for run in runs], axis=0))


def test_every_source_has_a_map_of_every_image_in_zero_to_one_and_a_score(
    looked: tuple[Workshop, list[Run], Outcome],
) -> None:
    _, _, outcome = looked
    maps = outcome.arrays["maps"]
    assert maps.shape == (2, len(outcome.arrays["images"]), 32, 32)
    assert maps.min() >= 0 and maps.max() <= 1 and not np.array_equal(maps[0], maps[1])
    scores = outcome.arrays["road"]
    assert len(scores) == 2 and scores.shape[1] == MEASURED
    assert np.abs(scores).max() <= 1 and not np.array_equal(*scores)


def test_maps_and_scores_are_those_of_each_network_for_the_true_class(
    looked: tuple[Workshop, list[Run], Outcome],
) -> None:
    workshop, runs, outcome = looked
    found, context = outcome.arrays, workshop.context(runs[0].experiment)
    predictions = runs[-1].predictions("test")
    asked = all_right(runs)[evenly(len(all_right(runs)), MEASURED).numpy()]
    images, truth = workshop.dataset.with_numbers(predictions.indices[asked]), predictions.labels[asked]
    for run, maps, scores in zip(runs, found["maps"], found["road"], strict=True):
        model, _ = context.network(run)
        shown = torch.from_numpy(found["images"])
        np.testing.assert_allclose(activation_maps(model, 32, shown, found["targets"]), maps, atol=1e-5)
        expected = road(model, 32, images, activation_maps(model, 32, images, truth), truth)
        np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_networks_are_compared_on_images_that_all_of_them_classify_correctly(
    looked: tuple[Workshop, list[Run], Outcome],
) -> None:
    _, runs, outcome = looked
    agreed, alone = len(all_right(runs)), [len(all_right([run])) for run in runs]
    assert MEASURED < agreed < min(alone), "the networks differ"
    assert outcome.arrays["road"].shape == (2, MEASURED)


def test_of_no_images_there_are_neither_maps_nor_scores(digits: Dataset) -> None:
    assert not len(evenly(0, 100))
    model, none = build(Architecture("compact_cnn_small"), 10, seed=0).eval(), digits.images[:0]
    maps = activation_maps(model, 32, none, np.empty(0, dtype=int))
    assert maps.shape == (0, 32, 32) and road(model, 32, none, maps, np.empty(0, dtype=int)).shape == (0,)


def test_a_map_is_of_the_class_that_it_is_asked_for(digits: Dataset) -> None:
    model, images = build(Architecture("compact_cnn_small"), 10, seed=0).eval(), digits.images[:3]
    maps = activation_maps(model, 32, images, np.array([0, 1, 2]))
    others = activation_maps(model, 32, images, np.array([0, 1, 5]))
    assert np.array_equal(maps[:2], others[:2]) and not np.array_equal(maps[2], others[2])


def test_road_is_the_same_each_time_and_leaves_the_random_state(digits: Dataset) -> None:
    model, images, targets = build(Architecture("compact_cnn_small"), 10, seed=0).eval(), digits.images[:2], [3, 4]
    maps = np.random.default_rng(0).random((2, 32, 32)).astype(np.float32)
    before = torch.get_rng_state()
    first, second = (road(model, 32, images, maps, np.array(targets)) for _ in range(2))
    assert first.shape == (2,) and np.array_equal(first, second)
    assert torch.equal(before, torch.get_rng_state())


class Patch(torch.nn.Module):
    """Sees nothing but the mean of a patch, which speaks for the second class."""

    normalise = torch.nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = x[:, :, 4:12, 4:12].mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([-20 * seen, 20 * seen], dim=1)


def test_road_of_a_map_is_high_where_it_marks_what_the_network_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "prepare", lambda images, size, model: images.float())
    images, marked = torch.zeros(2, 3, 32, 32), np.random.default_rng(0).random((2, 32, 32)).astype(np.float32) / 10
    images[:, :, 4:12, 4:12] = 1
    marked[:, 4:12, 4:12] += 0.9
    rightly, wrongly = (road(Patch(), 32, images, each, np.array([1, 1])) for each in (marked, 1 - marked))
    assert (rightly > 0.4).all() and (wrongly < -0.4).all()


def test_grad_cam_of_the_study_is_that_of_the_se_head_and_its_control(tiny_study: Path) -> None:
    run = records.load_run(tiny_study / "level3/grad-cam/seed-0")
    assert run.experiment.needs == ("level2/augmented", "level3/se-head")
    assert len(run.arrays["road"]) == len(run.arrays["maps"]) == 2 and not run.predicts()


def test_records_of_before_the_number_of_images_was_a_setting_are_not_current() -> None:
    (planned,) = (each for each in levels.experiments(by_name("cpu")) if isinstance(each, GradCam))
    recorded = to_data(planned)
    assert from_data(recorded) == planned and recorded.pop("road_images") == 100
    assert from_data(recorded) != planned


def test_of_many_classes_evenly_spaced_ones_are_looked_at() -> None:
    labels = np.arange(100)
    logits = np.eye(100, dtype=np.float32)
    correct, wrong = choose(Predictions(labels, labels, logits), 100)
    looked_at = np.flatnonzero(correct != ABSENT)
    assert len(looked_at) == 40 and {0, 99} <= set(looked_at.tolist()) and set(np.diff(looked_at)) == {2, 3}
    assert (wrong == ABSENT).all()
