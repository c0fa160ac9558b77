"""A finished report beside its records: untouched, and with something changed in each of its documents."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from analysis.evidence import Evidence
from report import escaping, marks, pdf
from report.build import CLAIMS, HTML, LATEX, PDF, PROVENANCE, build, lookup_of, render
from report.differences import Difference, in_pdf, in_source
from report.environment import TEMPLATES
from report.figures import Drawing
from report.lookup import Lookup
from report.passages import Passage, Piece, passages
from report.reading import pdf_text
from report.verify import contradicted, names_of, verify, without_source
from study.errors import StudyError
from study.records import read_plan, write_plan
from tests.evidence_samples import blank_drawing, blank_drawings
from tests.fabricate import experiments, fabricate

FACT = "accuracy/level1/finetuned"


@dataclasses.dataclass(frozen=True)
class Written:
    """A study's report: its folder, the sources as rendered anew with marks, and Typst's source."""

    study: Path
    folder: Path
    marked: dict[str, str]
    typst: str
    drawings: dict[str, Drawing]
    texts: dict[str, str]

    def read(self, name: str) -> str:
        """One of its files."""
        return (self.folder / name).read_text(encoding="utf-8")

    def source(self, name: str) -> str:
        """What a document is made from: Typst's source for the PDF, itself for the others."""
        return self.typst if name == PDF else self.read(name)

    def differences(self, name: str, changed: str) -> list[Difference]:
        """What is found in a document's changed source."""
        if name == PDF:
            (self.folder.parent / "changed.pdf").write_bytes(pdf.by_typst(changed, self.drawings))
            return in_pdf(PDF, pdf_text(self.folder.parent / "changed.pdf"), self.marked["html"])
        return list(in_source(name, self.marked["html" if name == HTML else "latex"], changed))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, fabricated_study: Path, evidence: Evidence) -> Written:
    """The report of a copy of that study, its PDF by Typst and its figures left blank, which takes no time."""
    study = shutil.copytree(fabricated_study, tmp_path_factory.mktemp("written") / "study")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "has_latex", lambda: False)
        patch.setattr("report.figures.draw", blank_drawing)
        folder = build(study)[0].parent
    lookup, drawings = Lookup(evidence, read_plan(study)), blank_drawings(evidence)
    marked = {kind: render(kind, lookup, drawings, marked=True) for kind in ("html", "latex")}
    texts = {name: fact.text for name, fact in evidence.facts.items()}
    return Written(study, folder, marked, render("typst", lookup, drawings), drawings, texts)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of level 1 with its report."""
    study = fabricate(tmp_path_factory.mktemp("short"), planned=experiments(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "has_latex", lambda: False)
        patch.setattr("report.figures.draw", blank_drawing)
        build(study)
    return study


ESCAPES = {PDF: escaping.typst, HTML: escape, LATEX: escaping.latex}
HEADINGS = {PDF: "[Conclusion]", HTML: "Conclusion<a ", LATEX: "section{Conclusion}"}
VERDICT = re.compile(r"\b(?:improves|lowers|meets|misses|too close|undecided|detected)\b")


def _other(text: str) -> str:
    """The text with its first digit another one."""
    return re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), text, count=1)


def _said_once(written: Written, document: str, kind: str) -> tuple[str, str]:
    """The name and printed form of a fact ("fact") or cell ("table/") whose text comes only once in the document."""
    page, spans = marks.lifted(written.marked["html"])
    source = written.source(document)
    for span in spans:
        text = re.sub("<[^>]*>", "", page[span.start : span.end])
        printed = str(ESCAPES[document](unescape(text)))
        printed += {"fact": "</data>", "table/": "</td>"}[kind] if document == HTML else ""
        of_kind = span.name in written.texts if kind == "fact" else span.name.startswith(kind)
        if of_kind and len(re.findall(r"\d", text)) > 3 and source.count(printed) == 1:
            return span.name, printed
    raise AssertionError(f"no {kind} is unique in {document}")


def test_untouched_report_says_what_the_records_say(written: Written) -> None:
    assert verify(written.study) == []


@pytest.mark.parametrize("kind", ["fact", "table/"])
@pytest.mark.parametrize("document", [PDF, HTML, LATEX])
def test_a_changed_digit_is_named_by_its_fact_or_cell(written: Written, document: str, kind: str) -> None:
    name, text = _said_once(written, document, kind)
    found = written.differences(document, written.source(document).replace(text, _other(text)))
    assert [(each.document, each.name) for each in found] == [(document, name)]
    assert _other(found[0].expected) == found[0].printed


@pytest.mark.parametrize("document", [PDF, HTML, LATEX])
def test_a_word_of_a_verdict_is_named_by_its_finding(written: Written, document: str) -> None:
    page, spans = marks.lifted(written.marked["html"])
    told = ((span.name, page[span.start : span.end]) for span in spans if span.name.startswith("finding"))
    name, text = next((name, text) for name, text in told if VERDICT.search(re.sub("<[^>]*>", "", text)))
    sentence = str(ESCAPES[document](unescape(re.sub("<[^>]*>", "", text))))
    changed = written.source(document).replace(sentence, VERDICT.sub("betters", sentence, count=1), 1)
    (found,) = written.differences(document, changed)
    assert (found.name, found.printed) == (name, "betters") and VERDICT.match(found.expected)


@pytest.mark.parametrize("document", [PDF, HTML, LATEX])
def test_a_word_of_a_lesson_is_named_by_its_finding(written: Written, document: str) -> None:
    lesson = "more accurate than every one of its members"
    changed = written.source(document).replace(lesson, lesson.replace("more", "less"), 1)
    (found,) = written.differences(document, changed)
    assert (found.name, found.expected, found.printed) == ("finding ensemble/members", "more", "less")


@pytest.mark.parametrize("document", [PDF, HTML, LATEX])
def test_a_lost_minus_sign_is_named(written: Written, document: str) -> None:
    minus, source = r"\ensuremath{-}" if document == LATEX else "−", written.source(document)
    place = re.search(re.escape(minus) + r"\d", source[source.index("Introduction") :])
    assert place
    start = source.index("Introduction") + place.start()
    (found,) = written.differences(document, source[:start] + source[start + len(minus) :])
    assert found.name and found.expected.endswith(found.printed) and found.expected != found.printed


@pytest.mark.parametrize("document", [PDF, HTML, LATEX])
def test_a_number_typed_into_the_text_has_no_source(written: Written, document: str) -> None:
    head = HEADINGS[document]
    (found,) = written.differences(
        document, written.source(document).replace(head, head.replace("Conclusion", "Conclusion 17"))
    )
    assert (found.name, found.expected, found.printed) == ("", "", "17")


@pytest.mark.parametrize("document", [PDF, HTML, LATEX])
def test_prose_may_be_edited(written: Written, document: str) -> None:
    head, source = HEADINGS[document], written.source(document)
    changed = source.replace(head, head.replace("Conclusion", "Closing words"))
    assert changed != source and written.differences(document, changed) == []


def test_facts_of_a_paragraph_that_is_gone_from_the_pdf_are_missing(written: Written) -> None:
    name, text = _said_once(written, PDF, "fact")
    (gone,) = (part for part in written.typst.split("\n\n") if text in part)
    found = written.differences(PDF, written.typst.replace(gone, ""))
    assert name in ", ".join(each.name for each in found)
    assert not any(each.printed for each in found)


def test_a_fact_changed_in_provenance_is_named(short: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(short / "report", tmp_path / "report")
    lists = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    fact = next(each for each in lists["facts"] if each["name"] == FACT)
    before, fact["text"] = fact["text"], _other(fact["text"])
    (folder / PROVENANCE).write_text(json.dumps(lists), encoding="utf-8")
    (found,) = verify(short, folder)
    assert (found.document, found.name) == (PROVENANCE, f"fact {FACT}") and before in found.expected


@pytest.mark.parametrize("document", [HTML, LATEX, CLAIMS])
def test_every_document_beside_is_compared(short: Path, tmp_path: Path, document: str) -> None:
    folder = shutil.copytree(short / "report", tmp_path / "report")
    text = (folder / document).read_text(encoding="utf-8")
    accuracy = lookup_of(short).evidence.facts[FACT].text.split()[0] if document != CLAIMS else '"p": 0.'
    assert accuracy in text
    changed = f"{accuracy}1" if document == CLAIMS else _other(accuracy)
    (folder / document).write_text(text.replace(accuracy, changed, 1), encoding="utf-8")
    assert {each.document for each in verify(short, folder)} == {document}


def test_pdf_numbers_without_source_and_contradictions_are_looked_for(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accuracy = lookup_of(short).evidence.facts[FACT].text.split()[0]
    printed = pdf_text(short / "report" / PDF)
    assert accuracy in printed
    monkeypatch.setattr("report.verify.pdf_text", lambda _: printed.replace(accuracy, _other(accuracy)))
    assert {each.document for each in verify(short)} == {PDF}
    monkeypatch.setattr("report.verify.pdf_text", lambda _: printed)
    assert verify(short) == []
    for part in ("without_source", "contradicted"):
        seen = Difference(HTML, part, "1", "2", "near")
        with monkeypatch.context() as patch:
            patch.setattr(f"report.verify.{part}", lambda *_, seen=seen: [seen])
            assert verify(short) == [seen]


@pytest.mark.parametrize(("factor", "found"), [(1 + 1e-13, 0), (1 + 1e-6, 1)])
def test_numbers_may_differ_in_the_digits_that_depend_on_the_number_of_threads(
    short: Path, tmp_path: Path, factor: float, found: int
) -> None:
    folder = shutil.copytree(short / "report", tmp_path / "report")
    lists = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    next(each for each in lists["facts"] if each["name"] == FACT)["value"] *= factor
    (folder / PROVENANCE).write_text(json.dumps(lists), encoding="utf-8")
    assert len(verify(short, folder)) == found


def test_a_number_typed_into_a_template_has_no_source(
    written: Written, evidence: Evidence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = shutil.copytree(TEMPLATES, tmp_path / "templates")
    with (changed / "sections" / "conclusion.jinja").open("a", encoding="utf-8") as section:
        section.write("{% call paragraph() %}Accuracy rises by 3.2 points on CIFAR-10.{% endcall %}")
    monkeypatch.setattr("report.environment.TEMPLATES", changed)
    lookup = Lookup(evidence, read_plan(written.study))
    page = render("html", lookup, written.drawings, marked=True)
    (found,) = without_source(passages(page), names_of(lookup))
    assert found.printed == "3.2" and "Accuracy rises" in found.near


def test_numbers_are_not_taken_for_classes_that_are_called_like_their_digits() -> None:
    told = Passage((Piece("Accuracy of class 7 rises by 3.2 points, or 7, with 17 seeds."),))
    assert [each.printed for each in without_source([told], [*"0123456789"])] == ["3.2", "17"]


@pytest.mark.parametrize(
    "changes", [{"classes": [*map("kind {}".format, range(12))]}, {"shares": [0.4] + [0.6 / 9] * 9}]
)
def test_every_number_about_many_or_unequal_classes_has_a_source(changes: dict[str, Any], tmp_path: Path) -> None:
    lookup = lookup_of(fabricate(tmp_path, images=120, **changes))
    page = render("html", lookup, blank_drawings(lookup.evidence), marked=True)
    assert "averages" in lookup.evidence.tables
    assert [*without_source(passages(page), names_of(lookup)), *contradicted(lookup)] == []


def test_numbers_in_the_notice_of_stand_in_data_are_its_own(short: Path, tmp_path: Path) -> None:
    plan = read_plan(short)
    data = dataclasses.replace(plan.dataset, notice="Stand-in data: these are 1,797 scans.", classes=(*"0123456789",))
    study = shutil.copytree(short, tmp_path / "study")
    write_plan(study, dataclasses.replace(plan, dataset=data))
    lookup = lookup_of(study)
    page = render("html", lookup, blank_drawings(lookup.evidence), marked=True)
    assert "These are 1,797 scans." in page and [*without_source(passages(page), names_of(lookup))] == []


def test_names_of_failed_runs_are_no_numbers_without_a_source(written: Written, evidence: Evidence) -> None:
    lookup = Lookup(dataclasses.replace(evidence, failed=("level1/finetuned/seed-1",)), read_plan(written.study))
    page = render("html", lookup, written.drawings, marked=True)
    assert "level1/finetuned/seed-1 failed" in page
    assert [*without_source(passages(page), names_of(lookup))] == []


def test_without_a_report_the_user_is_told_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"no report.html in .*; write it with `invoke report` first"):
        verify(fabricate(tmp_path, planned=experiments(1)))


def test_a_damaged_record_is_one_clear_error(written: Written) -> None:
    weights = written.study / "level1" / "finetuned" / "seed-0" / "predictions.npz"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1])
    try:
        with pytest.raises(
            StudyError, match=r"level1/finetuned/seed-0 and \d+ more, which the report tells of"
        ) as raised:
            verify(written.study)
    finally:
        weights.write_bytes(before)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("name", "content"), [(PDF, b"no pdf"), (HTML, b"\xff\xfe"), (PROVENANCE, b"{"), (PDF, None)])
def test_a_damaged_report_is_one_clear_error(short: Path, tmp_path: Path, name: str, content: bytes | None) -> None:
    folder = shutil.copytree(short / "report", tmp_path / "report")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(StudyError, match="invoke report") as raised:
        verify(short, folder)
    assert name in str(raised.value) and "\n" not in str(raised.value)
