"""Grad-CAM panel: per class an image classified correctly and the most confident error."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from analysis import formats
from analysis.captions import join
from analysis.evidence import Figure
from analysis.figures import style
from analysis.gradcam import Gallery
from analysis.results import Results
from analysis.study_view import Planned


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
    """Columns are classes; rows the image and one map per network, first correct, then wrong."""
    with style.paper():
        columns, rows = len(gallery.classes), 1 + len(gallery.runs)
        figure = style.canvas(0.75 + 2 * rows * min(0.52, 5.2 / columns))
        figure.set_layout_engine("constrained", wspace=0.03, hspace=0.0, h_pad=0.015, w_pad=0.015)
        grid = figure.subplots(2 * rows, columns, squeeze=False)
        for column, (name, choice) in enumerate(zip(gallery.classes, gallery.choices, strict=True)):
            _draw_column(grid[:rows, column], gallery, choice.correct)
            _draw_column(grid[rows:, column], gallery, choice.wrong)
            _head(grid[0, column], name)
            if choice.wrong is not None:
                _head(grid[rows, column], gallery.predicted[choice.wrong])
        for axes, label in zip(grid[:, 0], ["correct", *titles, "wrong, taken for", *titles], strict=True):
            lines = textwrap.fill(label, 14)
            axes.text(-0.12, 0.5, lines, transform=axes.transAxes, ha="right", va="center")
        return figure


def _head(axes: Axes, name: str) -> None:
    slant: dict[str, Any] = {"rotation": 40, "rotation_mode": "anchor", "ha": "left", "va": "bottom"}
    axes.text(0.15, 1.06, name, transform=axes.transAxes, **slant)


def _draw_column(panels: np.ndarray, gallery: Gallery, taken: int | None) -> None:
    for axes in panels:
        axes.axis("off")
    if taken is None:
        return
    row = gallery.positions[taken]
    image = gallery.images[row].permute(1, 2, 0).numpy()
    panels[0].imshow(image)
    for axes, maps in zip(panels[1:], gallery.maps, strict=True):
        _overlay(axes, image, maps[row])


def _overlay(axes: Axes, image: np.ndarray, heat: np.ndarray) -> None:
    axes.imshow(image.mean(axis=2), cmap="gray", vmin=0, vmax=255)
    axes.imshow(heat, cmap="inferno", alpha=0.55, vmin=0, vmax=1, interpolation="bilinear")
