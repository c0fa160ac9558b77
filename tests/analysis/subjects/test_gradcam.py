"""The Grad-CAM panel, drawn from recorded arrays."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.results import Results
from analysis.subjects.gradcam import GAP, TILE, draw, gradcam, mosaic, road_facts, shown
from study.kinds.gradcam import ABSENT

CLASSES = ("cat", "dog", "frog")


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """What a run of two networks records where no frog was taken for something else."""
    rng = np.random.default_rng(0)
    return {
        "images": rng.integers(0, 256, (5, 3, 32, 32), dtype=np.uint8),
        "targets": np.array([0, 0, 1, 1, 2]),
        "predicted": np.array([0, 1, 1, 2, 2]),
        "maps": rng.random((2, 5, 32, 32)).astype(np.float32),
        "correct": np.array([0, 2, 4]),
        "wrong": np.array([1, 3, -1]),
    }


def test_panel_has_a_column_per_class_and_a_row_per_image_and_map(arrays: dict[str, np.ndarray]) -> None:
    correct, wrong = draw(arrays, CLASSES, ["Plain", "SE head"]).axes
    assert [label.get_text() for label in correct.get_xticklabels()] == list(CLASSES)
    assert [label.get_text() for label in wrong.get_xticklabels()] == ["dog", "frog", ""]
    assert [len(axes.get_yticks()) for axes in (correct, wrong)] == [3, 3]


def test_mosaic_shows_each_image_above_its_maps_and_leaves_gaps_white(arrays: dict[str, np.ndarray]) -> None:
    pixels = mosaic(arrays, [-1, 4])
    assert pixels.shape == (3 * TILE + 2 * GAP, 2 * TILE + GAP, 3)
    assert (pixels[:, :TILE] == 255).all() and (pixels[TILE : TILE + GAP] == 255).all()
    shown = pixels[:TILE, TILE + GAP :].reshape(TILE // 3, 3, TILE // 3, 3, 3)[:, 1, :, 1]
    assert np.abs(shown.astype(int) - arrays["images"][4].transpose(1, 2, 0)).max() <= 1


def test_road_is_reported_of_each_source(results: Results) -> None:
    facts = list(road_facts(results))
    assert {fact.name: fact.text for fact in facts} == {
        "road/level2/augmented": "0.100", "road/level3/se-head": "0.120"
    }  # fmt: skip
    assert {fact.runs for fact in facts} == {("level3/grad-cam/seed-0",)}


def test_panel_waits_for_its_run_and_says_how_faithful_maps_are(results: Results, empty: Results) -> None:
    figure = gradcam(results, {})
    assert figure is not None and gradcam(empty, {}) is None and list(road_facts(empty)) == []
    assert "is 0.100 (Full recipe) and 0.120 (SE head)." in figure.caption


def test_of_many_classes_those_with_most_images_are_shown() -> None:
    rows = np.arange(60)
    arrays = {"correct": rows, "wrong": np.where(rows % 2, rows, ABSENT)}
    columns = shown(arrays)
    assert len(columns) == 12 and (columns % 2 == 1).all() and {1, 59} <= set(columns.tolist())
    assert shown({name: array[:5] for name, array in arrays.items()}).tolist() == [0, 1, 2, 3, 4]
