"""What survives in a model that someone could ship: teachers of students, int8, latency and the Pareto front."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import accuracy_cells, counted, join
from analysis.evidence import Fact, Figure, Finding, Origin, Table, Verdict, facts, figure, findings, table
from analysis.results import Results
from analysis.statistics.comparison import accuracy_of
from analysis.statistics.deployment import deployment_frame, pareto_front
from study.kinds import Latency, Quantization, TeacherAnswers

SAME_SPEED = 0.05  # by which two latencies may differ of models that are equally fast
SAME = f"{formats.decimal(100 * SAME_SPEED, 0)} %"
LATENCY, SIZE = "Median latency at batch 1, ms", "File size, MB"


@facts
def plan_facts(results: Results) -> Iterator[Fact]:
    """What is set for latency and int8, and how teachers answer."""
    made, view = Origin(plan_facts), results.view
    for latency in view.planned(Latency):
        yield made.count(f"setting/{latency.key}/repeats", latency.repeats)
    for int8 in view.planned(Quantization):
        yield made.count(f"setting/{int8.key}/calibration-images", int8.calibration_images)
    for answers in view.planned(TeacherAnswers):
        yield made.count(f"answers/{answers.key}/views", answers.views)
        arithmetic = "eight-bit integers" if answers.int8 else "floating point"
        yield made.text(f"answers/{answers.key}/arithmetic", arithmetic)


@facts
def teacher_facts(results: Results) -> Iterator[Fact]:
    """Which network each teacher is, perhaps another with another seed, and how right it is; means over seeds."""
    view = results.view
    for answers in view.of_kind(TeacherAnswers):
        made = Origin(TeacherAnswers.carry_out, view.names(answers.key))
        yield made.percent(f"teacher-accuracy/{answers.key}", view.metric(answers.key, "teacher_validation_accuracy"))
        teachers = dict.fromkeys(view.phrase(run.metrics["teacher"]) for run in view.runs_of(answers.key))
        yield made.text(f"teacher-name/{answers.key}", " or, with another seed, ".join(teachers))


@facts
def latency_facts(results: Results) -> Iterator[Fact]:
    """Where models were timed, and how much sooner int8 ones answer, and smaller they are, than their float32 forms."""
    view = results.view
    made = Origin(deployment_frame, view.names(*(latency.key for latency in view.of_kind(Latency))))
    if timed := [run for latency in view.of_kind(Latency) for run in view.runs_of(latency.key)]:
        yield made.text("latency/processor", str(timed[-1].environment["processor"]))
    for speed in int8_speeds(results):
        yield made.number(f"latency/{speed.key}/speedup", speed.full / speed.int8, 2)
        yield made.number(f"size/{speed.key}/ratio", speed.smaller, 1)


@facts
def agreement_facts(results: Results) -> Iterator[Fact]:
    """How often int8 models give the answer of their float32 forms."""
    view, told, sources = results.view, {}, []
    for int8 in view.of_kind(Quantization):
        ours, theirs = view.paired(int8.key, int8.source)
        if ours:
            sources.append(int8.source)
            same = accuracy_of(np.stack([a.predicted == b.predicted for a, b in zip(ours, theirs, strict=True)]))
            bounds = formats.percent_interval(same.low, same.high)
            told[int8.key] = f"{formats.percent(same.mean)} % for {view.phrase(int8.key)} (95 % CI {bounds})"
    if told:
        yield Origin(agreement_facts, view.names(*told, *sources)).text(
            "int8/agreement", formats.listing([*told.values()])
        )


class Speed(NamedTuple):
    """Median latencies (ms, batch 1, one thread) of a network in float32 and in its int8 form ``key``, ``title``.

    ``smaller`` says how many times the file shrinks, ``apart`` whether the 95 % intervals of the medians are known and
    have nothing in common.
    """

    key: str
    title: str
    full: float
    int8: float
    smaller: float
    apart: bool


def int8_speeds(results: Results) -> list[Speed]:
    """Every int8 model that was timed beside its own float32 form, in the order they were timed."""
    frame, speeds, phrase = results.deployment, [], results.view.phrase
    sources = {int8.key: int8.source for int8 in results.view.planned(Quantization)}
    for row in frame[frame["precision"] == "int8"].itertuples():
        key = str(row.model)
        same = frame["model"] == sources[key]
        for full in frame[same & (frame["precision"] == "float32")].itertuples():
            apart = full.p50_low_ms > row.p50_high_ms or full.p50_high_ms < row.p50_low_ms
            medians = float(full.p50_ms), float(row.p50_ms)
            speeds.append(Speed(key, phrase(key), *medians, full.bytes / row.bytes, bool(apart)))
    return speeds


@findings
def latency_findings(results: Results) -> Iterator[Finding]:
    """Whether int8 models answer sooner."""
    if speeds := int8_speeds(results):
        yield latency_finding(speeds)


def latency_finding(speeds: Sequence[Speed]) -> Finding:
    """Whether each int8 model answers sooner than its float32 form; 5 % either way is a draw.

    Supported when all do, contradicted when one answers later, else inconclusive, as where intervals overlap.
    """
    told, ratios = [], [speed.full / speed.int8 for speed in speeds]
    for speed, ratio in zip(speeds, ratios, strict=True):
        words = f"{formats.decimal(max(ratio, 1 / ratio))} times as {'fast' if ratio > 1 else 'slow'}"
        if abs(ratio - 1) <= SAME_SPEED:
            words = f"equally fast to within {SAME}"
        elif not speed.apart:
            words = "not shown to differ in speed"
        smaller = formats.decimal(speed.smaller, 1)
        file = "file as large" if smaller == "1.0" else f"file {smaller} times smaller"
        medians = f"median {formats.decimal(speed.int8)} ms against {formats.decimal(speed.full)} ms"
        told.append(f"{words} ({medians}, {file}) for {speed.title}")
    told_apart = [ratio if speed.apart else 1.0 for speed, ratio in zip(speeds, ratios, strict=True)]
    verdict: Verdict = "supported" if min(told_apart) > 1 + SAME_SPEED else "inconclusive"
    if min(told_apart) < 1 - SAME_SPEED:
        verdict = "contradicted"
    names = tuple(name for speed in speeds for name in (f"latency/{speed.key}/speedup", f"size/{speed.key}/ratio"))
    return Finding("latency/int8", f"Against float32, int8 at batch 1 is {formats.listing(told)}.", verdict, names)


@table
def deployment(results: Results) -> Table | None:
    """Size, accuracy and latency of every timed model."""
    frame = results.deployment
    if frame.empty:
        return None
    rows = tuple(
        (
            results.view.title(row.model),
            row.precision,
            *accuracy_cells(results.accuracies[row.model]),
            formats.decimal(row.bytes / 1e6),
            _median(row.p50_ms, row.p50_low_ms, row.p50_high_ms),
            formats.decimal(row.p95_ms),
            formats.count(row.images_per_second),
        )
        for row in frame.itertuples()
    )
    median = "median with its 95 % interval over repeats" if frame["p50_low_ms"].notna().any() else "median"
    caption = join(
        "Size, accuracy and speed of every timed model.",
        "Test accuracy with its 95 % interval, file size (10⁶ bytes) and latency at batch 1 on one thread: its "
        f"{median}, and the 95th percentile; timed interleaved in one process with onnxruntime; throughput at the "
        "fastest batch size and number of threads tried.",
        counted(results),
    )
    head = ("Model", "Precision", "Accuracy, %", "95 % CI", "Size, MB", "p50, ms", "p95, ms", "Images/s")
    return Table("deployment", caption, head, rows, "llrlrrrr", dense=True, reads=_timing(results), leading=2)


def _median(middle: float, low: float, high: float) -> str:
    """A median latency (ms), with its interval where records have one."""
    interval = "" if math.isnan(low) else f" ({formats.decimal(low)}–{formats.decimal(high)})"
    return f"{formats.decimal(middle)}{interval}"


@figure
def pareto(results: Results) -> Figure | None:
    """Accuracy against latency and size, with the Pareto front; None before models were timed."""
    frame = results.deployment
    if frame.empty:
        return None
    ahead = pareto_front(frame, "p50_ms")
    fewer = ~ahead if 2 * ahead.sum() >= len(frame) else ahead
    names = [results.view.phrase(key) for key in sorted(frame["model"][fewer])]
    others = "no other" if fewer is ahead else "another"
    caption = join(
        f"Of {formats.plural(len(frame), 'timed model')}, beaten by {others} one that is at least as fast and as "
        f"accurate: {formats.listing(names) or 'none'}.",
        "Test accuracy against median latency at batch 1 on one thread (left) and file size (right); dashed: "
        "Pareto front; circles: float32, squares: static int8, diamonds: dynamic int8.",
        counted(results)[:-1] + "; bars: 95 % intervals of accuracy.",
    )
    alt = "Test accuracy against latency and file size of every timed model, with the Pareto front"
    data = {name: frame[name].tolist() for name in ("model", "precision", "accuracy", "p50_ms", "bytes")}
    return Figure("pareto", caption, lambda: _draw(results, frame), alt, data, _timing(results))


def _timing(results: Results) -> tuple[str, ...]:
    return tuple(latency.key for latency in results.view.of_kind(Latency))


def _name(results: Results, row: object) -> str:
    title, precision = results.view.title(row.model), row.precision  # type: ignore[attr-defined]
    return title if precision == "float32" or precision in title else f"{title}, {precision}"


def _draw(results: Results, frame: pd.DataFrame) -> Canvas:
    """Two panels that share the accuracy axis; models named at the right."""
    canvas = style.canvas(1.75)
    left, right = canvas.subplots(1, 2, sharey=True)
    looks = {row.Index: _look(results, row.model, row.precision) for row in frame.itertuples()}
    for axes, cost, scale, label in ((left, "p50_ms", 1.0, LATENCY), (right, "bytes", 1e-6, SIZE)):
        for row in frame.itertuples():
            spread, place = style.error_bar(results.accuracies[row.model]), scale * getattr(row, cost)
            axes.errorbar(place, 100 * row.accuracy, spread, elinewidth=0.8, **looks[row.Index])
        axes.margins(x=0.12)
        axes.set_xlabel(label)
        style.log_axis(axes)
        style.grid(axes, "y")
    left.set_ylabel("Test accuracy, %")
    style.round_accuracy(left)
    for axes, cost, scale in ((left, "p50_ms", 1.0), (right, "bytes", 1e-6)):
        _draw_front(axes, frame[pareto_front(frame, cost)].sort_values(cost), cost, scale)
    edge, rows = right.get_xlim()[1], list(frame.itertuples())
    style.label_ends(right, [(edge, 100 * row.accuracy, _name(results, row), looks[row.Index]) for row in rows])
    return canvas


def _look(results: Results, key: str, precision: str) -> dict[str, Any]:
    """A model's mark in its network's colour: an open circle in float32, a square in int8, a diamond if dynamic."""
    int8, shade = results.view.experiments.get(key), style.colour(results.view, key)
    dynamic = isinstance(int8, Quantization) and int8.method == "dynamic"
    marker, size = ("o", 7.5) if precision == "float32" else ("D", 4.5) if dynamic else ("s", 5.0)
    return {"ls": "none", "marker": marker, "ms": size, "color": shade, "mfc": "none" if marker == "o" else shade}


def _draw_front(axes: Axes, front: pd.DataFrame, cost: str, scale: float) -> None:
    """The line below and to the right of which models are worse at more cost, from edge to edge."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    costs, heights = scale * front[cost], 100 * front["accuracy"]
    places = ([costs.iloc[0], *costs, right], [low, *heights, heights.iloc[-1]])
    axes.plot(*places, color=style.GREY, lw=0.9, ls="--", zorder=0, drawstyle="steps-post")
    axes.set(xlim=(left, right), ylim=(low, high))
