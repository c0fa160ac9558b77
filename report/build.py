"""`invoke report`: from a study's records to report.pdf, report.html, the LaTeX bundle and provenance.json."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from analysis.assemble import assemble
from analysis.fonts import font_of, legible, plain
from report import html, pdf
from report.bibliography import Bibliography
from report.escaping import in_latex
from report.figures import Drawing, draw_all
from report.lookup import Lookup
from report.paper import Paper
from study.errors import StudyError
from study.files import write_bytes, write_json
from study.records import read_plan


def build(study: Path, output: Path | None = None) -> list[Path]:
    """Write the report of a study, finished or not, and return the paths written.

    ``output`` defaults to ``report`` inside the study's folder. StudyError when there is no study, a
    record is damaged, or a template asks for something that cannot exist.
    """
    lookup = Lookup(assemble(study), read_plan(study))
    folder = output or study / "report"
    _tell_of_missing_fonts(_names(lookup))
    drawings = draw_all(lookup.evidence.figures.values())
    files = pdf.bundle(render("latex", lookup, drawings), drawings)
    pdf.write(files, folder / "latex")
    write_bytes(folder / "latex.zip", pdf.zipped(files))
    write_bytes(folder / "report.html", render("html", lookup, drawings).encode())
    write_bytes(folder / "report.pdf", _pdf(files, lookup, drawings))
    write_json(folder / "provenance.json", lookup.provenance)
    return [folder / name for name in ("report.pdf", "report.html", "latex", "latex.zip", "provenance.json")]


def render(kind: str, lookup: Lookup, drawings: Mapping[str, Drawing]) -> str:
    """The paper's source in one format: "latex", "html" or "typst"."""
    source = Paper(kind, lookup, drawings, Bibliography()).render()
    return html.finish(source) if kind == "html" else source


def _pdf(files: Mapping[str, bytes], lookup: Lookup, drawings: Mapping[str, Drawing]) -> bytes:
    """LaTeX's PDF, or Typst's where LaTeX is not installed, fails or cannot print all names, which it then says."""
    lacking = [name for name in _names(lookup) if not all(map(in_latex, name)) and legible(name) == name]
    if lacking and pdf.has_latex():
        print(f"LaTeX's fonts lack characters of {lacking[0]!r}; report.pdf comes from Typst instead", file=sys.stderr)
    elif pdf.has_latex():
        try:
            return pdf.by_latex(files)
        except StudyError as error:
            print(f"{error}; report.pdf comes from Typst instead", file=sys.stderr)
    return pdf.by_typst(render("typst", lookup, drawings), drawings)


def _names(lookup: Lookup) -> list[str]:
    """Names that users choose, in whatever script."""
    return [*lookup.plan.dataset.classes, *(experiment.title for experiment in lookup.plan.experiments)]


def _tell_of_missing_fonts(names: list[str]) -> None:
    lacking = sorted({character for name in names for character in plain(name) if font_of(character) is None})
    if lacking:
        shown = " ".join(lacking[:8]) + (" ..." if len(lacking) > 8 else "")
        print(
            f"no font here has {shown}; PDF and figures print codes instead: install one that has them, e.g. Noto Sans",
            file=sys.stderr,
        )
