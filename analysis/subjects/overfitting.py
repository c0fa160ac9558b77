"""How much better networks do on the images they were trained on than on others."""

from __future__ import annotations

from collections.abc import Iterator

from analysis import formats
from analysis.evidence import Fact, Finding, Origin, Verdict, facts, findings
from analysis.results import Results

# A network overfits when accuracy on training images exceeds that on validation images by this much.
LEAST_GAP = 0.03
CONTROL = "level2/control"  # the network that the ablations need to overfit


@facts
def overfitting_facts(results: Results) -> Iterator[Fact]:
    """Accuracy of the ablations' control on training images without augmentation, and what it exceeds validation by."""
    yield Origin(gap).text("protocol/overfitting", f"{formats.percent(LEAST_GAP)} points")
    if results.view.runs_of(CONTROL):
        made, (excess, low, high) = Origin(gap, results.view.names(CONTROL)), gap(results, CONTROL)
        yield made.percent(f"train-accuracy/{CONTROL}", results.view.metric(CONTROL, "train_accuracy"))
        yield made.points(f"gap/{CONTROL}", excess)
        text = f"{formats.points_interval(low, high)} points"
        yield made.fact(f"gap-interval/{CONTROL}", [low, high], "points", text)


def gap(results: Results, key: str) -> tuple[float, float, float]:
    """Training minus validation accuracy, mean over seeds, and its 95 % interval over the images.

    Newcombe 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I: for independent
    proportions, as no image is in both splits.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep

    view, validation = results.view, results.view.plan.dataset.sizes["validation"]
    fitted, seen = view.metric(key, "fitted_images"), view.metric(key, "train_accuracy")
    unseen = view.metric(key, "validation_accuracy")
    low, high = confint_proportions_2indep(
        seen * fitted, fitted, unseen * validation, validation, method="newcomb", compare="diff"
    )
    return seen - unseen, float(low), float(high)


@findings
def overfitting_findings(results: Results) -> Iterator[Finding]:
    """Whether the network that the ablations need to overfit does."""
    if results.view.runs_of(CONTROL):
        yield _finding(results, CONTROL)


def _finding(results: Results, key: str) -> Finding:
    title, (excess, low, high) = results.view.phrase(key), gap(results, key)
    verdict: Verdict = "supported" if low >= LEAST_GAP else "contradicted" if high < LEAST_GAP else "inconclusive"
    seen, unseen = (results.view.metric(key, f"{split}_accuracy") for split in ("train", "validation"))
    fitted, least = int(results.view.metric(key, "fitted_images")), f"{formats.percent(LEAST_GAP)} points"
    words = {
        "supported": f"{title} overfits",
        "contradicted": f"{title} does not overfit by {least}",
        "inconclusive": f"Whether {title} overfits by {least} is open",
    }[verdict]
    evidence = (
        f"it is right on {formats.percent(seen)} % of {formats.plural(fitted, 'training image')} and on "
        f"{formats.percent(unseen)} % of the validation images, a gap of {formats.points(excess)} points "
        f"(95 % CI {formats.points_interval(low, high)})"
    )
    names = (f"{kind}/{key}" for kind in ("train-accuracy", "validation-accuracy", "gap", "gap-interval"))
    rests_on = ("protocol/overfitting", *names)
    return Finding(f"overfitting/{key}", f"{formats.sentence_case(words)}: {evidence}.", verdict, rests_on)
