"""How a study's data were understood, in the words of a dry run."""

from __future__ import annotations

from study.description import DataDescription
from study.errors import printable

SHOWN_CLASSES = 30


def understood(data: DataDescription) -> str:
    """Classes with their images per split, how splits and sizes came about, and what was left out, line by line."""
    from tabulate import tabulate

    names, columns = list(data.sizes), list(data.counts.values())
    rows = [(printable(name), *counts) for name, *counts in zip(data.classes, *columns, strict=True)]
    shown, more = rows[:SHOWN_CLASSES], len(rows) - SHOWN_CLASSES
    lines = [f"data: {printable(data.title)} from {printable(data.source)}, {len(data.classes)} classes"]
    lines += [tabulate([*shown, ("all", *data.sizes.values())], headers=("class", *names), disable_numparse=True)]
    lines += [f"... and {more} more classes"] * (more > 0)
    lines += [f"splits: {data.cut}{', of which a stratified subset' * data.subset}"] * bool(data.cut)
    lines += [_sizes(data), *(f"note: {remark}" for remark in data.remarks)]
    if not data.description.superclasses:
        lines.append("note: no super-classes are described, so the run that learns them is left out")
    return "\n".join(lines)


def _sizes(data: DataDescription) -> str:
    width, height, wide, high = data.dimensions
    found = f"{width}×{height} px" + (f" to {wide}×{high} px" if (width, height) != (wide, high) else "")
    square = f"{data.image_size}×{data.image_size} px"
    return f"images: {found}" + ("" if found == square else f", stored as central squares of {square}")
