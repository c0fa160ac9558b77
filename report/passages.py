"""What the paper says, passage by passage in reading order, and what each part of a passage prints."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Literal

from report import marks

Role = Literal["", "reference", "citation"]
BLOCKS = {"section", "h1", "h2", "h3", "p", "li", "figcaption", "tr", "pre"}
SILENT = {"script", "style", "svg", "math", "nav", "button", "template"}  # drawings, equations, furniture of the page
WEB_ONLY = {
    "web-only",
    "tools",
    "files",
    "anchor",
    "references",
}  # classes of what only the page has, or has in its own words
VOID = {"meta", "link", "hr", "br", "img", "input", "wbr", "col"}


@dataclass(frozen=True)
class Piece:
    """Some text, and the name of what it prints: a fact, a cell, a caption, ``finding NAME``, or nothing for prose."""

    text: str
    name: str = ""
    role: Role = ""


@dataclass(frozen=True)
class Passage:
    """A heading, paragraph, list item, caption or table row.

    The last two are of what ``floats``; the row that ``heads`` a table may come again on its next page.
    """

    pieces: tuple[Piece, ...]
    floats: bool = False
    heads: bool = False


def passages(page: str) -> list[Passage]:
    """The passages of the page as rendered with its marks in."""
    reader = _Reader()
    reader.feed(page)
    return reader.found


@dataclass
class _Element:
    tag: str
    role: Role = ""
    silent: bool = False


@dataclass
class _Reader(HTMLParser):
    found: list[Passage] = field(default_factory=list)
    open: list[_Element] = field(default_factory=list)
    parts: list[Piece] = field(default_factory=list)
    named: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in VOID:
            return
        given = {name: value or "" for name, value in attrs}
        classes = {*given.get("class", "").split()}
        self.open.append(_Element(tag, _role(tag, given, classes), tag in SILENT or bool(WEB_ONLY & classes)))
        if tag in BLOCKS:
            self._end_passage()

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.parts.append(Piece(" "))
        if tag in BLOCKS:
            heads = tag == "tr" and any(each.tag == "thead" for each in self.open)
            self._end_passage(tag in ("tr", "figcaption"), heads)
        while self.open and self.open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        role: Role = next((each.role for each in reversed(self.open) if each.role), "")
        seen = any(each.tag in BLOCKS for each in self.open) and not any(each.silent for each in self.open)
        for text in marks.split(data, self.named):
            if seen:
                self.parts.append(Piece(text, self.named[-1] if self.named else "", role))

    def _end_passage(self, floats: bool = False, heads: bool = False) -> None:
        if any(piece.text.strip() for piece in self.parts):
            self.found.append(Passage(tuple(self.parts), floats, heads))
        self.parts = []


def _role(tag: str, given: dict[str, str], classes: set[str]) -> Role:
    if tag == "a" and given.get("href", "").startswith("#"):
        return "citation" if given["href"].startswith("#ref-") else "reference"
    return "reference" if tag == "span" and {"number", "label"} & classes else ""


def numbers_in_equations(page: str) -> str:
    """The digits of the page's equations, which each engine sets in its own order."""
    equations = re.findall(r"<math.*?</math>", page, flags=re.DOTALL)
    return re.sub(r"\D", "", "".join(re.sub("<[^>]*>", "", equation) for equation in equations))
