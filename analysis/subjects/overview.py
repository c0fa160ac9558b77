"""The study as a whole: what was run, and the model that each level selects beside pass marks and published figures."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import accuracy_cells, accuracy_interval, join
from analysis.evidence import (
    Claim,
    Fact,
    Figure,
    Finding,
    Origin,
    Verdict,
    facts,
    figure,
    findings,
)
from analysis.results import Judged, Results
from analysis.statistics.comparison import CROSSED, Accuracy, summarise
from analysis.statistics.crossed import MIN_SEEDS, About
from analysis.view import StudyView
from study.records import read_plan


@facts
def study_facts(results: Results) -> Iterator[Fact]:
    """What was run, on what."""
    view, plan = results.view, results.view.plan
    data, everything = plan.dataset, tuple(run.name for run in view.own_runs)
    planned, ran = Origin(study_facts), Origin(study_facts, everything)
    yield planned.text("study/name", plan.study)
    yield planned.text("study/preset", plan.preset)
    yield planned.text("study/dataset", data.title)
    yield planned.text("study/fingerprint", data.fingerprint[:12])
    yield planned.text("study/notice", data.notice)
    yield planned.text("study/seed-list", formats.listing([str(seed) for seed in plan.seeds]))
    yield planned.count("study/seeds", len(plan.seeds))
    yield planned.count("study/experiments", len(view.own))
    yield ran.count("study/runs", len(everything))
    evaluated = view.names(*(key for key in view.own if key in results.accuracies))
    yield Origin(study_facts, evaluated).count("study/test-evaluations", len(evaluated))
    if view.superseded:
        yield planned.count("study/superseded", view.superseded)
    yield ran.count("study/pending", len(view.pending))
    yield planned.count("study/levels", len(view.levels))
    yield planned.count("study/classes", len(view.classes))
    for split, size in data.sizes.items():
        yield planned.count(f"study/{split}-images", size)


@facts
def level_facts(results: Results) -> Iterator[Fact]:
    """The model each level selects, beside pass marks and reference figures."""
    view = results.view
    for level, key in results.best.items():
        chosen = Origin(StudyView.selected, view.names(*(experiment.key for experiment in view.at(level))))
        measured, accuracy = Origin(summarise, view.names(key)), results.accuracies[key]
        yield chosen.text(f"best-phrase/level{level}", view.phrase(key))
        yield chosen.text(f"best-key/level{level}", key)
        yield measured.percent(f"best-accuracy/level{level}", accuracy.mean)
        yield measured.interval(f"best-accuracy-interval/level{level}", accuracy.low, accuracy.high)
    planned = Origin(read_plan)
    if marked := [str(level) for level, described in view.level.items() if described.pass_mark is not None]:
        yield planned.text("pass-mark/levels", formats.listing(marked))
    for level, described in view.level.items():
        mark, reference = described.pass_mark, described.reference
        if mark is not None:
            yield planned.percent(f"pass-mark/level{level}", mark)
        if reference:
            yield planned.percent(f"reference-accuracy/level{level}", reference.accuracy)
            yield planned.text(f"reference-label/level{level}", reference.label)
            if reference.latency_ms is not None:
                yield planned.milliseconds(f"reference-latency/level{level}", reference.latency_ms)


@findings
def pass_marks(results: Results) -> Iterator[Finding]:
    """Whether each level's model meets its pass mark."""
    for level, key in results.best.items():
        mark = results.view.level[level].pass_mark
        if mark is not None:
            runs = results.view.names(key)
            yield pass_mark_finding(level, results.view.phrase(key), results.accuracies[key], mark, runs)


def pass_mark_finding(level: int, phrase: str, accuracy: Accuracy, mark: float, runs: tuple[str, ...]) -> Finding:
    """Whether the level's model meets its mark: with its whole interval, not at all, or undecided."""
    reached = "{} % (95 % CI {})".format(*accuracy_cells(accuracy))
    target = f"the level {level} pass mark of {formats.percent(mark)} %"
    verdict: Verdict
    if accuracy.low >= mark:
        verdict, words = "supported", f"meets {target} with {reached}"
    elif accuracy.high < mark:
        verdict, words = "contradicted", f"misses {target} with {reached}"
    else:
        verdict, words = "inconclusive", f"reaches {reached}, too close to {target} to call"
    names = ("best-phrase", "best-accuracy", "best-accuracy-interval", "pass-mark")
    about: About = "recipes" if accuracy.seeds >= MIN_SEEDS else "networks"
    test = CROSSED if accuracy.seeds > 1 else "Wilson interval"
    claim = Claim(
        test, about, "percent", accuracy.images, accuracy.seeds, accuracy.mean, accuracy.low, accuracy.high, None,
        verdict, runs, null=mark,
    )  # fmt: skip
    rests_on = tuple(f"{name}/level{level}" for name in names)
    return Finding(f"pass-mark/level{level}", f"{formats.sentence_case(phrase)} {words}.", verdict, rests_on, claim)


