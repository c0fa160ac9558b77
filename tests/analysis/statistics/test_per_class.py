import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_recall_fscore_support

from analysis.statistics.per_class import (
    balanced_accuracy,
    confused_pairs,
    counts,
    macro_f1,
    scores,
    top_accuracy,
    unbalanced,
)
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
    assert confused_pairs(matrix, ("a", "b"), top=3) == [("a", "b", 1)]
    assert matrix.tolist() == [[5, 1], [0, 5]]


def test_balanced_accuracy_and_macro_f1_agree_with_scikit_learn() -> None:
    seeds = [random_predictions(1), random_predictions(2)]
    recalls = [balanced_accuracy_score(seed.labels, seed.predicted) for seed in seeds]
    scored = [f1_score(seed.labels, seed.predicted, average="macro") for seed in seeds]
    assert balanced_accuracy(seeds).mean == pytest.approx(np.mean(recalls))
    assert balanced_accuracy(seeds[:1]).mean == pytest.approx(recalls[0])
    assert macro_f1(seeds).mean == pytest.approx(np.mean(scored))


def test_accuracy_is_balanced_where_classes_are_equally_large() -> None:
    labels = np.tile([0, 1, 2], 40)
    seed = predictions_of(labels, np.where(np.arange(120) < 90, labels, (labels + 1) % 3), classes=3)
    assert balanced_accuracy([seed]).mean == pytest.approx(0.75)


def test_balanced_interval_is_wilsons_where_classes_are_equally_large() -> None:
    one = predictions_of([0] * 20, [0] * 15 + [1] * 5, classes=2)
    two = predictions_of([0] * 20 + [1] * 20, ([0] * 15 + [1] * 5) + ([1] * 15 + [0] * 5), classes=2)
    for seed, right, images in ((one, 15, 20), (two, 30, 40)):
        wilson, found = binomtest(right, images).proportion_ci(method="wilson"), balanced_accuracy([seed])
        assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high), abs=0.005)


def test_a_class_that_nothing_is_taken_for_counts_in_the_interval() -> None:
    found = balanced_accuracy([predictions_of([0] * 200 + [1] * 5, [0] * 205, classes=2)])
    assert found.high == pytest.approx(0.5 + binomtest(0, 5).proportion_ci(method="wilson").high / 2)


@pytest.mark.parametrize(("sizes", "recall"), [([20, 40, 140], [0.6, 0.8, 0.95]), ([3, 10, 187], [0.8, 0.9, 0.9])])
def test_balanced_interval_holds_the_true_value_as_often_as_it_says(sizes: list[int], recall: list[float]) -> None:
    rng = np.random.default_rng(3)
    labels, recall = np.repeat([0, 1, 2], sizes), np.array(recall)
    held = 0
    for _ in range(400):
        right = rng.random(200) < recall[labels]
        found = balanced_accuracy([predictions_of(labels, np.where(right, labels, (labels + 1) % 3), classes=3)])
        held += found.low <= recall.mean() <= found.high
    assert 0.92 <= held / 400 <= 0.98


def test_interval_of_macro_f1_holds_the_value_of_very_many_images_as_often_as_it_says() -> None:
    rng = np.random.default_rng(4)
    chances = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.02, 0.03, 0.95]])

    def drawn(images: int) -> Predictions:
        labels = rng.choice(3, images, p=[0.2, 0.3, 0.5])
        predicted = (rng.random(images)[:, None] > chances[labels].cumsum(axis=1)).sum(axis=1)
        return predictions_of(labels, predicted, classes=3)

    truth = macro_f1([drawn(400_000)]).mean
    found = [macro_f1([drawn(300)]) for _ in range(400)]
    held = sum(each.low <= truth <= each.high for each in found)
    assert 0.92 <= held / 400 <= 0.98


def test_top_accuracy_counts_labels_among_the_likeliest() -> None:
    logits = np.tile(np.arange(12.0), (4, 1))  # class 11 is the likeliest, then 10, ...
    labels = np.array([11, 7, 6, 0])
    seed = Predictions(np.arange(4), labels, logits.astype(np.float32))
    assert top_accuracy([seed]).mean == 0.5
    assert top_accuracy([seed], top=1).mean == 0.25
    assert top_accuracy([seed, seed], top=6).mean == 0.75


@pytest.mark.parametrize(
    ("images", "expected"), [((10, 10), False), ((10, 20), False), ((10, 21), True), ((0, 1), True)]
)
def test_classes_are_unbalanced_when_they_differ_by_more_than_half(images: tuple[int, int], expected: bool) -> None:
    assert unbalanced(np.array(images)) is expected
