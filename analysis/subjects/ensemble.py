"""The ensemble: its members and votes, what voting gains, and how differently the members err."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import (
    DIVERSITY,
    OF_DIVERSITY,
    accuracy_cells,
    accuracy_interval,
    claim,
    counted,
    diversity_cells,
    evidence,
    join,
    one_seed,
)
from analysis.evidence import Fact, Figure, Finding, Origin, Table, Verdict, facts, figure, findings, table
from analysis.results import Judged, Results
from analysis.statistics import influence
from analysis.statistics.comparison import EXACT, PAIRED
from analysis.statistics.contrasts import Contrast, accuracy_contrasts
from analysis.statistics.crossed import FEWEST, Estimate, estimate_of
from analysis.statistics.ensemble import Ensemble, ensemble_of, fixed_and_broken, oracle_accuracy
from analysis.subjects.comparisons import comparison_finding
from study.experiment import run_name
from study.kinds import Vote
from study.metrics.calibration import probabilities
from study.metrics.intervals import wilson

SHOWN = 14  # combinations of members in the overlap's figure
PLAIN = "soft-probabilities"  # the rule that averages probabilities and needs no validation images


@facts
def ensemble_facts(results: Results) -> Iterator[Fact]:
    """Who votes by which rules, what voting mends and introduces, and what the members could reach."""
    ensemble, view = results.ensemble, results.view
    if ensemble is None:
        return
    runs, voted = view.names(*ensemble.members), view.names(*ensemble.members, ensemble.best_vote)
    yield Origin(ensemble_of, runs).count("ensemble/members", len(ensemble.members))
    yield Origin(ensemble_of, voted).text("ensemble/voters", voters(ensemble))
    yield Origin(ensemble_of, voted).count("ensemble/rules", len(ensemble.votes))
    yield Origin(ensemble_of, voted).text("ensemble/best-vote", view.phrase(ensemble.best_vote))
    yield Origin(ensemble_of, runs).text("ensemble/best-member", view.phrase(ensemble.best_member))
    counted_in = tuple(run_name(key, ensemble.seed) for key in ensemble.members)
    mended = Origin(fixed_and_broken, (*counted_in, run_name(ensemble.best_vote, ensemble.seed)))
    yield mended.count("ensemble/fixed", ensemble.fixed)
    yield mended.count("ensemble/broken", ensemble.broken)
    oracle, n = Origin(oracle_accuracy, counted_in), len(view.paired(ensemble.best_vote)[0][0].labels)
    yield oracle.percent("oracle/accuracy", ensemble.oracle)
    interval = wilson(ensemble.oracle * n, n)
    yield oracle.interval("oracle/accuracy-interval", interval.low, interval.high)


def voters(ensemble: Ensemble) -> str:
    """How many networks a prediction of the vote chosen takes, which seeds may differ in, in words."""
    fewest, most = ensemble.voters
    return formats.plural(most, "network") if fewest == most else f"{fewest} to {most} networks"


@findings
def ensemble_findings(results: Results) -> Iterator[Finding]:
    """Whether the vote that validation selects is better than the best member, and than every other member and rule."""
    ensemble = results.ensemble
    if ensemble is None:
        return
    judged = results.judged.get(ensemble.best_vote)
    if judged:
        treated, control = (
            f"the ensemble by {results.view.phrase(ensemble.best_vote)}",
            f"{results.view.phrase(ensemble.best_member)} as its best member on validation images",
        )
        runs = results.view.names(judged.key, judged.control)
        yield comparison_finding("ensemble/gain", judged, treated, control, runs)
    phrase, voted = results.view.phrase, ensemble.best_vote
    if others := _others(results, ensemble):
        gained = judged is not None and judged.verdict == "supported"
        finding = members_finding({phrase(key): each for key, each in others.items()}, also=gained)
        closest = min(others.values(), key=lambda each: each.difference)
        test = EXACT if len(results.view.seeds_of(voted, *others)) == 1 else PAIRED
        yield replace(finding, claim=claim(test, closest, results, finding.verdict, (voted, *others)))
    plain = _plain(results)
    if rules := _rules(results, ensemble):
        yield rules_finding({phrase(key): each for key, each in rules.items()}, phrase(plain))
    if ensemble.broken:
        many = len(results.view.seeds_of(ensemble.best_vote)) > 1
        yield introduced_finding(*_hesitation(results, ensemble), ensemble, many)


def _others(results: Results, ensemble: Ensemble) -> dict[str, Contrast]:
    """By how much the chosen vote is more accurate than each member but the best."""
    return _against(results, ensemble.best_vote, [key for key in ensemble.members if key != ensemble.best_member])


def _rules(results: Results, ensemble: Ensemble) -> dict[str, Contrast]:
    """By how much each other vote is more accurate than the plain mean."""
    plain = _plain(results)
    return _against(results, plain, [key for key in ensemble.votes if key != plain], reverse=True) if plain else {}


def _plain(results: Results) -> str:
    """The vote that averages probabilities; empty where there is none."""
    return next((vote.key for vote in results.view.of_kind(Vote) if vote.rule == PLAIN), "")


def _against(results: Results, key: str, others: Sequence[str], reverse: bool = False) -> dict[str, Contrast]:
    """Accuracy of ``key`` less that of each of the others, or the ``reverse``, as one family."""
    sign, found = -1 if reverse else 1, {other: results.view.differences(key, other) for other in others}
    return accuracy_contrasts({other: sign * each for other, each in found.items() if len(each)})


def members_finding(others: Mapping[str, Contrast], also: bool = True) -> Finding:
    """Whether the ensemble is more accurate than each of its other members, by phrase; ``also`` than the best one."""
    beaten = [name for name, each in others.items() if each.sign > 0]
    closest = min(others.values(), key=lambda each: each.difference)
    each = "each of its other members" if len(others) > 1 else "its other member"
    if len(beaten) == len(others):
        gap = f"the closest of them by {evidence(closest)}" if len(others) > 1 else f"by {evidence(closest)}"
        return Finding(
            "ensemble/members", f"The ensemble is {'also ' * also}more accurate than {each}, {gap}.", "supported", ()
        )
    if better := [name for name, each in others.items() if each.sign < 0]:
        words = f"{formats.sentence_case(formats.listing(better))} {'are' if len(better) > 1 else 'is'} more accurate"
        words += f" than the ensemble ({'largest ' * (len(better) > 1)}difference of the ensemble {evidence(closest)})."
        return Finding("ensemble/members", words, "contradicted", ())
    left = formats.listing([name for name in others if name not in beaten])
    of = "Of its other members, the" if len(others) > 1 else "The"
    words = f"{of} gain over {left} is not shown (smallest difference {evidence(closest)})."
    return Finding("ensemble/members", words, "inconclusive", ())


def rules_finding(rules: Mapping[str, Contrast], plain: str) -> Finding:
    """Whether any rule differs from the plain mean; rules by phrase."""
    parts = [
        f"{formats.count(len(found))} {'is' if len(found) == 1 else 'are'} {how} accurate than {plain}: "
        + formats.listing([f"{name} ({evidence(rules[name])})" for name in found])
        for sign, how in ((1, "more"), (-1, "less"))
        if (found := [name for name, each in rules.items() if each.sign == sign])
    ]
    verdict: Verdict = "inconclusive"
    if any(each.sign > 0 for each in rules.values()):
        verdict = "supported"
    elif parts:
        verdict = "contradicted"
    name, widest = max(rules.items(), key=lambda item: abs(item[1].difference))
    words = (
        f"No other rule differs detectably from {plain}; the largest difference is that of {name} ({evidence(widest)})."
    )
    if parts:
        words = f"Of the {formats.plural(len(rules), 'other rule')}, {'; '.join(parts)}."
    return Finding("ensemble/rules", words, verdict, ("ensemble/members",))


def _hesitation(results: Results, ensemble: Ensemble) -> tuple[float, float, Estimate]:
    """Of the best member's correct images: its median confidence where the vote errs and where not, and the AUROC.

    The AUROC is that of telling the former by low confidence.
    """
    view = results.view
    voted, best = (
        view.runs[key][ensemble.seed].predictions("test") for key in (ensemble.best_vote, ensemble.best_member)
    )
    right = best.correct
    confidence, introduced = probabilities(best.logits).max(axis=1)[right], ~voted.correct[right]
    contributions = influence.of_auroc(-confidence, introduced)
    return (
        float(np.median(confidence[introduced])),
        float(np.median(confidence[~introduced])),
        estimate_of(contributions[None]),
    )


def introduced_finding(
    there: float, elsewhere: float, auroc: Estimate, ensemble: Ensemble, many: bool = False
) -> Finding:
    """How many errors the vote mends and introduces, and how sure the best member was of those it introduces.

    Whose seed it is is said where there are ``many``.
    """
    fixed, broken = formats.plural(ensemble.fixed, "error"), formats.count(ensemble.broken)
    whose = f"the ensemble of seed {ensemble.seed}" if many else "the ensemble"
    words = f"Against its best member {whose} mends {fixed} and introduces {broken}"
    numbers = (
        f"its median confidence there {formats.percent(there)} %, {formats.percent(elsewhere)} % on its other right "
    )
    numbers += "answers"
    verdict: Verdict = "inconclusive"
    if ensemble.broken < FEWEST:
        where = "too few to tell whether where the member was unsure"
    else:
        interval = auroc.interval()
        low, high = formats.decimal(interval.low), formats.decimal(interval.high)
        numbers += f"; AUROC of low confidence {formats.decimal(auroc.value)}, 95 % CI {low} to {high}"
        verdict = "supported" if interval.low > 0.5 else "contradicted" if interval.high < 0.5 else "inconclusive"
        where = {
            "supported": "on images of which the member was unsure",
            "contradicted": "on images of which the member was sure",
            "inconclusive": "not detectably where the member was unsure",
        }[verdict]
    return Finding(
        "ensemble/introduced", f"{words}, {where} ({numbers}).", verdict, ("ensemble/fixed", "ensemble/broken")
    )


@table
def members(results: Results) -> Table | None:
    """The ensemble's members and voting rules."""
    ensemble = results.ensemble
    if ensemble is None:
        return None
    title, rows, changes = results.view.title, [], _changes(results, ensemble)
    # A member that a vote leaves out weighs nothing.
    weights = {vote: [each.get(key, 0.0) for key in ensemble.members] for vote, each in ensemble.weights.items()}
    unequal = {title(vote): each for vote, each in weights.items() if len({*each}) > 1}
    for number, key in enumerate((*ensemble.members, *ensemble.votes)):
        votes = key in ensemble.votes
        shares = [formats.MISSING if votes else formats.number(each[number]) for each in unequal.values()]
        validation = formats.percent(results.view.metric(key, "validation_accuracy"))
        tested = changes.get(key, (formats.MISSING, formats.MISSING))
        rows.append((title(key), *shares, validation, *accuracy_cells(results.accuracies[key]), *tested))
    named = formats.listing([*unequal])
    caption = join(
        _takeaway(results.judged.get(ensemble.best_vote)),
        f"Members with their weights in {named}, then votes." if named else "Members, then votes.",
        f"{title(ensemble.best_vote)} and the best member, {title(ensemble.best_member)}, are chosen on validation, of "
        f"equals the first. Difference: for a member that of {title(ensemble.best_vote)} from it, for a vote its own "
        "from the mean of probabilities; p is adjusted within either kind, the best member's over all comparisons.",
        accuracy_interval(results),
    )
    head = ("Model", *unequal, "Validation, %", "Test, %", "95 % CI", "Difference, points", "p")
    return Table(
        "members", caption, head, tuple(rows), f"l{'r' * len(unequal)}rrlrr", dense=True, reads=(ensemble.best_vote,)
    )


