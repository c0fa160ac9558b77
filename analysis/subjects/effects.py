"""Every comparison with a control in one table, the differences drawn beside their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from analysis import formats
from analysis.captions import FILLED, counted, join
from analysis.evidence import Fact, Finding, Origin, Strip, Table, Verdict, facts, findings, table
from analysis.results import Judged, Results
from analysis.statistics.crossed import MIN_SEEDS, POWER
from analysis.subjects.training import train_seconds
from study.experiment import Expectation
from study.kinds import Vote

RECIPES, DEPLOYMENT = (1, 2, 3), (5,)  # levels that train networks one by one, and make one that can be shipped
MARGIN = 0.03  # of the strip's width, left free at both ends
EXPECTED: dict[Expectation, str] = {"gain": "↑", "loss": "↓", "no difference": "="}
MANY = 3  # comparisons that a sentence names one by one
JUDGED = ("Difference (95 % CI)", "", "p (Holm)", "Verdict", "Detectable")
HEAD = ("Experiment", "Control", "", *JUDGED, "Seeds", "Training")
# What is said of one, and of several, that end so.
OUTCOMES = {
    "lower": ("lowers accuracy", "lower accuracy"),
    "higher": ("improves accuracy", "improve accuracy"),
    "equivalent": ("makes no difference that matters", "make no difference that matters"),
}


@table
def effects(results: Results) -> Table | None:
    """A row per comparison, level by level: what it changes, how surely, what it could have seen and what it costs."""
    if not results.judged:
        return None
    strips = dict(zip(results.judged, drawn(list(results.judged.values())), strict=True))
    rows: list[tuple[str | Strip, ...]] = []
    for number in (*results.view.levels, 0):  # 0: what was added belongs to no level
        judged = results.judged_at(number)
        if judged:
            described = results.view.level.get(number)
            rows.append((f"Level {number}: {described.title}" if described else "Added to the study",))
        rows += [_row(results, each, strips[each.key]) for each in judged]
    few = any(each.retrained and each.comparison.seeds < MIN_SEEDS for each in results.judged.values())
    power = f"power {formats.setting(POWER)}" + (
        f" by {formats.plural(MIN_SEEDS, 'seed')}, where networks were retrained fewer times" if few else ""
    )
    about = {each.comparison.about for each in results.judged.values()}
    networks = "votes, int8 models and networks with fewer seeds" if few else "votes and int8 models"
    networks = f", of {networks} over images alone" if len(about) > 1 else ""
    caption = join(
        takeaway(results),
        "Difference in test accuracy from the control, in points; arrow: as the plan expects it. Drawn: the same "
        f"interval on one scale for all rows, the line at zero; {FILLED}. Verdict: a dash where undecided; "
        "equivalence has tests of its own. Detectable: the true difference found with "
        f"{power}. Training: time of the treated networks, for a vote of all members.",
        counted(results),
        f"Each interval is of one comparison{networks}; p is adjusted for all {len(results.judged)}.",
    )
    return Table("effects", caption, HEAD, tuple(rows), "llclcrlrrr", dense=True, leading=2)


def takeaway(results: Results) -> str:
    """How many comparisons are decided, and how many could not be."""
    decided = sum(1 for each in results.judged.values() if each.verdict != "inconclusive")
    verb, closed = "is" if decided == 1 else "are", sum(1 for each in results.judged.values() if not each.decidable)
    words = f"{decided} of {formats.plural(len(results.judged), 'comparison')} with a control {verb} decided"
    if closed:
        words += f"; {formats.count(closed)}, whose networks were retrained, cannot be with so few seeds"
    return f"{words}."


def drawn(judged: Sequence[Judged]) -> list[Strip]:
    """The intervals of all comparisons on one scale, which holds them all and zero."""
    low = min(0.0, *(each.comparison.low for each in judged))
    high = max(0.0, *(each.comparison.high for each in judged))
    width = (high - low) / (1 - 2 * MARGIN) or 1.0

    def at(value: float) -> float:
        return MARGIN + (value - low) / width

    return [
        Strip(
            at(each.comparison.low), at(each.comparison.difference), at(each.comparison.high), at(0), bool(each.differs)
        )
        for each in judged
    ]


def _row(results: Results, judged: Judged, strip: Strip) -> tuple[str | Strip, ...]:
    view, c = results.view, judged.comparison
    return (
        view.title(judged.key),
        view.title(judged.control),
        EXPECTED[judged.expects],
        f"{formats.points(c.difference)} ({formats.points_interval(c.low, c.high)})",
        strip,
        formats.p_value(judged.p),
        formats.MISSING if judged.verdict == "inconclusive" else judged.verdict,
        formats.percent(judged.power.detectable) if judged.power else formats.MISSING,
        str(c.seeds),
        _training(results, judged.key),
    )


def _training(results: Results, key: str) -> str:
    """How long what an experiment consists of took to train: itself, or a vote's members; a dash for neither."""
    experiment = results.view.experiments[key]
    networks = experiment.members if isinstance(experiment, Vote) else (key,) if experiment.trained else ()
    return formats.duration(sum(train_seconds(results, each) for each in networks))[2] if networks else formats.MISSING


@findings
def summaries(results: Results) -> Iterator[Finding]:
    """What the steps in training and architecture show together, and what those of deployment do."""
    for name, levels in {"summary/recipe": RECIPES, "summary/deployment": DEPLOYMENT}.items():
        judged = [each for level in levels for each in results.judged_at(level)]
        if judged:
            yield summary_finding(name, judged, [results.view.phrase(each.key) for each in judged])


