"""Sentences that tables and figures share: what is shown, n, and what an interval covers."""

from __future__ import annotations

from typing import Any

from analysis import formats
from analysis.evidence import Claim, Verdict
from analysis.results import Judged, Results
from analysis.statistics.comparison import CROSSED, Accuracy
from analysis.statistics.contrasts import Contrast
from analysis.statistics.crossed import ALPHA, MIN_SEEDS, Estimate
from study.metrics.intervals import Interval

FILLED = f"filled: adjusted p below {formats.setting(ALPHA)}"  # what a filled mark of a difference means
# What follows words about networks of which too few were trained.
TOO_FEW = f"this is about these networks, as a verdict on recipes takes {MIN_SEEDS} seeds or more"

# Heads of the cells of a pair of networks that say how differently they err, and what they mean.
DIVERSITY = ("Disagreement, %", "Double fault, %", "Q", "κ", "Jaccard")
OF_DIVERSITY = (
    "Disagreement: one of two is right; double fault: neither is; Q: Yule's statistic of their correctness; κ: "
    "Cohen's, of their predictions; Jaccard: errors shared over errors of either."
)


def join(*sentences: str) -> str:
    """A caption from its sentences, the empty ones left out."""
    return " ".join(sentence for sentence in sentences if sentence)


def accuracy_interval(results: Results) -> str:
    """What the interval of an accuracy is and which variability it covers."""
    covered, fewest = "the sampling of test images", min((a.seeds for a in results.accuracies.values()), default=0)
    if _seeds(results) > 1:
        few = fewest < _seeds(results)
        return (
            f"Means over {'up to ' * few}n = {_seeds(results)} seeds on {_images(results)}; 95 % intervals cover "
            f"{covered} and{', of several seeds,' * few} chance in training."
        )
    return (
        f"One seed, n = {_images(results)}; 95 % Wilson intervals, which cover {covered}, not "
        "variation between training seeds."
    )


def difference_interval(results: Results) -> str:
    """What the interval and p of a difference are."""
    family = (
        f"each interval is of its comparison alone, p is adjusted for all {len(results.judged)} comparisons together "
        "(Holm, Shaffer)."
    )
    if any(judged.comparison.about == "recipes" for judged in results.judged.values()):
        few = (
            ""
            if all(judged.decidable for judged in results.judged.values())
            else f" or seeds are fewer than {MIN_SEEDS}"
        )
        return (
            f"Differences: 95 % intervals and p cover seeds and test images ({CROSSED}); where "
            f"nothing was retrained{few}, test images alone; {family}"
        )
    test = "Bonett-Price intervals, exact McNemar test" if _seeds(results) == 1 else "paired z intervals and tests"
    return (
        f"Differences: 95 % {test}, about these networks on images like these; with fewer than {MIN_SEEDS} seeds "
        f"they decide nothing about recipes; {family}"
    )


def one_seed(results: Results, seed: int) -> str:
    """Which seed an image-by-image view shows, where there are several."""
    return f"Counts are those of seed {seed}." if _seeds(results) > 1 else ""


def counted(results: Results, details: str = "") -> str:
    """The number of test images, and what else is to be known of it, as a sentence."""
    return f"n = {_images(results)}{details and f', {details}'}."


def over(seeds: int) -> str:
    """What numbers are means over."""
    return "one seed" if seeds == 1 else f"means over {seeds} seeds"


def evidence(contrast: Contrast) -> str:
    """The numbers of a difference of fractions that was tested in a family, for brackets after the words."""
    interval = f"joint 95 % CI {formats.points_interval(contrast.low, contrast.high)}"
    return f"{formats.points(contrast.difference)} points, {interval}, {formats.p_phrase(contrast.p, 'adjusted p')}"


def claim(
    test: str,
    found: Contrast | Estimate,
    results: Results,
    verdict: Verdict,
    keys: tuple[str, ...],
) -> Claim:
    """A test of the networks at hand as data, of a difference in points; ``keys`` are the experiments that it reads.

    A contrast's interval is the joint one of its family.
    """
    value, interval = (
        (found.difference, Interval(found.low, found.high))
        if isinstance(found, Contrast)
        else (found.value, found.interval())
    )
    seeds = max(1, len(results.view.seeds_of(*keys)))
    images, runs = results.view.plan.dataset.sizes["test"], results.view.names(*keys)
    family = found.family if isinstance(found, Contrast) else 1
    return Claim(
        test, "networks", "points", images, seeds, value, interval.low, interval.high, found.p, verdict, runs,
        family=family,
    )  # fmt: skip


def cells(judged: Judged | None) -> tuple[str, str, str]:
    """Difference, interval and p of a comparison as table cells."""
    if judged is None:
        return (formats.MISSING,) * 3
    c = judged.comparison
    return formats.points(c.difference), formats.points_interval(c.low, c.high), formats.p_value(judged.p)


def accuracy_cells(accuracy: Accuracy) -> tuple[str, str]:
    """An accuracy and its interval as table cells."""
    return formats.percent(accuracy.mean), formats.percent_interval(accuracy.low, accuracy.high)


def diversity_cells(row: Any) -> tuple[str, ...]:  # noqa: ANN401 - a row of a frame
    """How differently a pair errs, a row of ``analysis.statistics.ensemble.pairwise``, as table cells."""
    shares = map(formats.percent, (row.disagreement, row.double_fault))
    return (*shares, *map(formats.number, (row.q_statistic, row.kappa, row.error_jaccard)))


def _seeds(results: Results) -> int:
    return max((accuracy.seeds for accuracy in results.accuracies.values()), default=0)


def _images(results: Results) -> str:
    return f"{formats.count(results.view.plan.dataset.sizes['test'])} test images"