def _changes(results: Results, ensemble: Ensemble) -> dict[str, tuple[str, str]]:
    """Difference and p, as table cells, of the chosen vote from each member and of each vote from the plain mean."""
    found = _others(results, ensemble) | _rules(results, ensemble)
    told = {key: (formats.points(each.difference), formats.p_value(each.p)) for key, each in found.items()}
    if judged := results.judged.get(ensemble.best_vote):
        told[ensemble.best_member] = formats.points(judged.comparison.difference), formats.p_value(judged.p)
    return told


def _takeaway(judged: Judged | None) -> str:
    """What the chosen vote does, in few words; empty where it has no comparison."""
    if judged is None:
        return ""
    words = {1: "is more accurate than", -1: "is less accurate than", 0: "is not shown to differ from"}[judged.change]
    if judged.equivalent:
        words = "differs by less than matters from"
    return f"The vote chosen {words} the member that is best on validation."


@table
def diversity(results: Results) -> Table | None:
    """How differently each pair of members errs."""
    ensemble = results.ensemble
    if ensemble is None or ensemble.diversity.empty:
        return None
    title, frame = results.view.title, ensemble.diversity
    rows = tuple((title(row.a), title(row.b), *diversity_cells(row)) for row in frame.itertuples())
    low, high = (formats.percent(value) for value in (frame["disagreement"].min(), frame["disagreement"].max()))
    spread = f"{low} %" if low == high else f"{low} to {high} %"
    caption = join(
        f"Exactly one member of a pair is right on {spread} of the test images.",
        OF_DIVERSITY,
        counted(results),
        one_seed(results, ensemble.seed),
    )
    head = ("Member", "Member", *DIVERSITY)
    return Table("diversity", caption, head, rows, "llrrrrr", leading=2)


