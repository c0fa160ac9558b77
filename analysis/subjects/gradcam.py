"""Where networks look, what attention changes in it, and how far such maps can be trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from PIL import Image

from analysis import formats, style
from analysis.captions import TOO_FEW, evidence, join
from analysis.evidence import Fact, Figure, Finding, Origin, Verdict, facts, figure, findings
from analysis.results import Results
from analysis.statistics.comparison import Accuracy, accuracy_of
from analysis.statistics.contrasts import Contrast, contrasts
from study.kinds import GradCam
from study.kinds.gradcam import ABSENT
from study.metrics.intervals import Interval, student
from study.records import Run

TILE, GAP = 96, 6  # px
OPACITY = 0.55
SHOWN, LETTERS = 4, 12  # classes, and characters of their names


class Road(NamedTuple):
    """A network's mean ROAD score, or how far it exceeds another's, and its interval over the images."""

    key: str
    mean: float
    interval: Interval


def looked(results: Results) -> tuple[GradCam, Run] | None:
    """The first Grad-CAM experiment that has a run, and that run."""
    found = results.view.of_kind(GradCam)
    return (found[0], results.view.runs_of(found[0].key)[0]) if found else None


def shows_images(results: Results) -> bool:
    """Whether images are or will be recorded and may be printed."""
    return bool(results.view.planned(GradCam)) and results.view.plan.dataset.description.printable


def roads(results: Results) -> list[Road]:
    """How faithful each network's maps are; of fewer than two images there is nothing to say."""
    found = looked(results)
    if found is None or found[1].arrays["road"].shape[1] < 2:
        return []
    scored = zip(found[0].sources, found[1].arrays["road"], strict=True)
    return [_mean_road(key, scores) for key, scores in scored]


def _mean_road(key: str, scores: np.ndarray) -> Road:
    return Road(key, float(scores.mean()), student(scores.tolist()))


@facts
def road_facts(results: Results) -> Iterator[Fact]:
    """How faithful each network's maps are, of how many images that is known, and how fine the maps are."""
    if found := looked(results):
        size = cells(results, found[0].sources[-1])
        if size:
            runs = results.view.names(found[0].sources[-1])
            yield Origin(cells, runs).text("road/cells", "×".join(map(str, size)))
        made = Origin("study.kinds.gradcam.road", (found[1].name,))
        yield made.count("road/images", found[1].arrays["road"].shape[1])
        for road in roads(results):
            yield made.number(f"road/{road.key}", road.mean)


@findings
def gradcam_findings(results: Results) -> Iterator[Finding]:
    """What attention changes beside accuracy, and whether the maps are faithful."""
    found = looked(results)
    if found and (scored := roads(results)):
        first, *others = found[1].arrays["road"]
        excess = _mean_road(scored[-1].key, others[-1] - first) if others else None
        yield road_finding(scored, [results.view.phrase(road.key) for road in scored], excess)
    if found is not None and len(found[0].sources) == 2:
        yield from _attention(results, *found)


def road_finding(scored: Sequence[Road], phrases: Sequence[str], excess: Road | None = None) -> Finding:
    """Supported where every network's maps mark what matters, contradicted where one's mark the opposite.

    ``excess`` is by how much the last network's score exceeds the first one's.
    """
    told: dict[str, list[str]] = {"more": [], "less": [], "not detectably more": []}
    for road, phrase in zip(scored, phrases, strict=True):
        cost = "more" if road.interval.low > 0 else "less" if road.interval.high < 0 else "not detectably more"
        told[cost].append(f"{phrase} ({_score(road)})")
    parts = [f"{cost} for {formats.listing(networks)}" for cost, networks in told.items() if networks]
    verdict: Verdict = (
        "contradicted" if told["less"] else "inconclusive" if told["not detectably more"] else "supported"
    )
    sentence = (
        f"Compared with removing what the maps mark least, removing what they mark most costs {'; '.join(parts)}."
    )
    if excess:
        faithful = "more" if excess.interval.low > 0 else "less" if excess.interval.high < 0 else "not detectably more"
        sentence += (
            f" The maps of {phrases[-1]} are {faithful} faithful than those of {phrases[0]} (difference "
            f"{formats.signed(excess.mean, 3)}, 95 % CI {formats.signed(excess.interval.low, 3)} to "
            f"{formats.signed(excess.interval.high, 3)})."
        )
    return Finding("road", sentence, verdict, tuple(f"road/{road.key}" for road in scored))


def _score(road: Road) -> str:
    low, high = (formats.number(bound) for bound in (road.interval.low, road.interval.high))
    return f"ROAD {formats.number(road.mean)}, 95 % CI {low} to {high}"


