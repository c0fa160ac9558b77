"""One paper in one format: the sections' vocabulary bound to the format's macros."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from markupsafe import Markup

from analysis.evidence import Table
from report import environment, marks
from report.bibliography import Bibliography
from report.figures import Drawing
from report.lookup import Lookup

KINDS = {"fig": "Figure", "tab": "Table", "sec": "Section", "app": "Appendix"}


@dataclass
class Paper:
    """Renders the sections as ``kind``: "latex", "html" or "typst"; ``marked``, with each fact and finding by name."""

    kind: str
    lookup: Lookup
    drawings: Mapping[str, Drawing]
    bibliography: Bibliography
    marked: bool = False

    def render(self) -> str:
        """The whole document. StudyError when a template asks for something that cannot exist."""
        templates = environment.sections(self.kind, self._vocabulary())
        return templates.get_template("paper.jinja").render()

    @cached_property
    def macros(self) -> environment.Macros:
        """The format's macros by name."""
        values = {"drawings": self.drawings, "references": self.bibliography.in_html, "kinds": KINDS}
        return environment.macros(self.kind, values | environment.page_script())

    def _vocabulary(self) -> dict[str, Any]:
        """What sections may call: the macros and all that is public in Lookup and here, which goes first."""
        public = {name: getattr(it, name) for it in (self.lookup, self) for name in dir(it) if not name.startswith("_")}
        return self.macros | public

    def fact(self, name: str) -> Markup:
        """The printed form of a fact, or a visible pending mark."""
        found = self.lookup.fact(name)
        return self._named(self.macros["value"](found), name) if found else self._mark(name)

    def _mark(self, name: str) -> Markup:
        return self.macros["pending_mark"](name, self.lookup.missing(name))

    def _named(self, printed: Markup, name: str) -> Markup:
        return marks.around(printed, name) if self.marked else printed

    def counted(self, name: str, one: str, many: str) -> Markup:
        """A count and its noun in the right number, e.g. "3 seeds"."""
        found = self.lookup.fact(name)
        return self.fact(name) + environment.printed(f" {one if found and found.value == 1 else many}", self.kind)

    def finding(self, name: str) -> Markup:
        """The sentence of a finding, or a visible pending mark."""
        found = self.lookup.finding(name)
        return self._named(self.macros["sentence"](found), f"finding {name}") if found else self._mark(name)

    def following(self, name: str, words: Markup) -> Markup:
        """Words that the verdict of a finding chose, printed elsewhere than its sentence."""
        return self._named(words, f"finding {name}")

    def table(self, name: str, long: bool = False) -> Markup:
        """A table, one that may break across pages when ``long``, or a pending box of the same number."""
        found = self.lookup.table(name)
        if not found:
            return self.macros["pending_float"](name, "tab")
        return self.macros["tabular"](_named_table(found) if self.marked else found, long)

    def figure(self, name: str) -> Markup:
        """A figure, or a pending box of the same number."""
        found = self.lookup.figure(name)
        if not found:
            return self.macros["pending_float"](name, "fig")
        caption = marks.Named(found.caption, f"caption/figure/{name}") if self.marked else found.caption
        return self.macros["picture"](replace(found, caption=caption))

    def cite(self, *keys: str) -> Markup:
        """A citation in parentheses."""
        return self.macros["citation"]([self.bibliography.cite(key) for key in keys])

    def citet(self, key: str) -> Markup:
        """A citation that is part of the sentence."""
        return self.macros["citation_in_text"](self.bibliography.cite(key))


def _named_table(table: Table) -> Table:
    """The table with its caption and cells by the names of the facts they print."""
    rows = tuple(
        tuple(
            marks.Named(cell, table.cell_name(row, column)) if isinstance(cell, str) else cell
            for column, cell in enumerate(cells)
        )
        for row, cells in enumerate(table.rows)
    )
    return replace(table, rows=rows, caption=marks.Named(table.caption, f"caption/table/{table.name}"))
