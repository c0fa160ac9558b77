"""What the images look like: one test image of every class, as the Grad-CAM run recorded them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure as Canvas

from analysis import formats, style
from analysis.captions import join
from analysis.evidence import Figure, figure
from analysis.results import Results
from analysis.subjects.gradcam import LETTERS, enlarged, looked, shows_images
from study.kinds.gradcam import ABSENT

SHOWN, COLUMNS = 20, 10
ROW = 0.72  # inches


@figure
def figures(results: Results) -> Iterator[tuple[str, Figure | None]]:
    """The samples, where images are recorded and may be printed."""
    if shows_images(results):
        yield "samples", samples(results)


def samples(results: Results) -> Figure | None:
    """An image of each class, of at most 20; None before any is recorded."""
    found = looked(results)
    if found is None:
        return None
    experiment, run = found
    images, rows, classes = run.arrays["images"], run.arrays["correct"], results.view.classes
    shown = np.flatnonzero(rows != ABSENT)[:SHOWN].tolist()
    which = "every class" if len(shown) == len(classes) else f"{len(shown)} of the {len(classes)} classes"
    caption = join(
        f"A test image of {which}.",
        "Each is the one of median confidence among those of its class that "
        f"{results.view.title(experiment.sources[-1])} classifies correctly, enlarged from "
        f"{'×'.join(map(str, images.shape[2:]))} px.",
    )
    alt = f"Small test images: {formats.listing([classes[label] for label in shown])}"
    tiles = [enlarged(images[rows[label]].transpose(1, 2, 0)) for label in shown]
    names = [style.short(classes[label], LETTERS) for label in shown]
    return Figure("samples", caption, lambda: _draw(tiles, names), alt) if shown else None


def _draw(tiles: Sequence[np.ndarray], names: Sequence[str]) -> Canvas:
    """Rows of images, each above its class."""
    lines = -(-len(tiles) // COLUMNS)
    canvas = style.canvas(ROW * lines)
    places = canvas.subplots(lines, min(COLUMNS, len(tiles)), squeeze=False).ravel()
    for axes in places:
        axes.axis("off")
    for axes, tile, name in zip(places, tiles, names, strict=False):
        axes.imshow(tile)
        axes.text(0.5, -0.06, name, transform=axes.transAxes, ha="center", va="top")
    return canvas
