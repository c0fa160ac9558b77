"""`invoke report`: from a study's records to report.pdf, report.html, the LaTeX bundle and the lists beside them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from analysis.assemble import evidence_of
from analysis.fonts import font_of, legible, plain
from analysis.view import StudyView, view_study
from report import freshness, html, pdf
from report.bibliography import Bibliography
from report.escaping import in_latex
from report.figures import Drawing, Drawings
from report.lookup import Lookup
from report.paper import Paper
from report.settings import PAPER, Settings, read_settings
from study.errors import StudyError
from study.files import write_bytes, write_json

PDF, HTML, LATEX, PROVENANCE, CLAIMS = "report.pdf", "report.html", "latex/main.tex", "provenance.json", "claims.json"
WRITTEN = (PDF, HTML, "latex", "latex.zip", PROVENANCE, CLAIMS)


def build(study: Path, output: Path | None = None, settings: Path | None = None) -> list[Path]:
    """Write the report of a study, finished or not, and return the paths written; nothing where it is fresh.

    ``output`` defaults to ``report`` inside the study's folder, ``settings`` to its paper.toml. StudyError when there
    is no study, a record is damaged, or a template asks for something that cannot exist.
    """
    own, view, folder = _settings(study, settings), view_study(study), output or study / "report"
    made_of = freshness.inputs(study, view, settings or study / PAPER)
    if not freshness.changes(folder, made_of):
        return []
    lookup = _lookup(study, view, own)
    _tell_of_missing_fonts(_names(lookup))
    if (work := view.plan.dataset.description.citation) and not Bibliography().lists(work):
        print(f"references.bib has no {work!r}, which the data's description cites; it is left out", file=sys.stderr)
    drawings = Drawings(lookup.evidence.figures)
    page, source = (render(kind, lookup, drawings).encode() for kind in ("html", "latex"))
    files = pdf.bundle(source, drawings)
    pdf.write(files, folder / "latex")
    write_bytes(folder / "latex.zip", pdf.zipped(files))
    write_bytes(folder / HTML, page)
    write_bytes(folder / PDF, _pdf(files, lookup, drawings))
    write_json(folder / PROVENANCE, lookup.provenance)
    write_json(folder / CLAIMS, lookup.claims)
    freshness.remember(folder, made_of)
    return [folder / name for name in WRITTEN]


def stale(study: Path, settings: Path | None = None) -> list[str]:
    """What changed since the study's report was written; nothing where it is fresh. StudyError as for ``build``."""
    _settings(study, settings)
    made_of = freshness.inputs(study, view_study(study), settings or study / PAPER)
    return freshness.changes(study / "report", made_of)


def lookup_of(study: Path, settings: Path | None = None) -> Lookup:
    """What the study's paper may say. StudyError when there is no study or the settings cannot be read."""
    return _lookup(study, view_study(study), _settings(study, settings))


def _settings(study: Path, given: Path | None) -> Settings:
    return read_settings(given or study / PAPER, required=given is not None)


def _lookup(study: Path, view: StudyView, own: Settings) -> Lookup:
    if not view.levels:
        raise StudyError(f"{study} plans no experiment of any level, so that there is nothing to write a paper of")
    return Lookup(evidence_of(view), view.plan, settings=own)


def render(kind: str, lookup: Lookup, drawings: Mapping[str, Drawing], marked: bool = False) -> str:
    """The paper's source in one format: "latex", "html" or "typst"; ``marked``, with what it prints by name."""
    source = Paper(kind, lookup, drawings, Bibliography(), marked).render()
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
    """What users call and write, in whatever script."""
    data, titles = lookup.plan.dataset, (experiment.title for experiment in lookup.plan.experiments)
    described = (words for words in vars(data.description).values() if isinstance(words, str))
    return [*data.classes, *titles, data.title, *described, *lookup.settings.texts]


def _tell_of_missing_fonts(names: list[str]) -> None:
    lacking = sorted({character for name in names for character in plain(name) if font_of(character) is None})
    if lacking:
        shown = " ".join(lacking[:8]) + (" ..." if len(lacking) > 8 else "")
        print(
            f"no font here has {shown}; PDF and figures print codes instead: install one that has them, e.g. Noto Sans",
            file=sys.stderr,
        )
