"""Confidence: whose, how calibrated, which uncertainty."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from analysis.statistics.crossed import Estimate, estimate_of
from analysis.statistics.trust import Trust, Uncertainty, ood_of, trust_of
from analysis.view import view_study
from study.metrics.calibration import expected_calibration_error, fit_temperature
from tests.fabricate import fabricate


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fabricate(tmp_path_factory.mktemp("study"), seeds=(0, 1), images=300)


@pytest.fixture(scope="module")
def trust(study: Path) -> Trust:
    found = trust_of(view_study(study))
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
    assert trust.after.losses.mean() < trust.before.losses.mean()
    np.testing.assert_array_equal(trust.after.correct, trust.before.correct)
    assert trust.nll_gain.value == pytest.approx(trust.before.losses.mean() - trust.after.losses.mean())


def test_temperature_is_the_geometric_mean_over_seeds(trust: Trust, study: Path) -> None:
    validation = view_study(study).predictions(trust.model, "validation")
    fitted = [fit_temperature(each.logits, each.labels) for each in validation]
    assert trust.temperature == pytest.approx(np.sqrt(np.prod(fitted)))


def test_errors_on_validation_are_those_of_the_seed_with_the_fewest(trust: Trust, study: Path) -> None:
    validation = view_study(study).predictions(trust.model, "validation")
    assert trust.validation_errors == min(int((each.predicted != each.labels).sum()) for each in validation)


def test_scores_are_means_over_the_seeds(trust: Trust) -> None:
    by_seed = [expected_calibration_error(probs, trust.before.labels) for probs in trust.before.probs]
    assert trust.before.ece == pytest.approx(np.mean(by_seed))
    interval = trust.before.ece_interval
    assert 0 <= interval.low < trust.before.ece < interval.high <= 1
    assert trust.before.aurc_estimate.value == pytest.approx(trust.before.aurc)
    assert trust.before.aurc == pytest.approx(trust.before.risk.mean())


def test_all_uncertainties_are_of_the_seeds_they_share(tmp_path: Path) -> None:
    study = fabricate(tmp_path, seeds=(0, 1), images=60)
    shutil.rmtree(study / "level5" / "mc-dropout" / "seed-0")
    found = trust_of(view_study(study))
    assert found is not None and found.ood is not None
    assert found.runs("level3/se-head") == ("level3/se-head/seed-1",)
    assert set(found.runs()) == {f"{key}/seed-1" for key in found.sources}
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
    assert second.scores["temperature-entropy"].keys() == {1}
    np.testing.assert_array_equal(second.scores["temperature-entropy"][1], both.scores["temperature-entropy"][1])


def test_out_of_distribution_images_are_told_seed_by_seed(trust: Trust) -> None:
    """Scores of two networks need not have one scale: adding a constant to one seed's changes nothing."""
    assert trust.ood is not None
    inside, outside = trust.uncertainties["entropy"], trust.ood.scores["entropy"]
    each = [
        roc_auc_score([0] * len(scores) + [1] * len(outside[seed]), [*scores, *outside[seed]])
        for seed, scores in zip(trust.seeds, inside.scores, strict=True)
    ]
    told = trust.to_ood("entropy")
    assert told is not None and told.mean() == pytest.approx(np.mean(each))
    shifted = replace(inside, scores=inside.scores + [[0.0], [9.0]])
    moved = replace(trust.ood, scores={"entropy": {seed: each + 9.0 * seed for seed, each in outside.items()}})
    again = replace(trust, uncertainties={"entropy": shifted}, ood=moved)
    same = again.to_ood("entropy")
    assert same is not None and same.mean() == pytest.approx(told.mean())


def test_chosen_is_the_uncertainty_that_leaves_the_fewest_errors_on_validation(trust: Trust) -> None:
    assert trust.uncertainties[trust.chosen].aurc < trust.before.aurc
    assert trust.gain is not None and trust.gain.interval().low > 0


