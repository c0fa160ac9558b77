"""Where networks look: per class an image classified correctly and the most confident error, under their maps."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import join
from analysis.evidence import Fact, Figure, Findings, Origin, facts, figure
from analysis.results import Results
from study.kinds import GradCam
from study.kinds.gradcam import ABSENT

TILE, GAP = 96, 6  # px
OPACITY = 0.55
COLUMNS, LETTERS = 12, 16  # classes shown, and how much of their names


@facts
def road_facts(results: Results) -> Iterator[Fact]:
    """How faithful each network's maps are."""
    for experiment in results.view.of_kind(GradCam)[:1]:
        run = results.view.runs_of(experiment.key)[0]
        for key, score in zip(experiment.sources, run.metrics["road"], strict=True):
            yield Origin("study.kinds.gradcam.road", (run.name,)).number(f"road/{key}", score)


@figure
def gradcam(results: Results, findings: Findings) -> Figure | None:
    """The first Grad-CAM run; None before it."""
    found, view = results.view.of_kind(GradCam), results.view
    if not found:
        return None
    run, titles = view.runs_of(found[0].key)[0], [view.title(key) for key in found[0].sources]
    roads = zip(titles, run.metrics["road"], strict=True)
    scores = formats.listing([f"{formats.number(score)} ({title})" for title, score in roads])
    columns = len(shown(run.arrays))
    caption = join(
        f"Grad-CAM's faithfulness by ROAD, positive when the regions marked matter more than the rest, is {scores}.",
        f"Per class a test image that {titles[-1]} classifies correctly with median confidence and its most "
        "confident error, headed by the class it is taken for; below each the maps for the true class of "
        f"{formats.listing(titles)}.",
        f"Shown are {formats.count(columns)} of {formats.count(len(view.classes))} classes."
        if columns < len(view.classes)
        else "",
        "ROAD is a mean over one correct image per class and covers no variation between seeds.",
    )
    alt = "Test images with heat maps of the regions that speak for the true class"
    return Figure("gradcam", caption, lambda: draw(run.arrays, view.classes, titles), alt)


def shown(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """The classes to show, ascending: all, or of too many evenly spaced ones of those that have the most images."""
    found = (np.stack([arrays["correct"], arrays["wrong"]]) != ABSENT).sum(axis=0)
    if len(found) <= COLUMNS:
        return np.arange(len(found))
    fullest = np.flatnonzero(found == found.max())
    return fullest[np.unique(np.linspace(0, len(fullest) - 1, COLUMNS).round().astype(int))]


def draw(arrays: Mapping[str, np.ndarray], classes: Sequence[str], titles: Sequence[str]) -> Canvas:
    """Columns are classes; rows the image and one map per network, above correct, below wrong.

    ``arrays`` are those of ``study.kinds.GradCam``.
    """
    columns = shown(arrays)
    correct, wrong = arrays["correct"][columns], arrays["wrong"][columns]
    names = [style.short(classes[label], LETTERS) for label in columns]
    taken_for = ["" if row == ABSENT else style.short(classes[arrays["predicted"][row]], LETTERS) for row in wrong]
    canvas = style.canvas(0.9 + 2 * (1 + len(titles)) * min(0.52, 5.2 / len(columns)))
    above, below = canvas.subplots(2, 1)
    _block(above, mosaic(arrays, correct), names, ["correct", *titles])
    _block(below, mosaic(arrays, wrong), taken_for, ["wrong, taken for", *titles])
    return canvas


def mosaic(arrays: Mapping[str, np.ndarray], rows: Sequence[int] | np.ndarray) -> np.ndarray:
    """Tiles (rows, columns) of TILE px with white gaps as one RGB image: each image above its heat maps."""
    images, maps, pitch = arrays["images"].transpose(0, 2, 3, 1), arrays["maps"], TILE + GAP
    canvas = np.full(((1 + len(maps)) * pitch - GAP, len(rows) * pitch - GAP, 3), 255, dtype=np.uint8)
    for column, chosen in enumerate(rows):
        if chosen == ABSENT:
            continue
        for row, tile in enumerate([_enlarged(images[chosen]), *(_overlay(images[chosen], m[chosen]) for m in maps)]):
            canvas[row * pitch : row * pitch + TILE, column * pitch : column * pitch + TILE] = tile
    return canvas


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.BILINEAR))


def _overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The image in grey under a heat map (H, W) in [0, 1]."""
    grey = _enlarged(image).mean(axis=2, keepdims=True)
    colour = 255 * colormaps["inferno"](_enlarged((255 * heat).astype(np.uint8)) / 255)[..., :3]
    return ((1 - OPACITY) * grey + OPACITY * colour).astype(np.uint8)


def _block(axes: Axes, pixels: np.ndarray, heads: Sequence[str], labels: Sequence[str]) -> None:
    axes.imshow(pixels)
    middles = TILE / 2 + (TILE + GAP) * np.arange(max(len(heads), len(labels)))
    axes.set_xticks(middles[: len(heads)], heads, rotation=40, ha="left", rotation_mode="anchor")
    axes.set_yticks(middles[: len(labels)], [textwrap.fill(label, 14) for label in labels])
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
