import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support

from analysis.subjects.per_class import confused_pairs, counts, scores
from study.records import Predictions
from tests.outcomes import predictions_of

CLASSES = ("cat", "dog", "frog")


def random_predictions(seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], [50, 70, 80])
    predicted = np.where(rng.random(200) < 0.7, labels, rng.integers(0, 3, 200))
    return predictions_of(labels, predicted, classes=3)


def test_confusion_has_the_true_class_in_rows() -> None:
    matrix = counts([predictions_of([0, 0, 0, 1], [0, 1, 1, 1], classes=3)], CLASSES)
    assert matrix.tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]


def test_confusion_of_several_seeds_is_their_sum() -> None:
    a, b = random_predictions(1), random_predictions(2)
    assert (counts([a, b], CLASSES) == counts([a], CLASSES) + counts([b], CLASSES)).all()


def test_scores_agree_with_scikit_learn() -> None:
    predictions = random_predictions()
    frame = scores([predictions], CLASSES)
    expected = precision_recall_fscore_support(predictions.labels, predictions.predicted)
    assert list(frame["class"]) == list(CLASSES)
    assert frame[["precision", "recall", "f1", "support"]].to_numpy().T == pytest.approx(np.array(expected))


def test_recall_interval_is_wilsons() -> None:
    predictions = random_predictions()
    row = scores([predictions], CLASSES).iloc[1]
    hits = int(predictions.correct[predictions.labels == 1].sum())
    expected = binomtest(hits, 70).proportion_ci(method="wilson")
    assert (row["recall_low"], row["recall_high"]) == pytest.approx((expected.low, expected.high))


def test_f1_interval_is_that_of_its_jaccard_index() -> None:
    # frog: 6 hits, 1 missed, 2 false alarms, so J = 6/9 and F1 = 12/15
    predictions = predictions_of([2] * 7 + [0] * 4, [2] * 6 + [0] + [2, 2, 0, 0], classes=3)
    row = scores([predictions], CLASSES).iloc[2]
    jaccard = binomtest(6, 9).proportion_ci(method="wilson")
    expected = [2 * j / (1 + j) for j in (jaccard.low, jaccard.high)]
    assert row["f1"] == pytest.approx(12 / 15)
    assert [row["f1_low"], row["f1_high"]] == pytest.approx(expected)


def test_a_class_never_predicted_has_no_precision_and_zero_recall() -> None:
    row = scores([predictions_of([0, 1, 1], [0, 0, 0], classes=3)], CLASSES).iloc[1]
    assert np.isnan([row["precision"], row["precision_low"], row["precision_high"]]).all()
    assert (row["recall"], row["f1"]) == (0.0, 0.0)


def test_a_class_without_images_has_no_recall() -> None:
    row = scores([predictions_of([0, 1, 1], [0, 0, 0], classes=3)], CLASSES).iloc[2]
    assert np.isnan(row["recall"])
    assert row["support"] == 0


def test_repeating_a_seed_neither_changes_scores_nor_narrows_intervals() -> None:
    predictions = random_predictions()
    assert scores([predictions] * 3, CLASSES).equals(scores([predictions], CLASSES))


def test_confused_pairs_are_the_largest_errors_in_order() -> None:
    matrix = np.array([[90, 2, 7], [0, 80, 9], [7, 0, 60]])
    expected = [("dog", "frog", 9), ("cat", "frog", 7), ("frog", "cat", 7)]
    assert confused_pairs(matrix, CLASSES, top=3) == expected


def test_confused_pairs_leave_out_what_never_happens_and_keep_the_matrix() -> None:
    matrix = np.array([[5, 1], [0, 5]])
    assert confused_pairs(matrix, ("a", "b")) == [("a", "b", 1)]
    assert matrix.tolist() == [[5, 1], [0, 5]]