@facts
def attention_facts(results: Results) -> Iterator[Fact]:
    """How many predictions the second network changes, and how alike the maps of both are."""
    found = looked(results)
    if found is not None and len(found[0].sources) == 2 and results.view.paired(*found[0].sources)[0]:
        experiment, run = found
        runs = results.view.names(*experiment.sources)
        yield Origin(changes, runs).percent("attention/changed", changes(results, experiment).mean())
        yield Origin(likeness, (run.name,)).number("attention/likeness", float(likeness(run).mean()), 2)


def changes(results: Results, experiment: GradCam) -> np.ndarray:
    """Where the second network of two names another class than the first, (S, N)."""
    ours, theirs = results.view.paired(*experiment.sources)
    return np.stack([a.predicted != b.predicted for a, b in zip(ours, theirs, strict=True)]).astype(float)


def likeness(run: Run) -> np.ndarray:
    """Correlation of two networks' maps of each image, (K,)."""
    return np.array([_correlation(*pair) for pair in zip(*run.arrays["maps"], strict=True)])


def _attention(results: Results, experiment: GradCam, run: Run) -> Iterator[Finding]:
    """How many predictions the second network changes, beside what another seed of the first changes."""
    control, treated = experiment.sources
    theirs, ours = results.view.paired(control, treated)
    if not ours:
        return
    changed = changes(results, experiment)
    beside = None
    if len(theirs) > 1:  # each seed beside the next one
        reseeded = np.stack([a.predicted != b.predicted for a, b in zip(theirs, theirs[1:] + theirs[:1], strict=True)])
        more = contrasts({"": changed - reseeded}, {"": ("attention", (treated, control))})[""]
        beside = float(reseeded.mean()), more
    yield attention_finding(
        accuracy_of(changed),
        beside,
        likeness(run),
        (results.view.phrase(treated), results.view.phrase(control)),
    )


def attention_finding(
    changed: Accuracy, reseeded: tuple[float, Contrast] | None, alike: np.ndarray, names: tuple[str, str]
) -> Finding:
    """Supported where ``changed``, the share of predictions that differ, exceeds what another seed alone changes.

    ``alike`` holds the correlation of both networks' maps of each image looked at, (K,).
    """
    treated, control = names
    interval = f"95 % CI {formats.percent_interval(changed.low, changed.high)}"
    differ = f"give different answers on {formats.percent(changed.mean)} % of the test images"
    words = f"{formats.sentence_case(treated)} and {control} of the same seed {differ}"
    verdict: Verdict = "inconclusive"
    if reseeded is None:
        words += f" ({interval}), and how many another seed alone would change is not known"
    else:
        share, contrast = reseeded
        verdict = "supported" if contrast.sign > 0 else "contradicted" if contrast.sign < 0 else "inconclusive"
        more = {1: "more than", -1: "less than", 0: "which is not detectably different from"}[contrast.differs]
        words += f", {more} the {formats.percent(share)} % between two seeds of {control} ({evidence(contrast)})"
        if contrast.differs and not contrast.decidable:
            words += f"; {TOO_FEW}"
    mean, bounds = float(alike.mean()), student(alike.tolist()) if len(alike) > 1 else Interval(math.nan, math.nan)
    maps = f"over the {len(alike)} images looked at, their maps correlate by {formats.decimal(mean)} on average"
    maps += f" (95 % CI {formats.decimal(bounds.low)} to {formats.decimal(bounds.high)})"
    return Finding("attention", f"{words}; {maps}.", verdict, ("attention/changed", "attention/likeness"))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    varied = np.ptp(a) > 0 and np.ptp(b) > 0
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) if varied else 0.0


@figure
def figures(results: Results) -> Iterator[tuple[str, Figure | None]]:
    """The maps, where there are or will be any and the images below them may be printed."""
    if shows_images(results):
        yield "gradcam", gradcam(results)


def gradcam(results: Results) -> Figure | None:
    """The first Grad-CAM run; None before it, and where no class has images right and wrong."""
    found = looked(results)
    if found is None:
        return None
    experiment, run = found
    titles, classes = [results.view.title(key) for key in experiment.sources], results.view.classes
    if not (shown := chosen(run.arrays, confusions(results, experiment.sources[-1]))):
        return None
    caption = join(
        "Where the networks look for the true class, when they are right and when they are wrong (true → predicted).",
        f"Of {formats.plural(len(shown), 'class', 'classes')}, those with most errors of {titles[-1]}: a test image "
        "that it classifies correctly with median confidence, and its most confident error. Below each the maps of "
        f"{formats.listing(titles)}, in the cells of the last feature map: the brighter, the more it counts.",
        f"{formats.plural(len(run.arrays['images']), 'image')} were looked at; one seed.",
    )
    alt = "Test images with heat maps of the regions that speak for the true class"
    sizes = [cells(results, key) for key in experiment.sources]
    arrays = dict(run.arrays) | {"maps": [in_cells(*each) for each in zip(run.arrays["maps"], sizes, strict=True)]}
    return Figure("gradcam", caption, lambda: draw(arrays, classes, titles, shown), alt)


