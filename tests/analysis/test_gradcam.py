"""Grad-CAM on untrained networks: which images, which maps, and when there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from analysis.figures.gradcam import GAP, TILE, draw, mosaic
from analysis.gradcam import activation_maps, choose, gallery, road
from analysis.view import StudyView, view_study
from study.data.datasets import Subset, load
from study.experiment import Architecture, Training, identity
from study.models.classifier import build, prepare
from study.records import MODEL, Predictions, finish, run_folder, write_arrays, write_json
from tests.fabricate import plan
from tests.fabricated_experiments import RECIPE

TITLE, KEY = "Tiny network", "level3/tiny"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of one untrained network on the bundled digits, with its true predictions."""
    study, dataset = tmp_path_factory.mktemp("study"), load("digits", None, Subset(100, 60, 60))
    architecture = Architecture("compact_cnn_small")
    experiment = Training(level=3, name="tiny", title=TITLE, architecture=architecture, recipe=RECIPE)
    entry = {"key": KEY, "kind": "Training", "level": 3, "name": "tiny", "title": TITLE,
             "control": "", "differs": "", "spec": identity(experiment)}  # fmt: skip
    write_json(study / "study.json", plan((0,), dataset.describe()) | {"experiments": [entry]})
    folder, model = run_folder(study, KEY, 0), build(architecture, 10, seed=0).eval()
    write_json(folder / "spec.json", {"experiment": identity(experiment), "seed": 0, "upstream": {}})
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / MODEL)
    arrays: dict[str, np.ndarray] = {}
    for split, indices in (("validation", dataset.validation), ("test", dataset.test)):
        with torch.inference_mode():
            logits = model(prepare(dataset.images[indices], 32, model))
        parts = {"indices": indices, "labels": dataset.labels[indices], "logits": logits}
        arrays |= {f"{split}_{name}": part.numpy() for name, part in parts.items()}
    write_arrays(folder / "predictions.npz", arrays)
    finish(folder, {"image_size": 32, "test_accuracy": 0.1, "validation_accuracy": 0.1}, {"total": 1.0})
    return study


@pytest.fixture(scope="module")
def view(study: Path) -> StudyView:
    return view_study(study)


def test_chosen_images_are_a_typical_hit_and_the_surest_error_of_each_class() -> None:
    margins = np.array([1.0, 3.0, 2.0, -1.0, -4.0, 5.0])  # of class 0 over class 1
    labels = np.array([0, 0, 0, 0, 0, 1])
    logits = np.column_stack([margins, np.zeros(6)]).astype(np.float32)
    zero, one = choose(Predictions(np.arange(6), labels, logits), 2)
    assert (zero.correct, zero.wrong) == (2, 4)
    assert (one.correct, one.wrong) == (None, 5)


def test_maps_lie_between_zero_and_one_at_the_images_size(view: StudyView) -> None:
    explained = gallery(view, [KEY])
    assert explained is not None
    maps = activation_maps(explained.runs[0], explained.images[:4], explained.targets[:4])
    assert maps.shape == (4, 32, 32)
    assert maps.min() >= 0 and maps.max() <= 1


def test_faithfulness_is_the_same_each_time_and_leaves_the_random_state(view: StudyView) -> None:
    explained = gallery(view, [KEY])
    assert explained is not None
    run, images, targets, maps = (
        explained.runs[0],
        explained.images[:2],
        explained.targets[:2],
        explained.maps[0][:2],
    )
    before = torch.get_rng_state()
    first, second = (road(run, images, maps, targets) for _ in range(2))
    assert first == second
    assert torch.equal(before, torch.get_rng_state())


def test_gallery_shows_the_images_that_were_predicted(view: StudyView) -> None:
    explained = gallery(view, [KEY])
    assert explained is not None
    predictions = view.predictions(KEY)[0]
    for index, row in explained.positions.items():
        assert explained.targets[row] == predictions.labels[index]
        assert explained.predicted[index] == view.classes[predictions.predicted[index]]


def test_panel_has_a_column_per_class_and_a_row_per_image_and_map(view: StudyView) -> None:
    explained = gallery(view, [KEY])
    assert explained is not None
    correct, wrong = draw(explained, [TITLE]).axes
    assert [label.get_text() for label in correct.get_xticklabels()] == list(view.classes)
    assert [len(axes.get_yticks()) for axes in (correct, wrong)] == [2, 2]


def test_mosaic_shows_each_image_above_its_map_and_leaves_gaps_white(view: StudyView) -> None:
    explained = gallery(view, [KEY])
    assert explained is not None
    index = next(choice.correct for choice in explained.choices if choice.correct is not None)
    pixels = mosaic(explained, [None, index])
    assert pixels.shape == (2 * TILE + GAP, 2 * TILE + GAP, 3)
    assert (pixels[:, :TILE] == 255).all() and (pixels[TILE : TILE + GAP] == 255).all()
    image = explained.images[explained.positions[index]].permute(1, 2, 0).numpy()
    shown = pixels[:TILE, TILE + GAP :].reshape(TILE // 3, 3, TILE // 3, 3, 3)[:, 1, :, 1]
    assert np.abs(shown.astype(int) - image).max() <= 1


def test_no_gallery_without_weights_or_data(study: Path, view: StudyView) -> None:
    assert gallery(view, ["level3/absent"]) is None
    gone = {"dataset": view.plan["dataset"] | {"stand_in": False, "folder": str(study / "gone")}}
    assert gallery(StudyView(view.plan | gone, view.experiments, view.runs), [KEY]) is None
    changed = {"dataset": view.plan["dataset"] | {"fingerprint": "0" * 64}}
    assert gallery(StudyView(view.plan | changed, view.experiments, view.runs), [KEY]) is None
