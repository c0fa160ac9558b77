"""Figures drawn for the page and for the bundle."""

from __future__ import annotations

import io
import re

import pytest
from pypdf import PdfReader

from report.figures import Drawings, draw
from tests.evidence_samples import sample_figure


def test_the_same_figure_is_drawn_to_the_same_bytes() -> None:
    assert draw(sample_figure()) == draw(sample_figure())


def test_ids_of_two_figures_on_one_page_never_clash() -> None:
    drawings = Drawings({name: sample_figure(name) for name in ("one", "two")})
    ids = [set(re.findall(r'\bid="([^"]+)"', drawings[name].inline)) for name in ("one", "two")]
    assert ids[0] and not ids[0] & ids[1]


def test_only_figures_that_are_asked_for_are_drawn() -> None:
    drawings = Drawings({name: sample_figure(name) for name in ("one", "two")})
    assert drawings["one"].slug == "one" and list(drawings) == ["one"]


def test_references_inside_a_figure_follow_the_renamed_ids() -> None:
    inline = draw(sample_figure()).inline
    ids = set(re.findall(r'\bid="([^"]+)"', inline))
    targets = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', inline))
    assert targets and {a or b for a, b in targets} <= ids


def test_svg_carries_no_date_and_no_outside_metadata() -> None:
    svg = draw(sample_figure()).svg
    assert svg.startswith("<svg") and "metadata" not in svg and "purl.org" not in svg


def test_inline_figure_leaves_its_size_to_the_page() -> None:
    tag = re.match(r"<svg[^>]*>", draw(sample_figure()).inline)
    assert tag and "viewBox=" in tag.group() and not re.search(r'\b(?:width|height)="', tag.group())


def test_pdf_has_the_size_of_the_drawing() -> None:
    drawing = draw(sample_figure())
    width, height = map(float, re.findall(r'(?:width|height)="([\d.]+)pt"', drawing.svg)[:2])
    (page,) = PdfReader(io.BytesIO(drawing.pdf)).pages
    assert (float(page.mediabox.width), float(page.mediabox.height)) == pytest.approx((width, height), abs=1)
