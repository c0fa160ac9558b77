"""The images: what they are, how large, how they were split, and what is known of them beside their labels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis import formats
from analysis.evidence import Fact, Origin, facts
from analysis.results import Results
from analysis.statistics.per_class import unbalanced
from study.description import DataDescription
from study.records import read_plan


@facts
def data_facts(results: Results) -> Iterator[Fact]:
    """All of it from the plan; what is not known has no fact."""
    data, planned = results.view.plan.dataset, Origin(read_plan)
    told = data.description
    words = {
        "images": told.images or "images",
        "sizes": sizes(data),
        "cut": data.cut,
        "note": told.note,
        "licence": told.licence,
        "limits": told.limits,
        "challenge": told.challenge,
        "published": told.published,
        "left-out": " ".join(f"{remark[0].upper()}{remark[1:]}." for remark in data.remarks),
        "superclasses": " or ".join(sorted(told.superclasses)),
        "missing": missing(data),
        "classes": class_sizes(data),
    }
    yield from (planned.text(f"data/{name}", text) for name, text in words.items() if text)


def sizes(data: DataDescription) -> str:
    """The images' sizes as found, and as stored where that is another, as part of a sentence."""
    width, height, wide, high = data.dimensions
    found = f"{width}×{height}" + (f" to {wide}×{high}" if (width, height) != (wide, high) else "")
    square = f"{data.image_size}×{data.image_size}"
    if found == square:
        return f"{found} px"
    kept = "stored" if (width, wide) == (height, high) else "of which the central square is stored"
    return f"{found} px, {kept} at {square} px"


def class_sizes(data: DataDescription) -> str:
    """How much classes differ in size, as a sentence; empty where they hardly do."""
    counts = data.counts.get("train", ())
    if not counts or not unbalanced(np.array(counts)):
        return ""
    fewest, most = (formats.count(size) for size in (min(counts), max(counts)))
    return f"Classes differ in size: they have {fewest} to {most} training images each."


def missing(data: DataDescription) -> str:
    """What the study leaves out because nobody described it, as sentences."""
    lacks = []
    if not data.description.superclasses:
        lacks.append("This study describes no super-classes, so no network learns any as a second task.")
    if not data.description.levels:
        lacks.append("It has no pass marks or published figures to hold the results against.")
    return " ".join(lacks)
