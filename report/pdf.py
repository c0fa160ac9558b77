"""The PDF: by LaTeX where it is installed, else by the typst wheel, offline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from report.bibliography import REFERENCES
from report.figures import Drawing
from study.errors import StudyError
from study.records import write_bytes

LATEX_ERROR = re.compile(r"^(?:\S+:\d+: .+|! .+)$", re.MULTILINE)
SECONDS = 300  # longer than any paper takes; a LaTeX that waits for input must not hang a report
OPTIONS = ("-pdf", "-interaction=nonstopmode", "-halt-on-error", "-file-line-error", "-latexoption=-no-shell-escape")


def has_latex() -> bool:
    """Whether latexmk is on the PATH."""
    return shutil.which("latexmk") is not None


def by_latex(files: Mapping[str, bytes]) -> bytes:
    """Compile a bundle with latexmk. StudyError quotes the first error of the log."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, content in files.items():
            write_bytes(folder / path, content)
        _latexmk(folder)
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
    """Compile Typst source. StudyError for an error or a warning, such as a font that is missing."""
    import typst

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bytes(folder / "main.typ", source.encode())
        write_bytes(folder / REFERENCES.name, REFERENCES.read_bytes())
        for drawing in drawings.values():
            write_bytes(folder / "figures" / f"{drawing.slug}.svg", drawing.svg.encode())
        try:
            content, warnings = typst.compile_with_warnings(str(folder / "main.typ"), root=name)
        except typst.TypstError as error:
            raise StudyError(f"Typst failed: {error}") from error
    if warnings:
        raise StudyError(f"Typst warned: {warnings[0].message}")
    return content