def summary_finding(name: str, judged: Sequence[Judged], titles: Sequence[str]) -> Finding:
    """How many of several comparisons improve, lower, do nothing that matters, or are undecided, naming the decided.

    It is contradicted when one of them is, else supported or equivalent when one of them is. Where none may be decided,
    it tells how far apart the networks are.
    """
    verdicts = {each.verdict for each in judged}
    order: tuple[Verdict, ...] = ("contradicted", "supported", "equivalent", "inconclusive")
    verdict = next(v for v in order if v in verdicts)
    rests_on = tuple(f"{kind}/{j.key}" for j in judged for kind in ("difference", "p"))
    if not any(each.decidable for each in judged):
        return Finding(name, _range(dict(zip(titles, judged, strict=True))), verdict, rests_on)
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
    return Finding(
        name,
        f"Of {formats.plural(len(judged), 'comparison')} with a control, {formats.listing(parts)}.",
        verdict,
        rests_on,
    )


def _range(judged: Mapping[str, Judged]) -> str:
    """How far apart the networks of comparisons without a verdict are, by phrase, as a sentence."""
    ordered = sorted(judged.items(), key=lambda item: item[1].comparison.difference)
    ends = [f"{formats.points(each.comparison.difference)} points ({name})" for name, each in ordered]
    seeds = formats.plural(max(each.comparison.seeds for each in judged.values()), "seed")
    if len(ends) == 1:
        return f"With {seeds} no recipe has a verdict; the network differs from its control by {ends[0]}."
    reach = f"the differences of networks from their controls reach from {ends[0]} to {ends[-1]}"
    return f"With {seeds} no recipe has a verdict; {reach}."


def _outcome(judged: Judged) -> str:
    if not judged.decidable:
        return "too few seeds"
    if judged.equivalent:
        return "equivalent"
    return {1: "higher", -1: "lower", 0: "undecided"}[judged.change]


@findings
def open_questions(results: Results) -> Iterator[Finding]:
    """Level by level, and for the whole study, which comparisons are undecided and what would decide them."""
    for level in results.view.levels:
        yield from _open(results, f"open/level{level}", results.judged_at(level))
    yield from _open(results, "open/study", list(results.judged.values()), brief=True)


def _open(results: Results, name: str, judged: Sequence[Judged], brief: bool = False) -> Iterator[Finding]:
    undecided = [each for each in judged if each.verdict == "inconclusive"]
    if undecided:
        told = {results.view.phrase(each.key): _seeds_wanted(each) for each in undecided}
        few = any(not each.decidable for each in undecided)
        yield few_finding(name, len(told), len(judged)) if few else open_finding(name, told, len(judged), brief)


@facts
def open_facts(results: Results) -> Iterator[Fact]:
    """How many comparisons of each level, and of the study, are undecided."""
    groups = {f"level{level}": results.judged_at(level) for level in results.view.levels}
    groups["study"] = list(results.judged.values())
    for name, judged in groups.items():
        keys = [each.key for each in judged if each.verdict == "inconclusive"]
        if keys:
            yield Origin(Judged.verdict, results.view.names(*keys)).count(f"undecided/{name}", len(keys))


def _seeds_wanted(judged: Judged) -> int | None:
    return judged.power.matters if judged.power else None


def few_finding(name: str, undecided: int, compared: int) -> Finding:
    """What is undecided for want of seeds: how many more it would take cannot be told from so few."""
    words = (
        f"{_undecided(undecided, compared)}; a verdict on a recipe takes {formats.plural(MIN_SEEDS, 'seed')} or more"
    )
    return Finding(name, f"{words}.", "inconclusive", (name.replace("open/", "undecided/"),))


def open_finding(name: str, wanted: Mapping[str, int | None], compared: int, brief: bool) -> Finding:
    """What is undecided, by phrase with the seeds that would find the smallest difference that matters, or None."""
    more = {phrase: seeds for phrase, seeds in sorted(wanted.items(), key=lambda item: item[1] or 0) if seeds}
    without, found = [phrase for phrase in wanted if phrase not in more], "the smallest difference that matters"
    words = _undecided(len(wanted), compared)
    images = f"to find {found} takes more test images"
    if not more:
        words += f"; {images}"
    elif brief:
        words += f"; {formats.plural(max(more.values()), 'seed')} of each recipe would find {found} in "
        words += (
            ("all" if len(more) == len(wanted) else formats.count(len(more)))
            + " of them"
            + ", the others need more test images" * bool(without)
        )
    else:
        told = [f"{formats.count(seeds)} for {phrase}" for phrase, seeds in more.items()]
        listed = f"from {told[0]} to {told[-1]}" if len(told) > MANY else formats.listing(told)
        words += f". Seeds that would find {found}: {listed}"
        words += f". For {formats.listing(without)}, {images}" if without else ""
    return Finding(name, f"{words}.", "inconclusive", (name.replace("open/", "undecided/"),))


def _undecided(number: int, compared: int) -> str:
    """How many of the comparisons are undecided, as a sentence without its full stop."""
    if number < compared:
        verb = "is" if number == 1 else "are"
        return f"{formats.count(number)} of {formats.plural(compared, 'comparison')} {verb} undecided"
    every = {1: "The comparison is", 2: "Both comparisons are"}.get(compared, f"All {compared} comparisons are")
    return f"{every} undecided"