@findings
def all_pass_marks(results: Results) -> Iterator[Finding]:
    """Which levels meet their pass marks."""
    found = {each.name.rpartition("level")[2]: each.verdict for each in pass_marks(results)}
    if found:
        yield marks_finding(found)


def marks_finding(found: Mapping[str, Verdict]) -> Finding:
    """What became of all pass marks, missed ones first, by level; contradicted where one is missed."""
    words: dict[Verdict, tuple[str, str]] = {
        "contradicted": ("misses its pass mark", "miss their pass marks"),
        "inconclusive": ("is too close to its pass mark to call", "are too close to their pass marks to call"),
        "supported": (
            "meets its pass mark with its whole interval",
            "meet their pass marks with their whole intervals",
        ),
    }
    told = []
    for verdict, (one, many) in words.items():
        levels = [level for level, each in found.items() if each == verdict]
        if levels:
            level = "level" if len(levels) == 1 else "levels"
            told.append(f"{level} {formats.listing(levels)} {one if len(levels) == 1 else many}")
    worst = next(each for each in words if each in found.values())
    named = tuple(f"pass-mark/level{level}" for level in found)
    return Finding("pass-marks", f"{formats.sentence_case('; '.join(told))}.", worst, named)


@findings
def conclusions(results: Results) -> Iterator[Finding]:
    """How far accuracy moves over the levels with a pass mark, and which of the steps are shown."""
    marked = [level for level in results.best if results.view.level[level].step]
    if len(marked) > 1 and results.progress:
        path = {
            level: (results.view.phrase(results.best[level]), results.accuracies[results.best[level]].mean)
            for level in marked
        }
        yield conclusion_finding(path, results.progress)


def conclusion_finding(path: Mapping[int, tuple[str, float]], steps: Mapping[int, Judged]) -> Finding:
    """Along the levels, whose models and accuracies ``path`` has, and the ``steps`` to them."""
    words: dict[tuple[Verdict, bool], tuple[str, str]] = {
        ("supported", True): ("is shown to raise accuracy", "are shown to raise accuracy"),
        ("contradicted", True): ("is shown to lower it", "are shown to lower it"),
        ("equivalent", True): ("makes no difference that matters", "make no difference that matters"),
        ("inconclusive", True): ("is undecided", "are undecided"),
        ("inconclusive", False): ("has no verdict with so few seeds", "have no verdict with so few seeds"),
    }
    told = []
    for kind, (one, many) in words.items():
        judged = {n: step for n, step in sorted(steps.items()) if (step.verdict, step.decidable) == kind}
        found = {str(n): _apart(step) for n, step in judged.items()}
        if found:
            named = f"step{'s' * (len(found) > 1)} to level{'s' * (len(found) > 1)} {formats.listing([*found])}"
            does = one if len(found) == 1 else many
            told.append(f"the {named} {does} ({'; '.join(found.values())})")
    (first, (start, _)), *_, (last, (end, _)) = path.items()
    reached = formats.listing([formats.percent(accuracy) for _, accuracy in path.values()])
    sentence = (
        f"From level {first} ({start}) to level {last} ({end}) the test accuracy of the models selected is {reached} "
        f"%; each against the model that the level before selects, {formats.listing(told)}."
    )
    order: tuple[Verdict, ...] = ("contradicted", "supported", "equivalent", "inconclusive")
    verdict = next(each for each in order if each in [step.verdict for step in steps.values()])
    rests_on = [f"{name}/level{level}" for level in path for name in ("best-phrase", "best-accuracy")]
    for level, step in steps.items():
        tested = ["p-equivalence" if step.equivalent else "p"] * step.decidable
        rests_on += [f"{name}/level{level}-over-previous" for name in ("difference", *tested)]
    return Finding("conclusion", sentence, verdict, tuple(rests_on))


