"""The Grad-CAM panel, drawn from recorded arrays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from analysis.results import Results
from analysis.statistics.comparison import Accuracy
from analysis.statistics.contrasts import Contrast
from analysis.subjects.gradcam import (
    GAP,
    TILE,
    Road,
    attention_facts,
    attention_finding,
    chosen,
    draw,
    gradcam,
    gradcam_findings,
    in_cells,
    mosaic,
    road_facts,
    road_finding,
    roads,
)
from study.metrics.intervals import Interval
from tests.fabricate import experiments

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


def test_panel_pairs_each_class_s_hit_with_its_error_and_says_what_it_is_taken_for(
    arrays: dict[str, np.ndarray],
) -> None:
    (panel,) = draw(arrays, CLASSES, ["Plain", "SE head"], [1, 0]).axes
    heads = [label.get_text().replace("\n", " ") for label in panel.get_xticklabels()]
    assert heads == ["dog → dog", "dog → frog", "cat → cat", "cat → dog"]
    assert [label.get_text() for label in panel.get_yticklabels()] == ["image", "Plain", "SE head"]


def test_classes_with_most_errors_are_shown_if_they_have_both_images(arrays: dict[str, np.ndarray]) -> None:
    assert chosen(arrays, np.array([1, 5, 9])) == [1, 0]


def test_maps_that_mark_the_opposite_contradict_their_faithfulness() -> None:
    wrong, right = Road("a", -0.2, Interval(-0.3, -0.1)), Road("b", 0.2, Interval(0.1, 0.3))
    assert road_finding([right, right], ["one", "two"]).verdict == "supported"
    told = road_finding([right, wrong], ["one", "two"])
    apart = road_finding([right, wrong], ["one", "two"], Road("b", -0.4, Interval(-0.5, -0.3))).sentence
    assert apart.endswith(
        " The maps of two are less faithful than those of one (difference −0.400, 95 % CI −0.500 to −0.300)."
    )
    assert told.verdict == "contradicted" and told.sentence == (
        "Compared with removing what the maps mark least, removing what they mark most costs more for one (ROAD 0.200, "
        "95 % CI 0.100 to "
        "0.300); less for two (ROAD −0.200, 95 % CI −0.300 to −0.100)."
    )


@pytest.mark.parametrize(
    ("difference", "p", "verdict", "words"),
    [(0.01, 0.01, "supported", "more than the 5.00 %"), (-0.01, 0.01, "contradicted", "less than the 5.00 %"),
     (0.01, 0.4, "inconclusive", "not detectably different from the 5.00 %")],
)  # fmt: skip
def test_attention_is_compared_with_what_another_seed_changes(
    difference: float, p: float, verdict: str, words: str
) -> None:
    changed, alike = Accuracy(0.05 + difference, None, 0.0, 0.1, 1, 100), np.array([0.4, 0.6])
    told = attention_finding(changed, (0.05, Contrast(difference, 0, 0, p)), alike, ("this", "that"))
    assert told.verdict == verdict and words in told.sentence


def test_two_seeds_decide_nothing_about_a_recipe_s_attention() -> None:
    few = Contrast(0.01, 0, 0, 0.01, decidable=False)
    told = attention_finding(Accuracy(0.06, None, 0, 0.1, 2, 100), (0.05, few), np.array([0.4, 0.6]), ("this", "that"))
    assert told.verdict == "inconclusive" and "more than the 5.00 %" in told.sentence
    assert "as a verdict on recipes takes 3 seeds or more" in told.sentence


def test_one_seed_leaves_open_what_another_would_change(results: Results) -> None:
    told = {finding.name: finding for finding in gradcam_findings(results)}
    assert (
        told["attention"].verdict == "inconclusive"
        and "another seed alone would change is not known" in told["attention"].sentence
    )


def test_changed_predictions_are_of_the_same_seed_and_stand_beside_those_of_two_seeds(
    fabricated: Callable[..., Results], named: Callable
) -> None:
    found = fabricated(seeds=(0, 1, 2), planned=experiments(1, 2, 3), accuracies={"level3/se-head": 0.8})
    plain, attended = (
        [run.arrays["test_logits"].argmax(axis=1) for run in found.view.runs_of(key)]
        for key in ("level2/augmented", "level3/se-head")
    )
    changed = np.mean([(plain[seed] != attended[seed]).mean() for seed in range(3)])
    assert named(attention_facts(found))["attention/changed"].value == pytest.approx(changed)
    between = np.mean([(plain[a] != plain[b]).mean() for a, b in ((0, 1), (1, 2), (2, 0))])
    (sentence,) = (finding.sentence for finding in gradcam_findings(found) if finding.name == "attention")
    assert f"more than the {100 * between:.2f} % between two seeds of the full recipe (+" in sentence
    assert f"(+{100 * (changed - between):.2f} points" in sentence


def test_likeness_is_the_mean_correlation_of_both_maps_of_an_image(results: Results, named: Callable) -> None:
    (run,) = results.view.runs_of("level3/grad-cam")
    plain, attended = run.arrays["maps"].reshape(2, -1, 32 * 32)
    expected = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(plain, attended, strict=True)])
    assert named(attention_facts(results))["attention/likeness"].value == pytest.approx(expected)


def test_maps_of_the_last_network_are_compared_with_the_first_one_s_image_by_image(results: Results) -> None:
    told = {finding.name: finding.sentence for finding in gradcam_findings(results)}["road"]
    attended, plain = (results.view.phrase(key) for key in ("level3/se-head", "level2/augmented"))
    assert told.endswith(
        f" The maps of {attended} are more faithful than those of {plain} (difference +0.020, "
        "95 % CI +0.020 to +0.020)."
    )


def test_mosaic_shows_each_image_above_its_maps_and_leaves_gaps_white(arrays: dict[str, np.ndarray]) -> None:
    pixels = mosaic(arrays, [2, 4])
    assert pixels.shape == (3 * TILE + 2 * GAP, 2 * TILE + GAP, 3)
    assert (pixels[:, TILE : TILE + GAP] == 255).all() and (pixels[TILE : TILE + GAP] == 255).all()
    shown = pixels[:TILE, TILE + GAP :].reshape(TILE // 3, 3, TILE // 3, 3, 3)[:, 1, :, 1]
    assert np.abs(shown.astype(int) - arrays["images"][4].transpose(1, 2, 0)).max() <= 1


def test_road_is_reported_of_each_source_with_its_interval_over_images(results: Results) -> None:
    facts = {fact.name: fact.text for fact in road_facts(results)}
    assert facts == {
        "road/cells": "2×2",
        "road/level2/augmented": "0.145",
        "road/level3/se-head": "0.165",
        "road/images": "10",
    }
    (plain, _) = roads(results)
    expected = stats.t.interval(0.95, 9, loc=0.145, scale=stats.sem(0.1 + 0.01 * np.arange(10)))
    assert (plain.interval.low, plain.interval.high) == pytest.approx(expected)


def test_panel_waits_for_its_run_and_says_what_its_cells_are(results: Results, empty: Results) -> None:
    figure = gradcam(results)
    assert figure is not None and gradcam(empty) is None and list(road_facts(empty)) == []
    assert "in the cells of the last feature map" in figure.caption


def test_maps_are_shown_in_cells_no_finer_than_the_feature_map() -> None:
    coarse = np.arange(8.0).reshape(2, 2, 2)
    fine = coarse.repeat(16, axis=1).repeat(16, axis=2)
    np.testing.assert_allclose(in_cells(fine, (2, 2)), coarse)
    np.testing.assert_array_equal(in_cells(fine, None), fine)