def confusions(results: Results, key: str) -> np.ndarray:
    """Errors (C,) of a network by true class, all seeds together."""
    wrong = [p.labels[~p.correct] for p in results.view.predictions(key)]
    return np.bincount(np.concatenate(wrong), minlength=len(results.view.classes)) if wrong else np.zeros(0)


def chosen(arrays: Mapping[str, np.ndarray], errors: np.ndarray) -> list[int]:
    """The classes that have an image of both sorts, those with most ``errors`` (C,) first, at most four."""
    both = np.flatnonzero((arrays["correct"] != ABSENT) & (arrays["wrong"] != ABSENT))
    ranked = sorted(both.tolist(), key=lambda label: -int(errors[label]) if len(errors) else 0)
    return ranked[:SHOWN]


def cells(results: Results, key: str) -> tuple[int, int] | None:
    """Height and width of a network's last feature map, as recorded; None where nothing is."""
    blocks = results.view.runs_of(key)[0].metrics["blocks"] if results.view.runs_of(key) else []
    maps = [shape for _, shape, _ in blocks if len(shape) == 3]
    return (int(maps[-1][1]), int(maps[-1][2])) if maps else None


def in_cells(maps: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Maps (K, H, W) of one network as the means over the cells (h, w) of its last feature map, (K, h, w)."""
    if size is None:
        return maps
    height, width = size
    shrunk = (Image.fromarray(each.astype(np.float32)).resize((width, height), Image.Resampling.BOX) for each in maps)
    return np.stack([np.asarray(each) for each in shrunk])


def draw(arrays: Mapping[str, Any], classes: Sequence[str], titles: Sequence[str], shown: Sequence[int]) -> Canvas:
    """A pair of columns per class, correct and wrong; below each image one map per network.

    ``arrays`` are those of ``study.kinds.GradCam``, ``maps`` a stack (K, h, w) per network.
    """
    rows = [int(arrays[which][label]) for label in shown for which in ("correct", "wrong")]
    sides = [(arrays["targets"][row], arrays["predicted"][row]) for row in rows]
    heads = ["\n→\n".join(style.short(classes[label], LETTERS) for label in each) for each in sides]
    canvas = style.canvas(0.5 + (1 + len(titles)) * 0.55)
    axes = canvas.subplots()
    _block(axes, mosaic(arrays, rows), heads, ["image", *titles])
    return canvas


def mosaic(arrays: Mapping[str, Any], rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """Tiles (rows, columns) of TILE px with white gaps as one RGB image: each image above its heat maps."""
    images, maps, pitch = arrays["images"].transpose(0, 2, 3, 1), arrays["maps"], TILE + GAP
    canvas = np.full(((1 + len(maps)) * pitch - GAP, len(rows) * pitch - GAP, 3), 255, dtype=np.uint8)
    for column, chosen in enumerate(rows):
        for row, tile in enumerate([enlarged(images[chosen]), *(_overlay(images[chosen], m[chosen]) for m in maps)]):
            canvas[row * pitch : row * pitch + TILE, column * pitch : column * pitch + TILE] = tile
    return canvas


def enlarged(pixels: np.ndarray, how: Image.Resampling = Image.Resampling.BILINEAR) -> np.ndarray:
    """Pixels (h, w) or (h, w, 3) uint8 as a tile of the figures."""
    return np.asarray(Image.fromarray(pixels).resize((TILE, TILE), how))


def _overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The image in grey under a heat map (h, w) in [0, 1], its cells as they are."""
    grey = enlarged(image).mean(axis=2, keepdims=True)
    colour = (
        255 * colormaps["inferno"](enlarged((255 * heat).astype(np.uint8), Image.Resampling.NEAREST) / 255)[..., :3]
    )
    return ((1 - OPACITY) * grey + OPACITY * colour).astype(np.uint8)


def _block(axes: Axes, pixels: np.ndarray, heads: Sequence[str], labels: Sequence[str]) -> None:
    axes.imshow(pixels)
    middles = TILE / 2 + (TILE + GAP) * np.arange(max(len(heads), len(labels)))
    axes.set_xticks(middles[: len(heads)], heads)
    axes.set_yticks(middles[: len(labels)], labels)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
