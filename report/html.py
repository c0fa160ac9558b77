"""The self-contained page: numbers put in, nothing loaded from outside."""

from __future__ import annotations

import re
import string

from report.paper import KINDS
from study.errors import StudyError

HEADING = re.compile(r'<h2 id="([^"]+)"><span class="number">(.*?)</span> (.*?)</h2>')
CONTENTS = "<!--contents-->"
ANCHOR = re.compile(r'<(h2|h3|figure)\b[^>]*\bid="((?:fig|tab|sec|app)-[A-Za-z0-9-]+)"')
PLACEHOLDER = re.compile(r"<!--(number|reference):([A-Za-z0-9-]+)-->")


def finish(page: str) -> str:
    """Put in the numbers of sections, tables, figures and references, and the list of contents.

    StudyError when a reference points to nothing.
    """
    numbered = _number(page)
    items = (f'<li><a href="#{label}">{number} {title}</a></li>' for label, number, title in HEADING.findall(numbered))
    return numbered.replace(CONTENTS, f"<ol>{''.join(items)}</ol>", 1)


def _number(page: str) -> str:
    numbers = _numbers(page)

    def replace(match: re.Match[str]) -> str:
        kind, label = match.groups()
        if label not in numbers:
            raise StudyError(f"the templates refer to {label!r}, which the paper does not contain")
        return numbers[label] if kind == "number" else f"{KINDS[label[:3]]}\N{NO-BREAK SPACE}{numbers[label]}"

    return PLACEHOLDER.sub(replace, page)


def _numbers(page: str) -> dict[str, str]:
    """Number of every anchor: figures and tables through the paper, sections by depth, appendices by letter."""
    counts = dict.fromkeys((*KINDS, "sub"), 0)
    numbers: dict[str, str] = {}
    parent = ""
    for tag, label in ANCHOR.findall(page):
        kind = "sub" if tag == "h3" else label[:3]
        counts[kind] += 1
        letter = string.ascii_uppercase[counts["app"] - 1]
        special = {"sub": f"{parent}.{counts[kind]}", "app": letter}
        numbers[label] = special.get(kind, str(counts[kind]))
        if tag == "h2":
            parent, counts["sub"] = numbers[label], 0
    return numbers
