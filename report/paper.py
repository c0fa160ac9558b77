"""One paper in one format: the sections' vocabulary bound to the format's macros."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jinja2.environment import TemplateModule
from markupsafe import Markup

from report import environment
from report.bibliography import Bibliography, html_references
from report.escaping import plain
from report.figures import Drawing
from report.lookup import Lookup
from report.provenance import commands, fact_list

KINDS = {"fig": "Figure", "tab": "Table", "sec": "Section", "app": "Appendix"}


@dataclass
class Paper:
    """Renders the sections as ``kind``: "latex", "html" or "typst"."""

    kind: str
    lookup: Lookup
    drawings: Mapping[str, Drawing]
    bibliography: Bibliography

    def render(self) -> str:
        """The whole document. StudyError when a template asks for something that cannot exist."""
        templates = environment.sections(self.kind, self._vocabulary())
        return templates.get_template("paper.jinja").render()

    @cached_property
    def macros(self) -> TemplateModule:
        """The format's macro file."""
        values = {"drawings": self.drawings, "references": self._references, "kinds": KINDS}
        return environment.macros(self.kind, values)

    def _vocabulary(self) -> dict[str, Any]:
        names = environment.macro_names(self.macros)
        look = {name: getattr(self.macros, name) for name in names}
        return look | {
            "fact": self.fact,
            "finding": self.finding,
            "counted": self.counted,
            "table": self.table,
            "figure": self.figure,
            "cite": self.cite,
            "citet": self.citet,
            "comparison": self.comparison,
            "listed": self.listed,
            "facts_table": self.facts_table,
            "verdicts": self.lookup.ranked,
            "undecided": self.lookup.undecided,
            "controlled": self.controlled,
            "title": self.lookup.title,
            "known": self.lookup.known,
            "possible": self.lookup.possible,
            "tellable": self.lookup.tellable,
            "planned": self.lookup.planned,
            "pending": self.lookup.pending,
            "plan": self.lookup.plan,
            "unfinished": self.lookup.unfinished,
            "commands": commands(self.lookup.plan),
        }

    def fact(self, name: str) -> Markup:
        """The printed form of a fact, or a visible pending mark."""
        found = self.lookup.fact(name)
        return self._macro("value")(found) if found else self._macro("pending_mark")(name)

    def counted(self, name: str, one: str, many: str) -> Markup:
        """A count and its noun in the right number, e.g. "3 seeds"."""
        found = self.lookup.fact(name)
        noun = one if found and found.value == 1 else many
        return self.fact(name) + self._text(f" {noun}")

    def finding(self, name: str) -> Markup:
        """The sentence of a finding, or a visible pending mark."""
        found = self.lookup.finding(name)
        return self._macro("sentence")(found) if found else self._macro("pending_mark")(name)

    def comparison(self, key: str) -> Markup:
        """The sentence on an experiment and its control."""
        return self.finding(f"difference/{key}")

    def controlled(self, level: int, without: Collection[str] = ()) -> list[str]:
        """Keys of a level's experiments that name a control, without those in ``without``."""
        return [key for key in self.lookup.controlled(level) if key not in without]

    def listed(self, keys: Iterable[str], detectable: bool = False) -> Markup:
        """Experiments with their difference from the control, and what would have been detected."""
        return self._text("; ").join(self._macro("compared")(*self._compared(key, detectable)) for key in keys)

    def _compared(self, key: str, detectable: bool) -> tuple[str, Markup, Markup]:
        seen = self.fact(f"detectable/{key}") if detectable else Markup()
        return self.lookup.title(key), self.fact(f"difference/{key}"), seen

    def facts_table(self) -> Markup:
        """Every fact printed before this point."""
        return self._macro("long_table")(fact_list(self.lookup.used.values(), self.lookup.plan["dataset"]["notice"]))

    def _text(self, text: str) -> Markup:
        return environment.ESCAPES[self.kind](plain(text))

    def table(self, name: str, long: bool = False) -> Markup:
        """A table, one that may break across pages when ``long``, or a pending box of the same number."""
        found = self.lookup.table(name)
        if not found:
            return self._macro("pending_float")(name, "tab")
        return self._macro("long_table" if long else "short_table")(found)

    def figure(self, name: str) -> Markup:
        """A figure, or a pending box of the same number."""
        found = self.lookup.figure(name)
        if not found:
            return self._macro("pending_float")(name, "fig")
        return self._macro("picture")(found)

    def cite(self, *keys: str) -> Markup:
        """A citation in parentheses."""
        return self._macro("citation")([self._work(key) for key in keys])

    def citet(self, key: str) -> Markup:
        """A citation that is part of the sentence."""
        return self._macro("citation_in_text")(self._work(key))

    def _macro(self, name: str) -> Callable[..., Markup]:
        return getattr(self.macros, name)

    def _work(self, key: str) -> dict[str, str]:
        return {"key": key, "authors": self.bibliography.authors(key), "year": self.bibliography.year(key)}

    def _references(self) -> list[Any]:
        return html_references(self.bibliography.works, self.bibliography.cited)