@figure
def overlap(results: Results) -> Figure | None:
    """Which members share errors, drawn as in UpSet (Lex et al. 2014).

    None before the ensemble's members and a vote have run, or when nobody errs.
    """
    ensemble = results.ensemble
    if ensemble is None or not ensemble.overlap:
        return None
    hidden = len(ensemble.overlap) - SHOWN
    total = formats.plural(sum(ensemble.overlap.values()), "image")
    rare = sum([*ensemble.overlap.values()][SHOWN:])
    shared = sum(count for names, count in ensemble.overlap.items() if len(names) == len(ensemble.members))
    caption = join(
        f"Of {total} that any member has wrong, all members have {formats.count(shared)} wrong.",
        "Bars: test images that exactly the members with a dot below have wrong; beside the names: a member's errors.",
        f"Left out: {formats.plural(hidden, 'combination')} of {formats.plural(rare, 'image')}." if hidden > 0 else "",
        counted(results),
        one_seed(results, ensemble.seed),
    )
    alt = "Numbers of test images by which combination of ensemble members classifies them wrongly"
    data: dict[str, Sequence[object]] = {
        "wrong": [" ".join(names) for names in ensemble.overlap],
        "images": list(ensemble.overlap.values()),
    }
    return Figure("overlap", caption, lambda: _draw(results, ensemble), alt, data)


