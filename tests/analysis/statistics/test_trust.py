"""Confidence: whose, how calibrated, which uncertainty."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from analysis.statistics.trust import Trust, Uncertainty, _resampled_aurc, aurc_gain, ood_of, trust_of
from analysis.view import view_study
from study.metrics.uncertainty import aurc
from tests.fabricate import fabricate


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    view = view_study(fabricate(tmp_path_factory.mktemp("study"), seeds=(0, 1), images=300))
    found = trust_of(view)
    assert found is not None
    return found


def uncertainty(rng: np.random.Generator, quality: float, images: int = 400, seeds: int = 2) -> Uncertainty:
    """Three classes, label 0; a score that separates errors from hits the better the higher its quality."""
    probs = softmax(rng.normal(0, 1, (seeds, images, 3)) + [1.0, 0, 0], axis=2)
    wrong = probs.argmax(axis=2) != 0
    return Uncertainty(
        "u", "U", quality * wrong + rng.normal(0, 1, (seeds, images)), probs, np.zeros(images, dtype=int)
    )


def test_model_is_the_one_dropout_was_sampled_from(trust: Trust) -> None:
    assert trust.model == "level3/se-head"


def test_every_source_of_uncertainty_is_scored(trust: Trust) -> None:
    assert set(trust.uncertainties) == {
        "entropy", "temperature-entropy", "mc-dropout-entropy", "mc-dropout-mutual-information",
        "ensemble-entropy", "ensemble-mutual-information",
    }  # fmt: skip


def test_temperature_lowers_the_loss_it_was_fitted_to_and_keeps_predictions(trust: Trust) -> None:
    assert trust.after.calibration.nll < trust.before.calibration.nll
    np.testing.assert_array_equal(trust.after.correct, trust.before.correct)
    assert trust.nll_gain.low < trust.before.calibration.nll - trust.after.calibration.nll < trust.nll_gain.high


def test_seeds_are_pooled_for_calibration_and_ranked_apart(trust: Trust) -> None:
    assert len(trust.before.pooled_labels) == 600
    each = [roc_auc_score(~c, s) for s, c in zip(trust.before.scores, trust.before.correct, strict=True)]
    assert trust.before.auroc == pytest.approx(np.mean(each))
    assert trust.before.aurc == pytest.approx(trust.before.risk.mean())


def test_all_uncertainties_are_of_the_seeds_they_share(tmp_path: Path) -> None:
    study = fabricate(tmp_path, seeds=(0, 1), images=60)
    shutil.rmtree(study / "level5" / "mc-dropout" / "seed-0")
    found = trust_of(view_study(study))
    assert found is not None and found.ood is not None
    assert {len(each.scores) for each in found.uncertainties.values()} == {1}
    assert {len(each) for each in found.ood.scores.values()} == {1}


def test_ood_images_are_scaled_by_their_own_seeds_temperature(tmp_path: Path) -> None:
    study = fabricate(tmp_path, seeds=(0, 1), images=60)
    view = view_study(study)
    temperatures = {0: 1.0, 1: 3.0}
    both = ood_of(view, "level3/se-head", temperatures)
    shutil.rmtree(study / "level5" / "out-of-distribution" / "seed-0")
    second = ood_of(view_study(study), "level3/se-head", temperatures)
    assert both is not None and second is not None
    np.testing.assert_array_equal(second.scores["temperature-entropy"], both.scores["temperature-entropy"][1:])


def test_chosen_is_the_uncertainty_that_leaves_the_fewest_errors_on_validation(trust: Trust) -> None:
    assert trust.uncertainties[trust.chosen].aurc < trust.before.aurc
    assert trust.gain is not None and trust.gain.low > 0


def test_resampling_every_image_once_gives_the_curves_area() -> None:
    u = uncertainty(np.random.default_rng(0), 1.0)
    assert _resampled_aurc(u, np.ones((1, 400), dtype=int))[0] == pytest.approx(u.aurc)


def test_images_drawn_twice_count_as_two_images() -> None:
    u = uncertainty(np.random.default_rng(0), 1.0, seeds=1)
    draws = np.random.default_rng(1).multinomial(400, np.full(400, 1 / 400))
    scores, correct = (np.repeat(values, draws, axis=1) for values in (u.scores, u.correct))
    assert _resampled_aurc(u, draws[None])[0] == pytest.approx(aurc(scores[0], correct[0]), abs=2e-3)


def test_bootstrap_of_the_gain_brackets_the_difference_of_areas() -> None:
    rng = np.random.default_rng(0)
    good, bad = uncertainty(rng, 2.0), uncertainty(rng, 0.5)
    gain = aurc_gain(good, bad, np.random.default_rng(1))
    assert gain.low < bad.aurc - good.aurc < gain.high
    assert gain.low > 0 and gain.p < 0.05


def test_uncertainty_gains_nothing_over_itself() -> None:
    same = uncertainty(np.random.default_rng(0), 1.0)
    gain = aurc_gain(same, same, np.random.default_rng(1))
    assert (gain.low, gain.high, gain.p) == (0, 0, 1)


def test_a_model_that_mends_the_errors_it_could_flag_is_not_called_worse() -> None:
    """Its AUROC falls, since the errors left are the hard ones; what it leaves wrong at any coverage does not rise."""
    rng, images = np.random.default_rng(0), 4000
    flagged, hidden = rng.random((1, images)) < 0.1, rng.random((1, images)) < 0.01
    scores = flagged + 0.1 * rng.random((1, images))
    mended = flagged & (rng.random((1, images)) < 0.7)

    def of(wrong: np.ndarray) -> Uncertainty:
        probs = np.where(wrong[..., None], [0.0, 1.0], [1.0, 0.0])
        return Uncertainty("u", "U", scores, probs, np.zeros(images, dtype=int))

    before, after = of(flagged | hidden), of((flagged & ~mended) | hidden)
    assert after.auroc < before.auroc
    assert aurc_gain(after, before, np.random.default_rng(1)).low > 0


def test_without_dropout_or_ensemble_the_best_network_is_judged(tmp_path: Path) -> None:
    view = view_study(fabricate(tmp_path, images=60, skip=["level5/mc-dropout", "level4/partner"]))
    found = trust_of(view)
    assert found is not None
    assert found.model == view.best(view.experiments)
    assert set(found.uncertainties) == {"entropy", "temperature-entropy"}
