"""What figures draw, read back from their marks and lines, is what was recorded."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D

from analysis.evidence import Figure
from analysis.results import Results
from analysis.subjects.deployment import pareto
from analysis.subjects.overview import levels
from analysis.subjects.training import curves
from analysis.subjects.trust import confidence
from study.metrics.calibration import reliability


def panels(figure: Figure | None) -> list[Axes]:
    assert figure is not None
    return figure.draw().axes


def lines(axes: Axes, style: str) -> list[Line2D]:
    return [line for line in axes.lines if line.get_linestyle() == style and len(line.get_xdata()) > 1]


def points(axes: Axes) -> list[tuple[float, float]]:
    """The middle of every mark with error bars."""
    bars = (each.lines[0] for each in axes.containers if isinstance(each, ErrorbarContainer))
    return [(float(bar.get_xdata()[0]), float(bar.get_ydata()[0])) for bar in bars]


@pytest.mark.parametrize(("panel", "column", "scale"), [(0, "loss", 1), (1, "accuracy", 100)])
@pytest.mark.parametrize(("style", "split"), [("-", "validation"), ("--", "train")])
def test_curves_are_those_of_the_epochs(
    two_seeds: Results, panel: int, column: str, scale: int, style: str, split: str
) -> None:
    axes, view = panels(curves(two_seeds))[panel], two_seeds.view
    runs = [run for each in view.trained if each.level == 1 for run in view.runs_of(each.key)]
    drawn = [line.get_ydata() for line in lines(axes, style)][: len(runs)]
    assert len(drawn) == len(runs) > 2
    for values, run in zip(drawn, runs, strict=True):
        assert values == pytest.approx(scale * run.epochs[f"{split}_{column}"])


def test_levels_have_their_accuracy_and_their_pass_mark(two_seeds: Results) -> None:
    (axes,) = panels(levels(two_seeds))
    best = {level: 100 * two_seeds.accuracies[key].mean for level, key in two_seeds.best.items()}
    assert dict(points(axes)) == pytest.approx(best)
    printed = {text.get_text() for text in axes.texts}
    assert {f"{accuracy:.2f}" for accuracy in best.values()} <= printed
    drawn = [each.get_segments()[0] for each in axes.collections if isinstance(each, LineCollection)]
    marks = {level: seen.pass_mark for level, seen in two_seeds.view.level.items() if seen.pass_mark is not None}
    flat = [segment for segment in drawn if np.ptp(segment[:, 0]) > 0.5]
    found = {round(float(segment[:, 0].mean())): float(segment[0, 1]) for segment in flat}
    assert found == pytest.approx({level: 100 * mark for level, mark in marks.items()})


@pytest.mark.parametrize(("panel", "cost", "scale"), [(0, "p50_ms", 1.0), (1, "bytes", 1e-6)])
def test_timed_models_stand_at_their_cost_and_accuracy_and_the_front_at_the_best(
    results: Results, panel: int, cost: str, scale: float
) -> None:
    axes, frame = panels(pareto(results))[panel], results.deployment
    expected = sorted(zip(scale * frame[cost], 100 * frame["accuracy"], strict=True))
    assert sorted(points(axes)) == pytest.approx(expected)
    (front,) = (line for line in axes.lines if line.get_drawstyle() == "steps-post")
    on_it = set(zip(front.get_xdata(), front.get_ydata(), strict=True))
    cheapest = frame.sort_values([cost, "accuracy"], ascending=[True, False]).iloc[0]
    assert any(place == pytest.approx((scale * cheapest[cost], 100 * cheapest["accuracy"])) for place in on_it)


def test_reliability_is_that_before_and_after_scaling(results: Results) -> None:
    axes, seen = panels(confidence(results))[0], results.trust
    assert seen is not None
    marks = [each.get_offsets() for each in axes.collections if isinstance(each, PathCollection)]
    for drawn, calibrated in zip(marks, (seen.before, seen.after), strict=True):
        bins = reliability(calibrated.pooled_probs, calibrated.pooled_labels)
        expected = 100 * np.column_stack([bins.confidence, bins.accuracy])[bins.count > 0]
        assert np.asarray(drawn) == pytest.approx(expected)


def test_error_rates_are_drawn_from_the_surest_answer_on(results: Results) -> None:
    axes, seen = panels(confidence(results))[1], results.trust
    assert seen is not None
    drawn = [line for line in axes.lines if line.get_xdata()[-1] == pytest.approx(100) and len(line.get_xdata()) > 9]
    assert len(drawn) == len(seen.uncertainties)
    for line, uncertainty in zip(drawn, seen.uncertainties.values(), strict=True):
        for share, rate in zip(line.get_xdata(), line.get_ydata(), strict=True):
            answered = round(share / 100 * len(uncertainty.risk))
            assert rate == pytest.approx(100 * uncertainty.risk[answered - 1])
