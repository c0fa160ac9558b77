"""Every experiment beside its control: differences, verdicts, the levels' tables and the forest plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import (
    accuracy_cells,
    accuracy_interval,
    cells,
    counted,
    difference_interval,
    join,
    over,
    takeaway,
)
from analysis.evidence import Fact, Figure, Finding, Findings, Origin, Table, Verdict, facts, figure, findings, table
from analysis.results import SEED_NOISE, Judged, Results
from analysis.statistics.comparison import ALPHA, compare, detectable_effect, holm, summarise
from analysis.subjects import transfer
from study.records import Predictions

ROW = 0.17  # inches
LINE = 38  # characters
FILLS = {1: style.COLOURS[0], -1: style.COLOURS[1], 0: "white"}
VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "inconclusive")


@facts
def accuracy_facts(results: Results) -> Iterator[Fact]:
    """Accuracy of every experiment."""
    view = results.view
    for key, accuracy in results.accuracies.items():
        made = Origin(summarise, view.names(key))
        yield made.percent(f"accuracy/{key}", accuracy.mean)
        yield made.interval(f"accuracy-interval/{key}", accuracy.low, accuracy.high)
        if accuracy.sd is not None:
            yield made.points(f"accuracy-sd/{key}", accuracy.sd)
        if not view.predictions(key, "validation"):
            continue
        validation = view.metric(key, "validation_accuracy")
        yield replace(made, computed_by=Predictions.accuracy).percent(f"validation-accuracy/{key}", validation)


@facts
def comparison_facts(results: Results) -> Iterator[Fact]:
    """Difference of every experiment from its control, and how many comparisons reached each verdict."""
    for key, judged in results.judged.items():
        yield from _judged_facts(results, key, judged)
    for level, judged in results.progress.items():
        yield from _judged_facts(results, f"level{level}-over-previous", judged)
    family = results.view.names(*results.judged)
    yield Origin(holm, family).count("comparisons/count", len(results.judged))
    verdicts = Counter(judged.verdict for judged in results.judged.values())
    for verdict in VERDICTS if verdicts else ():
        yield Origin(Judged.verdict, family).count(f"verdicts/{verdict}", verdicts[verdict])


def _judged_facts(results: Results, name: str, judged: Judged) -> Iterator[Fact]:
    c, runs = judged.comparison, results.view.names(judged.key, judged.control)
    made = Origin(compare, runs)
    yield made.points(f"difference/{name}", c.difference)
    text = f"{formats.points_interval(c.low, c.high)} points"
    yield made.fact(f"difference-interval/{name}", [c.low, c.high], "points", text)
    yield Origin(holm, runs).fact(f"p/{name}", judged.p, "p", formats.p_value(judged.p))
    seen = f"{formats.percent(c.detectable)} points"
    yield Origin(detectable_effect, runs).fact(f"detectable/{name}", c.detectable, "points", seen)


@findings
def comparison_findings(results: Results) -> Iterator[Finding]:
    """What each comparison shows."""
    return (_about(results, judged) for judged in results.judged.values())


def _about(results: Results, judged: Judged) -> Finding:
    title = results.view.title
    return comparison_finding(f"difference/{judged.key}", judged, title(judged.key), title(judged.control), judged.key)


def comparison_finding(name: str, judged: Judged, treated: str, control: str, ending: str) -> Finding:
    """Sentence about one comparison; ``ending`` is that of its facts' names."""
    words = f"{treated} {effect(judged, control)}"
    if not judged.change:
        words = f"Between {treated} and {control} {no_difference(judged)}"
    kinds = ("difference", "difference-interval", "p", "detectable")
    return Finding(name, f"{words}.", judged.verdict, tuple(f"{kind}/{ending}" for kind in kinds))


def effect(judged: Judged, over: str) -> str:
    """What the treated experiment does to accuracy, as the words after its name; ``over`` names the control."""
    c = judged.comparison
    low, high = sorted((judged.change * c.low, judged.change * c.high))
    verb = "improves accuracy by" if judged.change > 0 else "lowers accuracy by"
    interval = f"95 % CI {formats.percent(low)} to {formats.percent(high)}"
    evidence = f"{interval}, {formats.p_phrase(judged.p)}, n = {formats.plural(c.seeds, 'seed')}"
    return f"{verb} {formats.percent(abs(c.difference))} points against {over} ({evidence})"


