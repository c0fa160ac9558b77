"""Where confidence misleads, and whether voting makes it better calibrated."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from analysis.results import Results, results_of
from analysis.statistics.crossed import Estimate
from analysis.statistics.trust import Uncertainty
from analysis.subjects.confidence import (
    Averaged,
    confidence_facts,
    confidence_findings,
    ensemble_finding,
    overconfidence,
    sure_errors,
    surely_wrong_finding,
)
from study.metrics.calibration import BINS, expected_calibration_error, negative_log_likelihood, probabilities


@pytest.mark.parametrize(
    ("difference", "verdict", "words"),
    [(-0.02, "supported", "is better calibrated than its members"),
     (0.02, "contradicted", "is worse calibrated than its members are on average"),
     (0.001, "inconclusive", "is not detectably better or worse calibrated than its members are on average")],
)  # fmt: skip
def test_a_smaller_calibration_error_is_better(difference: float, verdict: str, words: str) -> None:
    estimate, surplus = Estimate(difference, 0.002, math.inf), Estimate(-0.03, 0.005, math.inf)
    told = ensemble_finding(Averaged(estimate, 0.05 + difference, 0.05, 0.01, 0.02, surplus), "the mean")
    assert told.verdict == verdict and words in told.sentence
    assert f"its calibration error is {5 + 100 * difference:.2f} %, theirs 5.00 % (" in told.sentence
    assert "less its accuracy is −3.00 points (95 % CI −3.98 to −2.02)" in told.sentence


@pytest.mark.parametrize(
    ("sure", "wrong", "confidence", "verdict", "excess"),
    [(100, 40, 0.95, "contradicted", "+35.00 points (95 % CI +25.40 to +44.60)"),
     (1000, 20, 0.93, "supported", "−5.00 points (95 % CI −5.87 to −4.13)")],
)  # fmt: skip
def test_sure_answers_are_held_against_their_accuracy(
    sure: int, wrong: int, confidence: float, verdict: str, excess: str
) -> None:
    """The interval is that of the accuracy of the sure answers: 1.96 √(0.6 · 0.4 / 100) and 1.96 √(0.98 · 0.02 / 1000).

    A hundred unsure answers, of which 70 are wrong, count among the errors alone.
    """
    answers = np.repeat([1, 0, 1, 0], [wrong, sure - wrong, 70, 30])
    top = np.repeat([confidence, 0.6], [sure, 100])
    probs = np.where(answers[:, None] == np.arange(2), top[:, None], 1 - top[:, None])[None]
    found = Uncertainty("entropy", "Entropy", np.zeros((1, sure + 100)), probs, np.zeros(sure + 100, dtype=int))
    assert (counts := sure_errors(found)) == (wrong + 70, wrong, sure, 1)
    told = surely_wrong_finding(*counts, "the network", overconfidence(found))
    assert told.verdict == verdict and told.sentence.endswith(f"their confidence less their accuracy is {excess}.")


def test_the_ensemble_s_calibration_error_stands_beside_the_mean_of_its_members(
    two_seeds: Results, named: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second seed is surely wrong where it was surely right, so that pooled seeds would seem better calibrated."""
    view, vote = two_seeds.view, "level4/soft-probabilities"
    members = view.experiments[vote].needs
    for run in (view.runs[key][1] for key in (vote, *members)):
        monkeypatch.setitem(run.arrays, "test_logits", np.roll(run.arrays["test_logits"], 1, axis=1))

    def error(key: str) -> float:
        said = [[torch.from_numpy(each) for each in (p.logits, p.labels)] for p in view.predictions(key)]
        by_seed = [multiclass_calibration_error(a.double().softmax(1), b, a.shape[1], n_bins=BINS) for a, b in said]
        return float(np.mean(by_seed))

    facts = named(confidence_facts(two_seeds))
    assert facts["calibration/ece-ensemble"].value == pytest.approx(error(vote), abs=1e-6)
    assert facts["calibration/ece-members"].value == pytest.approx(np.mean([error(key) for key in members]), abs=1e-6)


def test_the_ensemble_is_told_of_the_seeds_that_the_table_has(two_seeds: Results, named: Callable) -> None:
    """As where MC dropout has run with one seed alone."""
    view = replace(two_seeds.view, runs=two_seeds.view.runs | {
        "level5/mc-dropout": {0: two_seeds.view.runs["level5/mc-dropout"][0]}})  # fmt: skip
    found = results_of(view)
    assert found.trust is not None and found.trust.seeds == (0,)
    told = named(confidence_facts(found))["calibration/ece-ensemble"]
    assert told.value == pytest.approx(found.trust.uncertainties["ensemble-entropy"].ece, abs=1e-9)
    (claim,) = (each.claim for each in confidence_findings(found) if each.name == "calibration/ensemble")
    assert claim is not None and claim.seeds == 1 and {run[-1] for run in (*claim.runs, *told.runs)} == {"0"}


def test_both_are_told_after_temperature_scaling_by_validation_images(results: Results, named: Callable) -> None:
    view, vote = results.view, "level4/soft-probabilities"

    def scaled(key: str) -> float:
        (test,), (validation,) = view.predictions(key), view.predictions(key, "validation")
        grid = np.geomspace(0.1, 10, 400)
        losses = [negative_log_likelihood(probabilities(validation.logits, t), validation.labels).mean() for t in grid]
        return expected_calibration_error(probabilities(test.logits, grid[int(np.argmin(losses))]), test.labels)

    facts = named(confidence_facts(results))
    assert facts["calibration/ece-ensemble-scaled"].value == pytest.approx(scaled(vote), abs=2e-3)
    apart = np.mean([scaled(key) for key in view.experiments[vote].needs])
    assert facts["calibration/ece-members-scaled"].value == pytest.approx(apart, abs=2e-3)
    (told,) = (each.sentence for each in confidence_findings(results) if each.name == "calibration/ensemble")
    both = [facts[f"calibration/ece-{whose}-scaled"].text.removesuffix(" %") for whose in ("ensemble", "members")]
    assert told.endswith(f"Temperature scaling takes the two errors to {both[0]} and {both[1]} %.")
