"""Sentences that tables and figures share: what is shown, n, and what an interval covers."""

from __future__ import annotations

from analysis import formats
from analysis.evidence import Finding
from analysis.results import Judged, Results


def takeaway(findings: dict[str, Finding], *names: str) -> str:
    """The sentence of the first of these findings that is there; empty when none is yet."""
    return next((findings[name].sentence for name in names if name in findings), "")


def join(*sentences: str) -> str:
    """A caption from its sentences, the empty ones left out."""
    return " ".join(sentence for sentence in sentences if sentence)


def shared_sentence(results: Results, times: str) -> str:
    """What ``times`` leave out where a run goes on from its control's state."""
    branching = formats.listing([each.title for each in results.view.experiments.values() if each.shared_epochs])
    return f"{times} leaves out the epochs that a control trained for its student ({branching})." if branching else ""


def progress_sentence(results: Results) -> str:
    """How far accuracy moves over the levels with a pass mark."""
    marked = [level for level in results.best if str(level) in results.view.plan["pass_marks"]]
    if len(marked) < 2:
        return ""
    first, last = (results.accuracies[results.best[level]].mean for level in (marked[0], marked[-1]))
    start, end = (
        f"{formats.percent(first)} % at level {marked[0]}",
        f"{formats.percent(last)} % at level {marked[-1]}",
    )
    moved = f"{formats.points(last - first)} points"
    return f"Test accuracy of the selected models goes from {start} to {end} ({moved})."


def accuracy_interval(results: Results) -> str:
    """What the interval of an accuracy is and which variability it covers."""
    images = f"{formats.count(_test_images(results))} test images"
    if _seeds(results) > 1:
        return (
            f"Means over n = {_seeds(results)} seeds on {images}; 95 % t intervals, which cover variation "
            "between training seeds on these images."
        )
    return (
        f"One seed, n = {images}; 95 % Wilson intervals, which cover the sampling of test images, not "
        "variation between training seeds."
    )


def difference_interval(results: Results) -> str:
    """What the interval and p of a difference are."""
    count = len(results.judged)
    family = f"p, but not the interval, is adjusted for {count} comparisons (Holm)."
    if _seeds(results) > 1:
        return f"Differences: hierarchical bootstrap over seeds and test images, 95 % intervals; {family}"
    return f"Differences: paired, 95 % Bonett-Price intervals, exact McNemar test; {family}"


def one_seed(results: Results, seed: int) -> str:
    """Which seed an image-by-image view shows, where there are several."""
    return f"Counts are those of seed {seed}." if _seeds(results) > 1 else ""


def pooled(results: Results) -> str:
    """How several seeds enter scores of single predictions."""
    seeds, images = _seeds(results), formats.count(_test_images(results))
    return f"n = {images} test images" + (f", predictions of {seeds} seeds pooled." if seeds > 1 else ", one seed.")


def averaged(results: Results) -> str:
    """How several seeds enter scores that rank images, which need not have one scale in two networks."""
    seeds, images = _seeds(results), formats.count(_test_images(results))
    return f"n = {images} test images, " + (f"means over {seeds} seeds." if seeds > 1 else "one seed.")


def cells(judged: Judged | None) -> tuple[str, str, str]:
    """Difference, interval and p of a comparison as table cells."""
    if judged is None:
        return (formats.MISSING,) * 3
    c = judged.comparison
    return formats.points(c.difference), formats.points_interval(c.low, c.high), formats.p_value(judged.p)


def _seeds(results: Results) -> int:
    return max((accuracy.seeds for accuracy in results.accuracies.values()), default=0)


def _test_images(results: Results) -> int:
    return next((accuracy.images for accuracy in results.accuracies.values()), 0)