def no_difference(judged: Judged) -> str:
    """The words for a comparison that cannot tell its two sides apart, with what it could have seen."""
    c = judged.comparison
    difference = f"difference {formats.points(c.difference)} points"
    interval = f"95 % CI {formats.points_interval(c.low, c.high)}"
    evidence = f"{difference}, {interval}, {formats.p_phrase(judged.p)}, n = {formats.plural(c.seeds, 'seed')}"
    seen = f"the study would have seen {formats.percent(c.detectable)} points"
    if judged.noisy and judged.p < ALPHA:
        seen = f"with one seed a difference under {formats.percent(SEED_NOISE)} points may be chance in training"
    return f"no difference was detected ({evidence}); {seen}"


@findings
def progress_findings(results: Results) -> Iterator[Finding]:
    """What each level gains on the one before."""
    view = results.view
    for level, judged in results.progress.items():
        before = view.experiments[judged.control].level
        treated, control = f"{view.title(judged.key)} (level {level})", f"{view.title(judged.control)} (level {before})"
        name, ending = f"progress/level{level}", f"level{level}-over-previous"
        yield comparison_finding(name, judged, treated, control, ending)


@findings
def summaries(results: Results) -> Iterator[Finding]:
    """What a level's comparisons show together."""
    for level in results.view.levels:
        judged = results.judged_at(level)
        if len(judged) == 1:
            yield replace(_about(results, judged[0]), name=f"summary/level{level}")
        elif judged:
            yield summary_finding(f"summary/level{level}", judged, [results.view.title(j.key) for j in judged])


def summary_finding(name: str, judged: Sequence[Judged], titles: Sequence[str]) -> Finding:
    """How many of several comparisons improve, lower, or show nothing, naming those that do something.

    It is contradicted when one of them is, else supported when one of them is.
    """
    verdicts = {each.verdict for each in judged}
    verdict: Verdict = next(v for v in ("contradicted", "supported", "inconclusive") if v in verdicts)
    rests_on = tuple(f"{kind}/{j.key}" for j in judged for kind in ("difference", "p"))
    changes = [each.change for each in judged]
    silent = changes.count(0)
    if silent == len(judged):
        sentence = f"In none of {silent} comparisons with a control was a difference detected."
        return Finding(name, sentence, verdict, rests_on)
    parts = []
    for change, verb in ((-1, "lower"), (1, "improve")):
        named = [title for title, found in zip(titles, changes, strict=True) if found == change]
        if named:
            parts.append(f"{len(named)} {verb if len(named) > 1 else verb + 's'} accuracy ({formats.listing(named)})")
    if silent:
        parts.append(f"for {silent} no difference was detected")
    return Finding(name, f"Of {len(judged)} comparisons with a control, {formats.listing(parts)}.", verdict, rests_on)


@table
def level_tables(results: Results, findings: Findings) -> Iterator[tuple[str, Table | None]]:
    """A table per level of the plan, whether or not it has runs."""
    for level in sorted({*results.view.levels, *results.view.level}):
        yield f"level{level}", level_table(results, findings, level)


def level_table(results: Results, findings: Findings, level: int) -> Table | None:
    """A level's experiments: accuracy and difference to the control, each with its interval, and p.

    Level 1's has what its networks cost in place of the controls.
    """
    keys = [experiment.key for experiment in results.view.at(level) if experiment.key in results.accuracies]
    if not keys:
        return None
    title, costs = results.view.title, level == transfer.LEVEL
    rows = []
    for key in keys:
        judged = results.judged.get(key)
        control = [] if costs else [title(judged.control) if judged else formats.MISSING]
        spent = transfer.cost_cells(results, key) if costs else ()
        rows.append((title(key), *control, *accuracy_cells(results.accuracies[key]), *cells(judged), *spent))
    caption = join(
        takeaway(findings, f"summary/level{level}", f"pass-mark/level{level}"),
        f"Test accuracy of the level {level} experiments and difference to the control.",
        accuracy_interval(results),
        difference_interval(results),
        "MACs: multiply-accumulates per image at the size trained on; training time per run." if costs else "",
    )
    head = ("Accuracy, %", "95 % CI", "Difference, points", "95 % CI", "p")
    before, after = (("Experiment",), transfer.COSTS) if costs else (("Experiment", "Control"), ())
    align, best = "l" * len(before) + "rlrlr" + "r" * len(after), _clear_best(results, keys, column=len(before))
    return Table(f"level{level}", caption, (*before, *head, *after), tuple(rows), align, best)


