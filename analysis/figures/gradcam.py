"""Grad-CAM panel: per class an image classified correctly and the most confident error."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from PIL import Image

from analysis import formats, style
from analysis.captions import join
from analysis.evidence import Figure
from analysis.gradcam import Gallery
from analysis.results import Results
from analysis.view import Planned

TILE, GAP = 96, 6  # px
OPACITY = 0.55


def subjects(results: Results) -> list[str]:
    """The networks to explain: level 3's with attention and its control, else the selected one."""
    attended = [planned for planned in results.view.at(3, "Training") if _attention(planned)]
    if attended:
        first = attended[0]
        return [key for key in (first.control, first.key) if key in results.view.experiments]
    trained = [planned.key for planned in results.view.at(3, "Training")]
    best = results.view.best(trained)
    return [best] if best else []


def _attention(planned: Planned) -> str:
    return str(planned.training["architecture"]["attention"])


def build(results: Results, gallery: Gallery | None) -> Figure | None:
    """None while the networks or the images are not at hand."""
    if gallery is None:
        return None
    titles = [results.view.title(run.key) for run in gallery.runs]
    scores = formats.listing(
        [f"{formats.number(score)} ({title})" for title, score in zip(titles, gallery.faithfulness, strict=True)]
    )
    caption = join(
        f"Grad-CAM's faithfulness by ROAD, positive when the regions marked matter more than the rest, is {scores}.",
        f"Per class a test image that {titles[-1]} classifies correctly with median confidence and its most "
        "confident error, headed by the class it is taken for; below each the maps for the true class of "
        f"{formats.listing(titles)}.",
        "ROAD is a mean over one correct image per class and covers no variation between seeds.",
    )
    alt = "Test images with heat maps of the regions that speak for the true class"
    return Figure("gradcam", caption, lambda: draw(gallery, titles), alt)


def draw(gallery: Gallery, titles: Sequence[str]) -> Canvas:
    """Columns are classes; rows the image and one map per network, above correct, below wrong."""
    correct = [choice.correct for choice in gallery.choices]
    wrong = [choice.wrong for choice in gallery.choices]
    taken_for = ["" if index is None else gallery.predicted[index] for index in wrong]
    with style.paper():
        rows = 1 + len(gallery.runs)
        figure = style.canvas(0.9 + 2 * rows * min(0.52, 5.2 / len(gallery.classes)))
        above, below = figure.subplots(2, 1)
        _block(above, mosaic(gallery, correct), gallery.classes, ["correct", *titles])
        _block(below, mosaic(gallery, wrong), taken_for, ["wrong, taken for", *titles])
        return figure


def mosaic(gallery: Gallery, taken: Sequence[int | None]) -> np.ndarray:
    """Tiles (rows, columns) of TILE px with white gaps as one RGB image: each image above its heat maps."""
    pitch = TILE + GAP
    canvas = np.full(((1 + len(gallery.runs)) * pitch - GAP, len(taken) * pitch - GAP, 3), 255, dtype=np.uint8)
    for column, index in enumerate(taken):
        if index is None:
            continue
        position = gallery.positions[index]
        image = gallery.images[position].permute(1, 2, 0).numpy()
        heats = [_overlay(image, maps[position]) for maps in gallery.maps]
        for row, tile in enumerate([_enlarged(image), *heats]):
            canvas[row * pitch : row * pitch + TILE, column * pitch : column * pitch + TILE] = tile
    return canvas


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.BILINEAR))


def _overlay(image: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The image in grey under a heat map (H, W) in [0, 1]."""
    grey = _enlarged(image).mean(axis=2, keepdims=True)
    colour = 255 * colormaps["inferno"](_enlarged((255 * heat).astype(np.uint8)) / 255)[..., :3]
    return ((1 - OPACITY) * grey + OPACITY * colour).astype(np.uint8)


def _block(axes: Axes, pixels: np.ndarray, heads: Sequence[str], labels: Sequence[str]) -> None:
    axes.imshow(pixels)
    middle, pitch = TILE / 2, TILE + GAP
    axes.set_xticks(
        [middle + pitch * n for n in range(len(heads))], heads, rotation=40, ha="left", rotation_mode="anchor"
    )
    axes.set_yticks([middle + pitch * n for n in range(len(labels))], [textwrap.fill(label, 14) for label in labels])
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
