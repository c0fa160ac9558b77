import numpy as np
import pytest
from scipy import stats

from analysis.statistics.uncertainty import aurc, entropy, error_auroc, risk_coverage


def sample(images: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Uncertainties, many of them tied, and errors that grow likelier with them."""
    rng = np.random.default_rng(11)
    scores = rng.random(images).round(1)
    return scores, rng.random(images) > scores * 0.6


def test_entropy_agrees_with_scipy_for_any_leading_shape() -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(5), size=(3, 4))
    assert entropy(probs) == pytest.approx(stats.entropy(probs, axis=-1))


def test_entropy_runs_from_certainty_to_uniform() -> None:
    assert entropy(np.array([[1.0, 0, 0, 0], [0.25] * 4])) == pytest.approx([0, np.log(4)])


def test_error_auroc_is_the_mann_whitney_statistic() -> None:
    scores, correct = sample()
    u = stats.mannwhitneyu(scores[~correct], scores[correct]).statistic
    assert error_auroc(scores, correct) == pytest.approx(u / ((~correct).sum() * correct.sum()))


def test_error_auroc_needs_errors_and_hits() -> None:
    assert np.isnan(error_auroc(np.array([0.1, 0.2]), np.array([True, True])))
    assert np.isnan(error_auroc(np.array([0.1, 0.2]), np.array([False, False])))


def test_risk_at_full_coverage_is_the_error_rate() -> None:
    scores, correct = sample()
    curve = risk_coverage(scores, correct)
    assert curve["coverage"].iloc[[0, -1]].tolist() == pytest.approx([1 / 300, 1])
    assert curve["risk"].iloc[-1] == pytest.approx(1 - correct.mean())


def test_risk_coverage_accepts_the_least_uncertain_first() -> None:
    curve = risk_coverage(np.array([0.9, 0.1, 0.5, 0.7]), np.array([False, True, True, False]))
    assert curve["risk"].tolist() == pytest.approx([0, 0, 1 / 3, 2 / 4])


def test_tied_uncertainties_share_their_risk_in_any_order() -> None:
    scores, correct = sample()
    order = np.random.default_rng(2).permutation(300)
    shuffled = risk_coverage(scores[order], correct[order])
    assert shuffled["risk"].tolist() == pytest.approx(risk_coverage(scores, correct)["risk"].tolist())


def test_aurc_is_the_expectation_over_orders_of_tied_images() -> None:
    scores, correct = sample(40)
    rng = np.random.default_rng(4)
    areas = []
    for _ in range(2000):
        order = np.lexsort([rng.random(40), scores])
        areas.append(np.mean(np.cumsum(~correct[order]) / np.arange(1, 41)))
    assert aurc(scores, correct) == pytest.approx(np.mean(areas), abs=0.002)


def test_aurc_of_a_constant_score_is_the_error_rate() -> None:
    _, correct = sample()
    assert aurc(np.zeros(300), correct) == pytest.approx(1 - correct.mean())


def test_aurc_of_a_perfect_score_is_as_low_as_possible() -> None:
    correct = np.arange(10) < 8
    assert aurc(np.arange(10), correct) == pytest.approx((1 / 9 + 2 / 10) / 10)
