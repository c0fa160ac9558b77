"""Invisible marks that say what a stretch of a rendered paper prints, for reading it back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote

from markupsafe import Markup

# Private-use characters, which no text holds: the report prints codes instead of those of data.
OPEN, NAMED, CLOSE = "\ue000", "\ue001", "\ue002"
MARK = re.compile(f"{OPEN}([^{NAMED}]*){NAMED}|{CLOSE}")


@dataclass(frozen=True)
class Span:
    """A stretch of text, from ``start`` up to ``end``, that prints what is called ``name``."""

    start: int
    end: int
    name: str


class Named(str):
    """A table's cell or a caption, and what it is called, which its printed form is marked with."""

    name: str

    def __new__(cls, text: str, name: str) -> Named:
        """The text with its name."""
        named = super().__new__(cls, text)
        named.name = name
        return named


def around(printed: Markup, name: str) -> Markup:
    """The printed form between marks that name what it prints; the name is quoted, as it may hold a class's."""
    return Markup(f"{OPEN}{quote(name)}{NAMED}{printed}{CLOSE}")


def split(marked: str, named: list[str]) -> Iterator[str]:
    """The parts between marks; at each, ``named`` holds the names that it stands in, the innermost last."""
    done = 0
    for mark in MARK.finditer(marked):
        if mark.start() > done:
            yield marked[done : mark.start()]
        done = mark.end()
        if mark[1] is None:
            named.pop()
        else:
            named.append(unquote(mark[1]))
    if done < len(marked):
        yield marked[done:]


def lifted(marked: str) -> tuple[str, list[Span]]:
    """The text without its marks, and the stretches that were marked.

    >>> lifted("in " + around(Markup("91 %"), "accuracy") + " all")
    ('in 91 % all', [Span(start=3, end=7, name='accuracy')])
    """
    named: list[str] = []
    parts, spans, length = [], [], 0
    for part in split(marked, named):
        parts.append(part)
        if named:
            spans.append(Span(length, length + len(part), named[-1]))
        length += len(part)
    return "".join(parts), spans
