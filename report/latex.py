"""The arXiv-ready bundle: main.tex, references.bib and the figures, as a folder and as a zip."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from report.bibliography import REFERENCES
from report.figures import Drawing
from study.records import write_bytes

EARLIEST = (1980, 1, 1, 0, 0, 0)  # a zip cannot do without dates, so it gets the oldest it knows


def bundle(source: str, drawings: Mapping[str, Drawing]) -> dict[str, bytes]:
    """Content of the bundle by path."""
    figures = {f"figures/{drawing.slug}.pdf": drawing.pdf for drawing in drawings.values()}
    return {"main.tex": source.encode(), "references.bib": REFERENCES.read_bytes(), **figures}


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write the bundle into ``folder``; files of an earlier bundle that it no longer has are removed."""
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        if path.relative_to(folder).as_posix() not in files:
            path.unlink()
    for name, content in files.items():
        write_bytes(folder / name, content)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The bundle as a zip, byte-identical for identical content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, EARLIEST), files[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
