"""References: author-year labels for the text and formatted entries for the HTML page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from report.environment import TEMPLATES
from study.errors import StudyError

if TYPE_CHECKING:
    from pybtex.database import BibliographyData, Person

REFERENCES = TEMPLATES / "references.bib"


@dataclass
class Bibliography:
    """The works of a .bib file; remembers which were cited."""

    works: BibliographyData
    cited: set[str] = field(default_factory=set)

    def authors(self, key: str) -> str:
        """ "Guo et al.", counted as cited. StudyError when the file has no such work."""
        if key not in self.works.entries:
            raise StudyError(f"the templates cite {key!r}, which {REFERENCES.name} does not list")
        self.cited.add(key)
        return _short([_surname(person) for person in self.works.entries[key].persons["author"]])

    def year(self, key: str) -> str:
        """Year of publication."""
        return str(self.works.entries[key].fields["year"])


@dataclass(frozen=True)
class Reference:
    """One formatted entry of the list of references."""

    key: str
    text: Markup


def read(path: Path = REFERENCES) -> Bibliography:
    """Parse a BibTeX file."""
    from pybtex.database import parse_file

    return Bibliography(parse_file(str(path), bib_format="bibtex"))


def _surname(person: Person) -> str:
    from pylatexenc.latex2text import LatexNodes2Text

    name = " ".join([*person.prelast_names, *person.last_names])
    return LatexNodes2Text().latex_to_text(name)


def _short(names: list[str]) -> str:
    if len(names) > 2:
        return f"{names[0]} et al."
    return " and ".join(names)


def html_references(works: BibliographyData, cited: Iterable[str]) -> list[Reference]:
    """The cited works as HTML, sorted by author, year and title."""
    from pybtex.plugin import find_plugin

    style = find_plugin("pybtex.style.formatting", "plain")()
    backend = find_plugin("pybtex.backends", "html")()
    entries = style.format_bibliography(works, sorted(cited))
    return [Reference(entry.key, Markup(entry.text.render(backend))) for entry in entries]
