"""Whether what networks are compared with overfits."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scipy.stats import binomtest

from analysis.results import Results, results_of
from analysis.subjects.overfitting import gap, overfitting_facts, overfitting_findings
from analysis.view import view_study
from tests.fabricate import experiments, fabricate

CONTROL = "level2/control"


def test_the_gap_is_training_minus_validation_accuracy_over_seeds(two_seeds: Results, named: Callable) -> None:
    metrics = [run.metrics for run in two_seeds.view.runs_of(CONTROL)]
    expected = sum(m["train_accuracy"] - m["validation_accuracy"] for m in metrics) / 2
    assert named(overfitting_facts(two_seeds))[f"gap/{CONTROL}"].value == pytest.approx(expected)


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Results]:
    """A study of 2,000 images whose control is right on 80 % of validation images and on so many for training."""
    results = results_of(view_study(fabricate(tmp_path_factory.mktemp("s"), images=2_000, planned=experiments(2))))

    def make(trained: float) -> Results:
        (run,) = results.view.runs_of(CONTROL)
        run.metrics.update(train_accuracy=trained, validation_accuracy=0.80)
        return results

    return make


def test_the_interval_combines_the_score_intervals_of_both_proportions(control: Callable[[float], Results]) -> None:
    seen, unseen = (binomtest(count, 2_000).proportion_ci(method="wilson") for count in (1_800, 1_600))
    low = 0.1 - ((0.9 - seen.low) ** 2 + (unseen.high - 0.8) ** 2) ** 0.5
    high = 0.1 + ((seen.high - 0.9) ** 2 + (0.8 - unseen.low) ** 2) ** 0.5
    assert gap(control(0.90), CONTROL) == pytest.approx((0.1, low, high))


@pytest.mark.parametrize(
    ("trained", "verdict", "words"),
    [
        (
            0.98,
            "supported",
            "The recipe from scratch overfits: it is right on 98.00 % of {} training images and on ",
        ),
        (0.80, "contradicted", "The recipe from scratch does not overfit by 3.00 points: "),
        (0.84, "inconclusive", "Whether the recipe from scratch overfits by 3.00 points is open: "),
    ],
)
def test_a_control_overfits_when_the_gap_exceeds_three_points(
    control: Callable[[float], Results], trained: float, verdict: str, words: str
) -> None:
    changed = control(trained)
    found = {finding.name: finding for finding in overfitting_findings(changed)}[f"overfitting/{CONTROL}"]
    fitted = f"{changed.view.metric(CONTROL, 'fitted_images'):,.0f}"
    assert found.verdict == verdict and found.sentence.startswith(words.format(fitted)), found.sentence


def test_only_the_network_that_ablations_need_to_overfit_is_judged(results: Results, empty: Results) -> None:
    (told,) = overfitting_findings(results)
    assert told.name == f"overfitting/{CONTROL}" and {*told.facts} >= {f.name for f in overfitting_facts(results)}
    assert not list(overfitting_findings(empty))
