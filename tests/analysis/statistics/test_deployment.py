import numpy as np
import pandas as pd

from analysis.statistics.deployment import pareto_front


def frame(*rows: tuple[float, ...], columns: tuple[str, ...] = ("accuracy", "cost")) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def test_front_keeps_what_nothing_beats() -> None:
    models = frame((0.90, 5.0), (0.92, 9.0), (0.91, 9.5), (0.89, 4.0), (0.88, 4.5))
    assert pareto_front(models).tolist() == [True, True, False, True, False]


def test_equal_accuracy_at_lower_cost_wins() -> None:
    assert pareto_front(frame((0.9, 5.0), (0.9, 4.0))).tolist() == [False, True]


def test_equal_models_stay_together() -> None:
    assert pareto_front(frame((0.9, 5.0), (0.9, 5.0))).tolist() == [True, True]


def test_a_second_cost_can_keep_a_slower_model() -> None:
    models = frame((0.9, 5.0, 40.0), (0.9, 6.0, 10.0), columns=("top1", "p50_ms", "bytes"))
    assert pareto_front(models, "top1", "p50_ms").tolist() == [True, False]
    assert pareto_front(models, "top1", ["p50_ms", "bytes"]).tolist() == [True, True]


def test_a_missing_cost_neither_enters_nor_shapes_the_front() -> None:
    assert pareto_front(frame((0.99, np.nan), (0.9, 5.0))).tolist() == [False, True]


def test_no_models_have_no_front() -> None:
    assert pareto_front(frame()).tolist() == []


def test_off_the_front_means_beaten_by_a_model_on_it() -> None:
    rng = np.random.default_rng(0)
    models = frame(*rng.random((60, 2)).round(1))
    front = pareto_front(models)
    best = models[front]
    for accuracy, cost in models[~front].to_numpy():
        at_least = (best["accuracy"] >= accuracy) & (best["cost"] <= cost)
        assert (at_least & ((best["accuracy"] > accuracy) | (best["cost"] < cost))).any()
    for accuracy, cost in best.to_numpy():
        assert not ((models["accuracy"] > accuracy) & (models["cost"] < cost)).any()
