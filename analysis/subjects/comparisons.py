"""Every experiment beside its control: differences, verdicts, the levels' tables and the forest plot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

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
from analysis.evidence import (
    Claim,
    Fact,
    Figure,
    Finding,
    Findings,
    Origin,
    Table,
    Verdict,
    facts,
    figure,
    findings,
    table,
)
from analysis.results import Judged, Results
from analysis.statistics.comparison import adjusted, compare, paired_correct, resolution, summarise
from analysis.statistics.crossed import ALPHA, MIN_SEEDS
from analysis.subjects import transfer
from study.records import Predictions

ROW = 0.17  # inches
LINE = 38  # characters
FILLS = {1: style.COLOURS[0], -1: style.COLOURS[1], 0: "white"}
VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "equivalent", "inconclusive")

# What is said of one, and of several, that end so.
OUTCOMES = {
    "lower": ("lowers accuracy", "lower accuracy"),
    "higher": ("improves accuracy", "improve accuracy"),
    "equivalent": ("makes no difference that matters", "make no difference that matters"),
}


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
    yield Origin(adjusted, family).count("comparisons/count", len(results.judged))
    if few := sum(1 for judged in results.judged.values() if not judged.decidable):
        yield Origin(Judged.decidable, family).count("comparisons/too-few-seeds", few)
    verdicts = Counter(judged.verdict for judged in results.judged.values())
    for verdict in VERDICTS if verdicts else ():
        yield Origin(Judged.verdict, family).count(f"verdicts/{verdict}", verdicts[verdict])


def _judged_facts(results: Results, name: str, judged: Judged) -> Iterator[Fact]:
    c, runs = judged.comparison, results.view.names(judged.key, judged.control)
    made, tested = Origin(compare, runs), Origin(adjusted, runs)
    yield made.points(f"difference/{name}", c.difference)
    text = f"{formats.points_interval(c.low, c.high)} points"
    yield made.fact(f"difference-interval/{name}", [c.low, c.high], "points", text)
    yield tested.fact(f"p/{name}", judged.p, "p", formats.p_value(judged.p))
    yield tested.fact(f"p-equivalence/{name}", judged.p_equivalence, "p", formats.p_value(judged.p_equivalence))
    yield made.fact(f"margin/{name}", c.margin, "points", f"{formats.percent(c.margin)} points")
    if judged.resolution:
        seen = f"{formats.percent(judged.resolution.detectable)} points"
        yield Origin(resolution, runs).fact(f"detectable/{name}", judged.resolution.detectable, "points", seen)


@findings
def comparison_findings(results: Results) -> Iterator[Finding]:
    """What each comparison shows."""
    return (_about(results, judged) for judged in results.judged.values())


def _about(results: Results, judged: Judged) -> Finding:
    title = results.view.title
    name, runs = f"difference/{judged.key}", results.view.names(judged.key, judged.control)
    return comparison_finding(name, judged, title(judged.key), title(judged.control), judged.key, runs)


def comparison_finding(
    name: str, judged: Judged, treated: str, control: str, ending: str, runs: tuple[str, ...] = ()
) -> Finding:
    """Sentence about one comparison of these runs; ``ending`` is that of its facts' names."""
    kinds = ["difference", "difference-interval", "p", "margin", "p-equivalence", "detectable"]
    rests_on = tuple(f"{kind}/{ending}" for kind in kinds if kind != "detectable" or judged.resolution)
    return Finding(name, f"{words(judged, treated, control)}.", judged.verdict, rests_on, claim_of(judged, runs))


def claim_of(judged: Judged, runs: tuple[str, ...]) -> Claim:
    """The comparison as data."""
    c = judged.comparison
    return Claim(
        c.test, c.about, "points", c.images, c.seeds, c.difference, c.low, c.high, judged.p, judged.verdict, runs,
        judged.expects, margin=c.margin, p_equivalence=judged.p_equivalence, family=judged.family,
    )  # fmt: skip


def words(judged: Judged, treated: str, control: str) -> str:
    """What a comparison says, as a sentence without its full stop, by what its tests decide."""
    if not judged.decidable:
        return undecidable(judged, treated, control)
    if judged.equivalent:
        return equivalence(judged, treated, control)
    if judged.change:
        return f"{treated} {effect(judged, control)}"
    return f"Between {treated} and {control} {no_difference(judged)}"


def effect(judged: Judged, over: str) -> str:
    """What the treated experiment does to accuracy, as the words after its name; ``over`` names the control."""
    c = judged.comparison
    low, high = sorted((judged.change * c.low, judged.change * c.high))
    verb = "improves accuracy by" if judged.change > 0 else "lowers accuracy by"
    interval = f"95 % CI {formats.percent(low)} to {formats.percent(high)}"
    return f"{verb} {formats.percent(abs(c.difference))} points against {over} ({interval}, {_tested(judged)})"


def no_difference(judged: Judged) -> str:
    """The words for a comparison that cannot tell its two sides apart, with what it could have seen."""
    seen = ""
    if judged.resolution:
        seen = f"; differences below {formats.percent(judged.resolution.detectable)} points had less than 80 % power"
    return f"the comparison is undecided ({_measured(judged)}, {_tested(judged)}){seen}"


def equivalence(judged: Judged, treated: str, control: str) -> str:
    """The words for two sides whose difference, if there is one, is shown not to matter."""
    margin, p = formats.percent(judged.comparison.margin), formats.p_phrase(judged.p_equivalence)
    tested = f"two one-sided tests against ±{margin} points, adjusted {p}"
    start = f"Between {treated} and {control} there is no difference that matters"
    return f"{start} ({_measured(judged)}; {tested}, n = {formats.plural(judged.comparison.seeds, 'seed')})"


