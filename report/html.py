"""The self-contained page: numbers put in, nothing loaded from outside."""

from __future__ import annotations

import re
import string
from collections import defaultdict

from report.paper import KINDS
from study.errors import StudyError

HEADING = re.compile(r'<h2 id="([^"]+)"><span class="number">(.*?)</span> (.*?)<a class="anchor".*?</h2>')
CITED = re.compile(r'<a href="#ref-([^"]+)">')
ENTRY = re.compile(r'(<li id="ref-([^"]+)">.*?)(</li>)', re.DOTALL)
CONTENTS = "<!--contents-->"
ANCHOR = re.compile(r'<(h2|h3|figure)\b[^>]*\bid="((?:fig|tab|sec|app)-[A-Za-z0-9-]+)"')
PLACEHOLDER = re.compile(r"<!--(number|reference):([A-Za-z0-9-]+)-->")


def finish(page: str) -> str:
    """Put in the numbers of sections, tables, figures and references, the contents, and links back to citations.

    StudyError when a reference points to nothing.
    """
    numbered = _link_back(_number(page))
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


def _link_back(page: str) -> str:
    """Give every citation an anchor, and every entry of the references a link back to each citation of it."""
    cited: dict[str, list[str]] = defaultdict(list)

    def anchor(match: re.Match[str]) -> str:
        key = match[1]
        cited[key].append(f"cite-{key}-{len(cited[key]) + 1}")
        return f'<a id="{cited[key][-1]}" href="#ref-{key}">'

    def back(match: re.Match[str]) -> str:
        links = (
            f'<a class="back" href="#{place}" aria-label="Back to citation {number}">↩{number}</a>'
            for number, place in enumerate(cited[match[2]], 1)
        )
        return f"{match[1]} {' '.join(links)}{match[3]}"

    return ENTRY.sub(back, CITED.sub(anchor, page))


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