def _apart(step: Judged) -> str:
    """How the accuracy of a step differs from that of the level before, and the p that its verdict rests on."""
    found, interval = step.comparison, formats.points_interval(step.comparison.low, step.comparison.high)
    tested = f", adjusted {formats.p_phrase(step.p)}" * step.decidable
    if step.equivalent:
        tested = f", for equivalence adjusted {formats.p_phrase(step.p_equivalence)}"
    return f"{formats.points(found.difference)} points, 95 % CI {interval}{tested}"


def _asked(results: Results) -> tuple[bool, bool]:
    """Whether these data have pass marks, and published figures."""
    described = results.view.level.values()
    return any(level.pass_mark is not None for level in described), any(level.reference for level in described)


@figure
def levels(results: Results) -> Figure | None:
    """Figure 1 of the paper, accuracy per level; None before the first run."""
    if not results.best:
        return None
    marked, published = _asked(results)
    caption = join(
        "Test accuracy of the models that the levels select.",
        "Filled: the model that each level selects on validation, named below, with its interval; small: the level's "
        "other models" + "; bar: its pass mark" * marked + "; open diamond: the published figure" * published + ".",
        accuracy_interval(results),
    )
    numbers = formats.listing([str(level) for level in results.view.levels])
    alt = f"Test accuracy in percent of levels {numbers}, with intervals"
    alt += ", pass marks" * marked + ", published figures" * published
    selected = results.best.values()
    models = {each.key for level in results.view.levels for each in results.view.models(level)}
    shown = {key: accuracy for key, accuracy in results.accuracies.items() if key in models}
    data: dict[str, Sequence[object]] = {
        "experiment": list(shown),
        "selected": [key in selected for key in shown],
        "accuracy": [each.mean for each in shown.values()],
        "low": [each.low for each in shown.values()],
        "high": [each.high for each in shown.values()],
    }
    return Figure("levels", caption, lambda: _draw(results), alt, data)


def _draw(results: Results) -> Canvas:
    """Accuracy in percent over the levels; the first pass mark and the last reference are named."""
    canvas, shown = style.canvas(1.95), results.view.levels
    axes = canvas.subplots()
    for level in shown:
        _draw_level(axes, results, level)
    names = [textwrap.fill(results.view.title(results.best[n]), 20) if n in results.best else "" for n in shown]
    axes.set(ylabel="Test accuracy, %")
    axes.set_xticks(shown, [f"Level {n}\n{name}" for n, name in zip(shown, names, strict=True)])
    axes.set_xlim(min(shown) - 0.5, max(shown) + 0.75)
    style.round_accuracy(axes)
    style.grid(axes, "y")
    described = results.view.level.values()
    marks = [(level.number, 100 * level.pass_mark) for level in described if level.pass_mark is not None]
    references = [(level.number + 0.38, 100 * level.reference.accuracy) for level in described if level.reference]
    for mark in marks[:1]:
        _note(axes, "pass mark", mark, -3, style.GREY)
    for place in references[-1:]:
        axes.annotate("published", place, va="center", ha="left", annotation_clip=False)
    return canvas


def _draw_level(axes: Axes, results: Results, level: int) -> None:
    key, described = results.best.get(level), results.view.level[level]
    others = [e.key for e in results.view.models(level) if e.key in results.accuracies and e.key != key]
    heights = [100 * results.accuracies[other].mean for other in others]
    shades = [style.colour(results.view, other) for other in others]
    axes.scatter([level - 0.22] * len(heights), heights, 9, color=shades, linewidths=0)
    if described.pass_mark is not None:
        axes.hlines(100 * described.pass_mark, level - 0.4, level + 0.4, color=style.GREY, lw=1.6)
    if described.reference:
        axes.plot(level + 0.28, 100 * described.reference.accuracy, "D", mfc="white", mec=style.INK, mew=0.9)
    if key:
        accuracy, shade = results.accuracies[key], style.colour(results.view, key)
        spread = style.error_bar(accuracy)
        axes.errorbar(level, 100 * accuracy.mean, spread, fmt="o", color=shade, ms=6, capsize=2.5, zorder=3)
        _note(axes, formats.percent(accuracy.mean), (level, 100 * accuracy.high), 3, style.darker(shade))


def _note(axes: Axes, text: str, place: tuple[float, float], above: float, shade: str) -> None:
    """Text centred ``above`` a place (points), or below it when that is negative."""
    side: Any = {"va": "bottom" if above > 0 else "top", "ha": "center", "color": shade}
    named = axes.annotate(text, place, xytext=(0, above), textcoords="offset points", **side)
    named.set_path_effects(style.HALO)
