"""`invoke verify`: whether a finished report still says what the records say, number by number."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from report.build import CLAIMS, HTML, LATEX, PDF, PROVENANCE, lookup_of, render
from report.claims import CONSTANTS, contradiction
from report.differences import Difference, in_pdf, in_source
from report.figures import Drawing
from report.lookup import Lookup
from report.passages import Passage, passages
from report.reading import pdf_text
from study.errors import StudyError


def verify(study: Path, folder: Path | None = None, settings: Path | None = None) -> list[Difference]:
    """Compare a study's report, or the one in ``folder``, with what the records say now.

    Facts, cells, captions and findings are computed anew and the paper is rendered anew; numbers and findings are then
    read back out of the PDF, the HTML page and the LaTeX source. StudyError when there is no study or no report, when
    one of its files cannot be read, or when a run that it tells of is gone or damaged.
    """
    lookup, folder = lookup_of(study, settings), folder or study / "report"
    printed = {name: _text(folder / name) for name in (HTML, LATEX, PROVENANCE, CLAIMS)}
    recorded = {name: _listed(printed[name], folder / name) for name in (PROVENANCE, CLAIMS)}
    _all_there(recorded[PROVENANCE], lookup)
    blank = {name: Drawing(name, "<svg></svg>", b"") for name in lookup.evidence.figures}
    page, source = (render(kind, lookup, blank, marked=True) for kind in ("html", "latex"))
    if lookup.orphans:
        print(f"computed, but not in the paper: {', '.join(lookup.orphans)}", file=sys.stderr)
    return [
        *in_lists(PROVENANCE, lookup.provenance, recorded[PROVENANCE]),
        *in_lists(CLAIMS, lookup.claims, recorded[CLAIMS]),
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
        return _by_name(_read(text))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise StudyError(f"{path} is damaged ({error}); write it again with `invoke report`") from error


def _read(text: str) -> Any:  # noqa: ANN401 - whatever JSON may hold
    """JSON with its numbers to ten digits, as facts have them; claims have more."""
    return json.loads(text, parse_float=lambda number: float(f"{float(number):.10g}"))


def _all_there(recorded: Mapping[str, Any], lookup: Lookup) -> None:
    """StudyError when a run that the report tells of is not complete any more."""
    told = {run for entry in recorded.values() for run in entry.get("runs", ())}
    if gone := sorted(told & {*lookup.evidence.pending}):
        others = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        raise StudyError(
            f"{gone[0]}{others}, which the report tells of, is missing, damaged or out of date; run the study again, "
            "then `invoke report`"
        )


def _by_name(lists: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """All entries by the name of their list and their own, a claim's fields among those of its finding."""
    shelves = ((shelf, each) for shelf, entries in lists.items() if isinstance(entries, list) for each in entries)
    return {f"{shelf[:-1]} {each['name']}": each | (each.get("claim") or {}) | {"claim": ""} for shelf, each in shelves}


def in_lists(document: str, computed: Mapping[str, Any], recorded: Mapping[str, Any]) -> Iterator[Difference]:
    """Differences of the entries that a JSON file lists from those computed anew."""
    right = _by_name(_read(json.dumps(computed)))
    for name in dict.fromkeys((*right, *recorded)):
        ours, theirs = right.get(name, {}), recorded.get(name, {})
        keys = [key for key in {**ours, **theirs} if _json(ours.get(key)) != _json(theirs.get(key))]
        if keys:
            yield Difference(document, name, *(_said(each, keys) for each in (ours, theirs)))


def _said(entry: Mapping[str, Any], keys: Sequence[str]) -> str:
    return ", ".join(f"{key} {_json(entry[key])}" for key in keys if key in entry)


def _json(value: object) -> str:
    """As text, in which even a number that is none equals itself."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def names_of(lookup: Lookup) -> list[str]:
    """What the plan and the reader's settings call things, which may hold digits."""
    plan, data, own = lookup.plan, lookup.plan.dataset, lookup.settings.texts
    named = [*own, *lookup.command_lines, *data.classes, plan.study, data.title, data.notice, f"{data.image_size} px"]
    named += [*(level.title for level in plan.levels), *lookup.failed]
    named.append(data.notice.partition(": ")[2][1:])  # the title page capitalises what follows the colon
    return named + [name for each in plan.experiments for name in (each.title, each.phrase, each.differs, each.key)]


def without_source(printed: Sequence[Passage], names: Sequence[str]) -> Iterator[Difference]:
    """Numbers of the templates' prose that are neither a fact nor part of a name, a reference or a constant."""
    longest_first = sorted(filter(None, names), key=len, reverse=True)
    # A name that is a digit is no part of a longer number.
    called = rf"(?<![\d.,])(?:{'|'.join(map(re.escape, longest_first))})(?![.,]?\d)"
    known = re.compile(f"{called}|{CONSTANTS.pattern}" if longest_first else CONSTANTS.pattern)
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
            yield Difference(CLAIMS, f"finding {name}", "", finding.sentence, contradicts=reason)
