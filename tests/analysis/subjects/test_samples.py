"""One image of every class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.results import Results
from analysis.subjects import gradcam
from analysis.subjects.samples import figures, samples


def test_every_class_has_the_recorded_image_that_was_classified_correctly(results: Results, empty: Results) -> None:
    figure = samples(results)
    assert figure is not None and samples(empty) is None and "every class" in figure.caption
    found = gradcam.looked(results)
    assert found is not None
    drawn = figure.draw().axes
    assert [axes.texts[0].get_text() for axes in drawn] == results.view.classes
    for label, axes in enumerate(drawn):
        (shown,) = axes.images
        pixels = found[1].arrays["images"][found[1].arrays["correct"][label]].transpose(1, 2, 0)
        np.testing.assert_array_equal(shown.get_array(), gradcam.enlarged(pixels))


def test_images_that_may_not_be_printed_are_in_no_figure(results: Results) -> None:
    data = results.view.plan.dataset
    private = replace(data, description=replace(data.description, printable=False))
    view = replace(results.view, plan=replace(results.view.plan, dataset=private))
    assert list(figures(replace(results, view=view))) == list(gradcam.figures(replace(results, view=view))) == []
    assert [name for name, _ in figures(results)] == ["samples"]