def _clear_best(results: Results, keys: Sequence[str], column: int) -> frozenset[tuple[int, int]]:
    """The best accuracy's cell, if it differs from the next by a paired test; none otherwise."""
    order = sorted(keys, key=lambda key: results.accuracies[key].mean, reverse=True)
    if len(order) < 2:
        return frozenset()
    first, second = results.view.paired(order[0], order[1])
    if not first or compare(first, second, np.random.default_rng(0)).p >= ALPHA:
        return frozenset()
    return frozenset({(keys.index(order[0]), column)})


@table
def ablation(results: Results, findings: Findings) -> Table | None:
    """Level 2's comparisons: what each change does, and what the study could have seen."""
    judged = results.judged_at(2)
    if not judged:
        return None
    rows = []
    for j in judged:
        change = results.view.experiments[j.key].differs or results.view.title(j.key)
        needed = formats.MISSING if j.seeds_needed is None else formats.count(j.seeds_needed)
        seen = formats.percent(j.comparison.detectable)
        rows.append((change, results.view.title(j.control), *cells(j), seen, needed))
    caption = join(
        takeaway(findings, "summary/level2"),
        "Difference in test accuracy that each change makes to its control; detectable is the true "
        "difference the comparison finds with power 0.8 when p is adjusted for all comparisons of the study; seeds: "
        "how many would show a difference of the size seen, by a paired t test of that power on these images.",
        counted(results, over(min(j.comparison.seeds for j in judged))),
        difference_interval(results),
    )
    head = ("Change", "Control", "Difference, points", "95 % CI", "p (Holm)", "Detectable, points", "Seeds")
    return Table("ablation", caption, head, tuple(rows), "llrlrrr")


@figure
def forest(results: Results, findings: Findings) -> Figure | None:
    """Every comparison with its control, level by level; None while there is none."""
    judged = list(results.judged.values())
    if not judged:
        return None
    titles = [results.view.title(each.key) for each in judged]
    caption = join(
        summary_finding("all", judged, titles).sentence,
        "Difference in test accuracy from the control (in brackets), with its 95 % interval; grey band: "
        "differences below the detectable effect at power 0.8; left: the level. Filled: higher (blue) or lower "
        "(orange) than the control, adjusted p below 0.05; open: no difference detected.",
        counted(results, formats.plural(judged[0].comparison.seeds, "seed")),
        difference_interval(results),
    )
    alt = "Differences in accuracy with intervals of every experiment from its control"
    return Figure("forest", caption, lambda: _draw(results, judged), alt)


def _draw(results: Results, judged: list[Judged]) -> Canvas:
    """One row per comparison, grouped by level: level, experiment and control, on two lines where one would crowd."""
    title, positions, before = results.view.title, [0.0], 0
    names: list[str] = []
    for each in judged:
        level = results.view.experiments[each.key].level
        treated, control = f"{level or formats.MISSING}  {title(each.key)}", f"[{title(each.control)}]"
        name = f"{treated} {control}" if len(treated + control) < LINE else f"{treated}\n{control}"
        if names:  # positions are in lines of text
            tall = (names[-1].count("\n") + name.count("\n") + 2) / 2
            positions.append(positions[-1] + tall + (0.6 if level != before else 0.1))
        names.append(name)
        before = level
    canvas = style.canvas(0.55 + ROW * (positions[-1] + 1))
    axes = canvas.subplots()
    for position, each in zip(positions, judged, strict=True):
        _draw_row(axes, position, each)
    axes.axvline(0, color=style.GREY, lw=0.8, zorder=0)
    axes.set_yticks(positions, names)
    axes.set_ylim(positions[-1] + 1, -0.8)
    axes.set_xlabel("Difference in test accuracy, points")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    style.grid(axes, "x")
    return canvas


def _draw_row(axes: Axes, position: float, judged: Judged) -> None:
    c, fill = judged.comparison, FILLS[judged.change]
    edge = fill if judged.change else style.INK
    seen = 100 * c.detectable
    axes.barh(position, 2 * seen, left=-seen, height=0.75, color="#EFEFEF", zorder=0)
    axes.plot([100 * c.low, 100 * c.high], [position] * 2, color=edge, lw=1.2, solid_capstyle="butt")
    axes.plot(100 * c.difference, position, "o", mfc=fill, mec=edge, mew=1.0, ms=5)
    text = f"{formats.points(c.difference)}  ({formats.p_phrase(judged.p)})"
    place = (1.01, position)
    axes.annotate(text, place, xycoords=axes.get_yaxis_transform(), va="center", ha="left", annotation_clip=False)