def undecidable(judged: Judged, treated: str, control: str) -> str:
    """The words for recipes with too few seeds: what these networks do on these images, and that no more is known."""
    c = judged.comparison
    networks = "two networks" if c.seeds == 1 else f"{2 * c.seeds} networks"
    test = "McNemar" if c.seeds == 1 else "paired test"
    found = f"95 % CI {formats.points_interval(c.low, c.high)}, {test}, adjusted {formats.p_phrase(judged.p)}"
    differ = f"These {networks}, {treated} against {control}, differ by {formats.points(c.difference)} points"
    return f"{differ} on these images ({found}); with {formats.plural(c.seeds, 'seed')} the recipe is undecided"


def _measured(judged: Judged) -> str:
    c = judged.comparison
    return f"difference {formats.points(c.difference)} points, 95 % CI {formats.points_interval(c.low, c.high)}"


def _tested(judged: Judged) -> str:
    return f"adjusted {formats.p_phrase(judged.p)}, n = {formats.plural(judged.comparison.seeds, 'seed')}"


@findings
def progress_findings(results: Results) -> Iterator[Finding]:
    """What each level gains on the one before."""
    view = results.view
    for level, judged in results.progress.items():
        before = view.experiments[judged.control].level
        treated, control = f"{view.title(judged.key)} (level {level})", f"{view.title(judged.control)} (level {before})"
        name, ending = f"progress/level{level}", f"level{level}-over-previous"
        yield comparison_finding(name, judged, treated, control, ending, view.names(judged.key, judged.control))


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
    """How many of several comparisons improve, lower, do nothing that matters, or are undecided, naming the decided.

    It is contradicted when one of them is, else supported or equivalent when one of them is.
    """
    verdicts = {each.verdict for each in judged}
    order: tuple[Verdict, ...] = ("contradicted", "supported", "equivalent", "inconclusive")
    verdict = next(v for v in order if v in verdicts)
    rests_on = tuple(f"{kind}/{j.key}" for j in judged for kind in ("difference", "p"))
    by_outcome: dict[str, list[str]] = {}
    for each, title in zip(judged, titles, strict=True):
        by_outcome.setdefault(_outcome(each), []).append(title)
    parts = [
        f"{len(named)} {verbs[len(named) > 1]} ({formats.listing(named)})"
        for outcome, verbs in OUTCOMES.items()
        if (named := by_outcome.get(outcome, []))
    ]
    if few := len(by_outcome.get("too few seeds", [])):
        parts.append(f"{few} {'have' if few > 1 else 'has'} fewer than {MIN_SEEDS} seeds and no verdict")
    if silent := len(by_outcome.get("undecided", [])):
        parts.append(f"{silent} {'are' if silent > 1 else 'is'} undecided")
    return Finding(name, f"Of {len(judged)} comparisons with a control, {formats.listing(parts)}.", verdict, rests_on)


def _outcome(judged: Judged) -> str:
    if not judged.decidable:
        return "too few seeds"
    if judged.equivalent:
        return "equivalent"
    return {1: "higher", -1: "lower", 0: "undecided"}[judged.change]


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
    if not first:
        return frozenset()
    retrained = order[1] not in results.view.experiments[order[0]].needs
    if compare(*paired_correct(first, second), retrained, results.chance).p >= ALPHA:
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
        rows.append((change, results.view.title(j.control), *cells(j), *_resolved(j)))
    caption = join(
        takeaway(findings, "summary/level2"),
        "Difference in test accuracy that each change makes to its control; detectable is the true difference that "
        f"the comparison, with {MIN_SEEDS} seeds where it has fewer, finds with power 0.8 after adjusting for all "
        "comparisons; seeds: how many would find a difference as large as the one seen, at the same level; – where "
        "no number of seeds would on these images.",
        counted(results, over(min(j.comparison.seeds for j in judged))),
        difference_interval(results),
    )
    head = ("Change", "Control", "Difference, points", "95 % CI", "p (Holm)", "Detectable, points", "Seeds")
    return Table("ablation", caption, head, tuple(rows), "llrlrrr")


def _resolved(judged: Judged) -> tuple[str, str]:
    """What a comparison could have seen, and with how many seeds it would see the difference it shows."""
    if judged.resolution is None:
        return formats.MISSING, formats.MISSING
    seeds = judged.resolution.seeds
    return formats.percent(judged.resolution.detectable), formats.MISSING if seeds is None else formats.count(seeds)


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
        "(orange) than the control, adjusted p below 0.05; pale: so for these networks, with too few seeds for a "
        "verdict about the recipe; open: neither.",
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
        treated, control = f"{level}  {title(each.key)}", f"[{title(each.control)}]"
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
    c, shade = judged.comparison, FILLS[judged.differs]
    edge, fill = shade if judged.differs else style.INK, shade if judged.decidable or not judged.differs else style.PALE
    if judged.resolution:
        seen = 100 * judged.resolution.detectable
        axes.barh(position, 2 * seen, left=-seen, height=0.75, color="#EFEFEF", zorder=0)
    axes.plot([100 * c.low, 100 * c.high], [position] * 2, color=edge, lw=1.2, solid_capstyle="butt")
    axes.plot(100 * c.difference, position, "o", mfc=fill, mec=edge, mew=1.0, ms=5)
    text = f"{formats.points(c.difference)}  ({formats.p_phrase(judged.p)})"
    place = (1.01, position)
    axes.annotate(text, place, xycoords=axes.get_yaxis_transform(), va="center", ha="left", annotation_clip=False)