def test_temperatures_and_the_choice_are_made_on_validation(tmp_path: Path) -> None:
    view = view_study(fabricate(tmp_path, seeds=(0, 1), images=60, skip=["level4/partner"]))
    own = view.runs_of("level3/se-head")
    fitted = [fit_temperature(p.logits, p.labels) for p in view.predictions("level3/se-head", "validation")]
    for run in own:
        run.arrays["validation_logits"] /= 3
    for run in view.runs_of("level5/mc-dropout"):
        run.arrays["validation_entropy"] = (~run.predictions("validation").correct).astype(float)
        run.arrays["test_entropy"] = run.predictions("test").correct.astype(float)
    found = trust_of(view)
    assert found is not None and found.chosen == "mc-dropout-entropy"
    expected = [softmax(3 * run.arrays["test_logits"] / t, axis=1) for run, t in zip(own, fitted, strict=True)]
    np.testing.assert_allclose(found.after.probs, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("prefix", "key", "ood_key"),
    [("mc-dropout", "level5/mc-dropout", "level5/mc-dropout"),
     ("ensemble", "level4/soft-probabilities", "level5/out-of-distribution")],
)  # fmt: skip
@pytest.mark.parametrize("array", ["entropy", "mutual_information"])
def test_uncertainties_of_samples_are_those_their_runs_recorded(
    trust: Trust, study: Path, prefix: str, key: str, ood_key: str, array: str
) -> None:
    view, name = view_study(study), f"{prefix}-{array.replace('_', '-')}"
    found, recorded = trust.uncertainties[name], view.runs_of(key)
    np.testing.assert_array_equal(found.scores, [run.arrays[f"test_{array}"] for run in recorded])
    np.testing.assert_allclose(found.probs, [softmax(run.arrays["test_logits"], axis=1) for run in recorded], rtol=1e-4)
    assert trust.ood is not None
    for run in view.runs_of(ood_key):
        np.testing.assert_array_equal(trust.ood.scores[name][run.seed], run.arrays[f"ood_{array}"])


def gain(treated: Uncertainty, control: Uncertainty) -> Estimate:
    return estimate_of(control.to_aurc - treated.to_aurc)


def test_gain_is_the_difference_of_areas() -> None:
    rng = np.random.default_rng(0)
    good, bad = uncertainty(rng, 2.0), uncertainty(rng, 0.5)
    assert gain(good, bad).value == pytest.approx(bad.aurc - good.aurc)
    assert gain(good, bad).interval().low > 0 and gain(good, bad).p < 0.05


def test_uncertainty_gains_nothing_over_itself() -> None:
    same = uncertainty(np.random.default_rng(0), 1.0)
    assert (gain(same, same).value, gain(same, same).p) == (0.0, 1.0)


def test_networks_too_sure_and_too_modest_do_not_cancel() -> None:
    """One network says 0.9 and is right in 0.7, the other says 0.7 and is right in 0.9: pooled they seem calibrated."""
    labels = np.repeat([0, 1, 0, 1], [70, 30, 90, 10]).reshape(2, 100)
    probs = np.stack([np.tile([0.9, 0.1], (100, 1)), np.tile([0.7, 0.3], (100, 1))])
    flipped = np.where(labels[..., None] == 1, probs[..., ::-1], probs)  # the label of every image is 0
    found = Uncertainty("u", "U", np.zeros((2, 100)), flipped, np.zeros(100, dtype=int))
    assert found.ece == pytest.approx(0.2)


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
    aurocs = [roc_auc_score(~each.correct[0], each.scores[0]) for each in (before, after)]
    assert aurocs[1] < aurocs[0]
    assert gain(after, before).interval().low > 0


def test_without_dropout_or_ensemble_the_best_network_is_judged(tmp_path: Path) -> None:
    view = view_study(fabricate(tmp_path, images=60, skip=["level5/mc-dropout", "level4/partner"]))
    found = trust_of(view)
    assert found is not None
    assert found.model == view.best(view.experiments)
    assert set(found.uncertainties) == {"entropy", "temperature-entropy"}
