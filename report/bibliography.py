"""References: author-year labels for the text and formatted entries for the HTML page."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

from markupsafe import Markup

from report.environment import TEMPLATES
from study.errors import StudyError

if TYPE_CHECKING:
    from pybtex.database import BibliographyData, Person

REFERENCES = TEMPLATES / "references.bib"


@cache
def _works() -> BibliographyData:
    from pybtex.database import parse_file

    return parse_file(str(REFERENCES), bib_format="bibtex")


@dataclass(frozen=True)
class Work:
    """How the text names a work: "Guo et al.", 2017."""

    key: str
    authors: str
    year: str


@dataclass
class Bibliography:
    """The works that the templates may cite; remembers which were cited."""

    works: BibliographyData = field(default_factory=_works)
    cited: set[str] = field(default_factory=set)

    def lists(self, key: str) -> bool:
        """Whether there is such a work."""
        return key in self.works.entries

    def cite(self, key: str) -> Work:
        """The work, counted as cited. StudyError when the file has no such work."""
        if not self.lists(key):
            raise StudyError(f"the templates cite {key!r}, which {REFERENCES.name} does not list")
        self.cited.add(key)
        entry = self.works.entries[key]
        names = [_surname(person) for person in entry.persons["author"]]
        return Work(key, f"{names[0]} et al." if len(names) > 2 else " and ".join(names), entry.fields["year"])

    def in_html(self) -> list[tuple[str, Markup]]:
        """Keys and entries of the cited works, sorted by author, year and title."""
        from pybtex.plugin import find_plugin

        style = find_plugin("pybtex.style.formatting", "plain")()
        backend = find_plugin("pybtex.backends", "html")()
        entries = style.format_bibliography(self.works, sorted(self.cited))
        return [(entry.key, Markup(entry.text.render(backend))) for entry in entries]


def _surname(person: Person) -> str:
    return " ".join(map(str, [*person.rich_prelast_names, *person.rich_last_names]))