def _draw(results: Results, ensemble: Ensemble) -> Canvas:
    """Bars above a matrix of dots, each member's errors beside its name."""
    members, top = list(ensemble.members), dict(islice(ensemble.overlap.items(), SHOWN))
    shades = [style.colour(results.view, member) for member in members]
    height = 0.19 * len(members)
    canvas = style.canvas(1.0 + height)
    bars, dots = canvas.subplots(2, 1, height_ratios=[1.0, height], sharex=True)
    drawn = bars.bar(range(len(top)), list(top.values()), width=0.62, color=style.GREY)
    bars.bar_label(drawn, padding=1.5, fontsize=8)
    bars.set_ylabel("Images")
    bars.tick_params(axis="both", length=0, labelbottom=False, labelleft=False)
    bars.margins(x=0.02, y=0.2)
    _draw_dots(dots, [[members.index(name) for name in names] for names in top], shades)
    totals = [sum(n for names, n in ensemble.overlap.items() if member in names) for member in members]
    names = [f"{results.view.title(m)}: {n}" for m, n in zip(members, totals, strict=True)]
    dots.set_yticks(range(len(members)), names)
    for label, shade in zip(dots.get_yticklabels(), shades, strict=True):
        label.set_color(style.darker(shade))
    return canvas


def _draw_dots(axes: Axes, combinations: list[list[int]], shades: list[str]) -> None:
    """A column per combination of members (positions in ``shades``), theirs in colour and joined."""
    for column, rows in enumerate(combinations):
        axes.scatter([column] * len(shades), range(len(shades)), s=22, color=style.PALE, zorder=1, linewidths=0)
        axes.plot([column] * 2, [min(rows), max(rows)], color=style.INK, lw=1.2, zorder=2)
        for row in rows:
            axes.scatter([column], [row], s=26, color=shades[row], zorder=3, linewidths=0)
    axes.set_ylim(len(shades) - 0.5, -0.5)
    axes.tick_params(length=0, labelbottom=False)
    axes.spines[:].set_visible(False)
