"""Confidence: whose, how calibrated, which uncertainty."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from analysis.study_view import view_study
from analysis.trust import Trust, Uncertainty, auroc_gain, trust_of
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


def test_seeds_are_pooled(trust: Trust) -> None:
    scores, correct = trust.before.scores.ravel(), trust.before.correct.ravel()
    assert len(scores) == 600
    assert trust.before.auroc == pytest.approx(roc_auc_score(~correct, scores))


def test_bootstrap_of_the_gain_brackets_the_difference_of_aurocs() -> None:
    rng = np.random.default_rng(0)
    good, bad = uncertainty(rng, 2.0), uncertainty(rng, 0.5)
    gain = auroc_gain(good, bad, np.random.default_rng(1))
    assert gain.low < good.auroc - bad.auroc < gain.high
    assert gain.low > 0 and gain.p < 0.05


def test_uncertainty_gains_nothing_over_itself() -> None:
    same = uncertainty(np.random.default_rng(0), 1.0)
    gain = auroc_gain(same, same, np.random.default_rng(1))
    assert (gain.low, gain.high, gain.p) == (0, 0, 1)


def test_gain_without_errors_is_undefined_and_not_significant() -> None:
    perfect = Uncertainty("u", "U", np.ones((1, 4)), np.tile([1.0, 0.0], (1, 4, 1)), np.zeros(4, dtype=int))
    gain = auroc_gain(perfect, perfect, np.random.default_rng(0))
    assert np.isnan(gain.low) and gain.p == 1


def test_without_dropout_or_ensemble_the_best_network_is_judged(tmp_path: Path) -> None:
    view = view_study(fabricate(tmp_path, images=60, skip=["level5/mc-dropout", "level4/partner"]))
    found = trust_of(view)
    assert found is not None
    assert found.model == view.best(view.experiments)
    assert set(found.uncertainties) == {"entropy", "temperature-entropy"}
