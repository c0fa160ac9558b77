"""Every experiment beside its control: differences, their words and their verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from analysis import formats
from analysis.evidence import Claim, Fact, Finding, Origin, Verdict, facts, findings
from analysis.results import Judged, Results
from analysis.statistics.comparison import adjusted, compare, power_analysis, summarise
from analysis.statistics.crossed import POWER
from study.records import Predictions

VERDICTS: tuple[Verdict, ...] = ("supported", "contradicted", "equivalent", "inconclusive")


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
    yield Origin(adjusted, family).count("comparisons/count", len(results.judged))
    if seeds := max((judged.comparison.seeds for judged in results.judged.values()), default=0):
        yield Origin(adjusted, family).count("comparisons/seeds", seeds)
    if recipes := sum(1 for judged in results.judged.values() if judged.comparison.about == "recipes"):
        yield Origin(Judged.decidable, family).count("comparisons/recipes", recipes)
    if closed := sum(1 for judged in results.judged.values() if not judged.decidable):
        yield Origin(Judged.decidable, family).count("comparisons/undecidable", closed)
        yield Origin(Judged.decidable, family).count("comparisons/decidable", len(results.judged) - closed)
    verdicts = Counter(judged.verdict for judged in results.judged.values() if judged.decidable)
    for verdict in VERDICTS if results.judged else ():
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
    if judged.power:
        seen = f"{formats.percent(judged.power.detectable)} points"
        yield Origin(power_analysis, runs).fact(f"detectable/{name}", judged.power.detectable, "points", seen)


@findings
def comparison_findings(results: Results) -> Iterator[Finding]:
    """What each planned comparison shows; that of the ensemble with its best member is told with the ensemble."""
    planned = (judged for judged in results.judged.values() if results.view.experiments[judged.key].control)
    return (_about(results, judged) for judged in planned)


def _about(results: Results, judged: Judged) -> Finding:
    phrase = results.view.phrase
    name, runs = f"difference/{judged.key}", results.view.names(judged.key, judged.control)
    return comparison_finding(name, judged, phrase(judged.key), phrase(judged.control), runs)


def comparison_finding(name: str, judged: Judged, treated: str, control: str, runs: tuple[str, ...]) -> Finding:
    """Sentence about one comparison of these runs."""
    kinds = ["difference", "difference-interval", "p", "margin", "p-equivalence", "detectable"]
    rests_on = tuple(f"{kind}/{judged.key}" for kind in kinds if kind != "detectable" or judged.power)
    sentence = f"{formats.sentence_case(words(judged, treated, control))}."
    return Finding(name, sentence, judged.verdict, rests_on, claim_of(judged, runs))


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
    if judged.power:
        seen = (
            f"; differences below {formats.percent(judged.power.detectable)} points had less than "
            f"{100 * POWER:.0f} % power"
        )
    return f"the comparison is undecided ({_measured(judged)}, {_tested(judged)}){seen}"


def equivalence(judged: Judged, treated: str, control: str) -> str:
    """The words for two sides whose difference, if there is one, is shown not to matter."""
    margin, p = formats.percent(judged.comparison.margin), formats.p_phrase(judged.p_equivalence)
    tested = f"two one-sided tests against ±{margin} points, adjusted {p}"
    start = f"Between {treated} and {control} there is no difference that matters"
    return f"{start} ({_measured(judged)}; {tested})"


def undecidable(judged: Judged, treated: str, control: str) -> str:
    """The words for recipes with too few seeds: what these networks do on these images, and that no more is known."""
    c = judged.comparison
    apart = f"{formats.percent(abs(c.difference))} points {'above' if c.difference > 0 else 'below'} {control}"
    numbers = f"95 % CI {formats.points_interval(c.low, c.high)}, {_tested(judged)}"
    scores = f"{treated} scores {apart if c.difference else f'as high as {control}'} ({numbers})"
    return f"{scores}, which {formats.plural(c.seeds, 'seed')} {'leaves' if c.seeds == 1 else 'leave'} undecided"


def _measured(judged: Judged) -> str:
    c = judged.comparison
    return f"difference {formats.points(c.difference)} points, 95 % CI {formats.points_interval(c.low, c.high)}"


def _tested(judged: Judged) -> str:
    return f"adjusted {formats.p_phrase(judged.p)}"
