"""`invoke verify`: whether a finished report still says what the records say, number by number."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from report.build import CLAIMS, HTML, LATEX, PDF, PROVENANCE, lookup_of, render
from report.claims import contradiction
from report.differences import Difference, in_pdf, in_source
from report.figures import Drawing
from report.lookup import Lookup
from report.passages import Passage, passages
from report.reading import pdf_text
from study.errors import StudyError

# Numbers that are part of a name, or that every study prints alike: the 95 % of intervals, levels, kernels, checklists.
CONSTANTS = re.compile(
    r"CIFAR-10H?|SHA-256|\b[NR]\d+\b|MobileNetV3|CompactCNN|float\d+|int8|F1|p(?:50|95)|95\s% CI|[Ll]evel \d|\d+×\d+"
)


def verify(study: Path, folder: Path | None = None, settings: Path | None = None) -> list[Difference]:
    """Compare a study's report, or the one in ``folder``, with what the records say now.

    Facts, cells, captions and findings are computed anew and the paper is rendered anew; numbers and findings are then
    read back out of the PDF, the HTML page and the LaTeX source. StudyError when there is no study or no report, or
    when one of its files cannot be read.
    """
    lookup, folder = lookup_of(study, settings), folder or study / "report"
    printed = {name: _text(folder / name) for name in (HTML, LATEX, PROVENANCE, CLAIMS)}
    blank = {name: Drawing(name, "<svg></svg>", b"") for name in lookup.evidence.figures}
    page, source = (render(kind, lookup, blank, marked=True) for kind in ("html", "latex"))
    return [
        *in_lists(PROVENANCE, lookup.provenance, _listed(printed[PROVENANCE], folder / PROVENANCE)),
        *in_lists(CLAIMS, lookup.claims, _listed(printed[CLAIMS], folder / CLAIMS)),
        *in_pdf(PDF, pdf_text(folder / PDF), page),
        *in_source(HTML, page, printed[HTML]),
        *in_source(LATEX, source, printed[LATEX]),
        *without_source(passages(page), names_of(lookup)),
        *contradicted(lookup),
    ]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(f"no {path.name} in {path.parent}; write it with `invoke report` first") from error
    except UnicodeDecodeError as error:
        raise StudyError(f"{path} is damaged ({error}); write it again with `invoke report`") from error


def _listed(text: str, path: Path) -> dict[str, dict[str, Any]]:
    """All entries of a file by the name of their list and their own. StudyError when it is damaged."""
    try:
        return _by_name(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StudyError(f"{path} is damaged ({error}); write it again with `invoke report`") from error


def _by_name(lists: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    shelves = ((shelf, each) for shelf, entries in lists.items() if isinstance(entries, list) for each in entries)
    return {f"{shelf[:-1]} {each['name']}": each for shelf, each in shelves}


def in_lists(document: str, computed: Mapping[str, Any], recorded: Mapping[str, Any]) -> Iterator[Difference]:
    """Differences of the entries that a JSON file lists from those computed anew."""
    right = _by_name(json.loads(json.dumps(computed)))
    for name in dict.fromkeys((*right, *recorded)):
        ours, theirs = right.get(name, {}), recorded.get(name, {})
        # As text, since a value may be NaN, and sorted, as it is written.
        keys = [key for key in {**ours, **theirs} if _sorted(ours.get(key)) != _sorted(theirs.get(key))]
        if keys:
            yield Difference(document, name, *(_said(each, keys) for each in (ours, theirs)))


def _sorted(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def _said(entry: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key} {json.dumps(entry[key], ensure_ascii=False)}" for key in keys if key in entry)


def names_of(lookup: Lookup) -> list[str]:
    """What the plan and the reader's settings call things, which may hold digits."""
    plan = lookup.plan
    named = [
        plan.study,
        plan.dataset.title,
        plan.dataset.notice,
        f"{plan.dataset.image_size} px",
        *plan.dataset.classes,
    ]
    named += [level.title for level in plan.levels] + lookup.commands + lookup.settings.texts
    return named + [name for each in plan.experiments for name in (each.title, each.phrase, each.differs, each.key)]


def without_source(printed: Sequence[Passage], names: Sequence[str]) -> Iterator[Difference]:
    """Numbers of the templates' prose that are neither a fact nor part of a name, a reference or a constant."""
    longest_first = sorted(filter(None, names), key=len, reverse=True)
    known = re.compile("|".join([*map(re.escape, longest_first), CONSTANTS.pattern]))
    for passage in printed:
        for piece in passage.pieces:
            if not piece.name and not piece.role:
                prose = piece.text.replace("\N{NO-BREAK SPACE}", " ")
                for number in re.findall(r"\d+(?:[.,]\d+)*", known.sub(" ", prose)):
                    yield Difference("templates", "", "", number, " ".join(prose.split())[:80])


def contradicted(lookup: Lookup) -> Iterator[Difference]:
    """Findings whose words do not follow from their claim."""
    for name, finding in sorted(lookup.told.items()):
        if reason := contradiction(finding, lookup.evidence.facts):
            yield Difference(CLAIMS, f"finding {name}", reason, finding.sentence)
