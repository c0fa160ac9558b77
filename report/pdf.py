"""The LaTeX bundle, fit for arXiv, and the PDF: by LaTeX where it is installed, else by the typst wheel, offline."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from analysis.fonts import folders
from report.bibliography import REFERENCES
from report.figures import Drawing
from study.errors import StudyError
from study.files import write_bytes

EARLIEST = (1980, 1, 1, 0, 0, 0)  # a zip cannot do without dates, so it gets the oldest it knows
LATEX_ERROR = re.compile(r"^(?:\S+:\d+: .+|! .+)$", re.MULTILINE)
SECONDS = 300  # longer than any paper takes; a LaTeX that waits for input must not hang a report
OPTIONS = ("-pdf", "-interaction=nonstopmode", "-halt-on-error", "-file-line-error", "-latexoption=-no-shell-escape")


def bundle(source: bytes, drawings: Mapping[str, Drawing]) -> dict[str, bytes]:
    """What LaTeX needs, by path: main.tex, references.bib and the figures."""
    figures = {f"figures/{drawing.slug}.pdf": drawing.pdf for drawing in drawings.values()}
    return {"main.tex": source, REFERENCES.name: REFERENCES.read_bytes(), **figures}


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


def has_latex() -> bool:
    """Whether latexmk is on the PATH."""
    return shutil.which("latexmk") is not None


def by_latex(files: Mapping[str, bytes], again: bool = True) -> bytes:
    """Compile a bundle with latexmk. StudyError quotes the first error of the log.

    It is tried ``again`` where the log has none, as then one of LaTeX's processes may have been killed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(files, folder)
        try:
            _latexmk(folder)
        except StudyError:
            if not again or _first_error(folder):
                raise
            return by_latex(files, again=False)
        return (folder / "main.pdf").read_bytes()


def _latexmk(folder: Path) -> None:
    reproducible = os.environ | {"SOURCE_DATE_EPOCH": "0", "FORCE_SOURCE_DATE": "1"}
    command = ["latexmk", *OPTIONS, "main.tex"]
    try:
        subprocess.run(command, cwd=folder, env=reproducible, check=True, capture_output=True, timeout=SECONDS)
    except (subprocess.SubprocessError, OSError) as error:
        raise StudyError(f"LaTeX failed: {_first_error(folder) or error}") from error


def _first_error(folder: Path) -> str:
    log = folder / "main.log"
    found = LATEX_ERROR.search(log.read_text(errors="replace")) if log.is_file() else None
    return found.group(0) if found else ""


def by_typst(source: str, drawings: Mapping[str, Drawing]) -> bytes:
    """Compile Typst source with the fonts that its characters need.

    StudyError for an error or a warning, such as a font that is missing.
    """
    import typst

    files = {"main.typ": source.encode(), REFERENCES.name: REFERENCES.read_bytes()}
    files |= {f"figures/{drawing.slug}.svg": drawing.svg.encode() for drawing in drawings.values()}
    try:
        fonts = folders([source])
        content, warnings = typst.compile_with_warnings(files, font_paths=fonts)  # type: ignore[call-overload]
    except typst.TypstError as error:
        raise StudyError(f"Typst failed: {error}") from error
    if warnings:
        raise StudyError(f"Typst warned: {warnings[0].message}")
    return content
