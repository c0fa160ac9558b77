"""The paper of a fabricated study, in all formats."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import shutil
import subprocess
import zipfile
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape
from pypdf import PdfReader

from analysis.assemble import assemble
from analysis.evidence import Evidence
from report import pdf
from report.build import build, render
from report.environment import TEMPLATES, in_words
from report.escaping import unbroken
from report.html import finish
from report.lookup import Lookup
from report.passages import passages
from study.errors import StudyError
from study.records import Failure, read_plan, write_failure, write_plan
from tests.evidence_samples import blank_drawing, blank_drawings
from tests.fabricate import experiments, fabricate

FORMATS = ("latex", "html", "typst")
HOSTILE = (
    "a_b & {c}",
    "#d $e",
    "<script>alert(1)</script>",
    r"\input{x}",
    "50% ~^",
    "--",
    "@f",
    "`g`",
    "*h*",
    "[i](j)",
)


@pytest.fixture
def without_latex(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which latexmk is not installed."""
    monkeypatch.setattr(pdf, "has_latex", lambda: False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, fabricated_study: Path) -> list[Path]:
    """What a report of the complete study says it wrote, where latexmk is not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "has_latex", lambda: False)
        return build(fabricated_study, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def report(built: list[Path]) -> Path:
    """The folder it was built into."""
    return built[0].parent


@pytest.fixture(scope="module")
def lookup(fabricated_study: Path, evidence: Evidence) -> Lookup:
    """What the complete study may say."""
    return Lookup(evidence, read_plan(fabricated_study))


def _render(kind: str, study: Path, evidence: Evidence | None = None) -> str:
    evidence = evidence or assemble(study)
    return render(kind, Lookup(evidence, read_plan(study)), blank_drawings(evidence))


HEADINGS = {
    "latex": r"\\(?:sub)?section\{(.*?)\}\\label", "html": r"<h[23] id=.*?</span> (.*?)<a ",
    "typst": r"#heading\(level: \d\)\[(.*?)\] <",
}  # fmt: skip


def _headings(kind: str, source: str) -> list[str]:
    return [unescape(found).replace("\\", "") for found in re.findall(HEADINGS[kind], source)]


@pytest.fixture(scope="module")
def pages(report: Path) -> list[str]:
    """The text of each page of the PDF."""
    return [page.extract_text() for page in PdfReader(report / "report.pdf").pages]


@pytest.fixture(scope="module")
def page(lookup: Lookup) -> str:
    """Its page, with blank figures."""
    return render("html", lookup, blank_drawings(lookup.evidence))


def _squeezed(text: str) -> str:
    return re.sub(r"[\s\N{ZERO WIDTH SPACE}]", "", text)


def _printed(content: bytes) -> str:
    """All text of a PDF without white space."""
    return _squeezed("".join(page.extract_text() for page in PdfReader(io.BytesIO(content)).pages))


def test_build_writes_every_format_and_says_where(built: list[Path], report: Path) -> None:
    names = {"report.pdf", "report.html", "latex", "latex.zip", "provenance.json", "claims.json"}
    assert set(built) == {report / name for name in names}
    assert {path.name for path in report.iterdir()} == {*names, "build.json"}


def test_pdf_prints_every_fact_that_provenance_says_is_printed(report: Path, pages: list[str]) -> None:
    printed = _squeezed("".join(pages))
    facts = [f for f in json.loads((report / "provenance.json").read_text())["facts"] if f["printed in"] == "text"]
    assert len(facts) > 50
    missing = [fact["name"] for fact in facts if fact["unit"] != "text" and _squeezed(fact["text"]) not in printed]
    assert not missing


def test_html_marks_every_fact_with_its_name_and_printed_value(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    marked = dict(re.findall(r'<data class="fact"[^>]*data-fact="([^"]+)"[^>]*>([^<]*)</data>', page))
    facts = {fact["name"]: fact for fact in json.loads((report / "provenance.json").read_text())["facts"]}
    assert {name for name, fact in facts.items() if fact["printed in"] == "text"} <= set(marked) <= set(facts)
    differing = [name for name, text in marked.items() if _squeezed(unescape(text)) != _squeezed(facts[name]["text"])]
    assert differing == []


def test_pdf_has_title_bookmarks_and_page_numbers(report: Path, pages: list[str]) -> None:
    reader = PdfReader(report / "report.pdf")
    assert reader.metadata and "CIFAR-10" in str(reader.metadata.title)
    titles = [item.title for item in reader.outline if not isinstance(item, list)]
    assert any("Introduction" in str(title) for title in titles) and any("References" in str(title) for title in titles)
    assert [text.split()[-1] for text in pages[1:]] == [str(number) for number in range(2, len(pages) + 1)]


@pytest.mark.usefixtures("without_latex")
def test_rebuilding_changes_no_byte(fabricated_study: Path, report: Path, tmp_path: Path) -> None:
    build(fabricated_study, tmp_path)
    for name in ("report.pdf", "report.html", "latex.zip", "provenance.json", "claims.json", "build.json"):
        assert (tmp_path / name).read_bytes() == (report / name).read_bytes(), name


def test_bundle_and_zip_hold_all_that_main_tex_includes(report: Path) -> None:
    source = (report / "latex" / "main.tex").read_text(encoding="utf-8")
    included = set(re.findall(r"\\includegraphics\[[^]]*\]\{([^}]+)\}", source))
    files = {path.relative_to(report / "latex").as_posix() for path in (report / "latex").rglob("*") if path.is_file()}
    assert len(included) >= 8
    assert files == included | {"main.tex", "references.bib"}
    with zipfile.ZipFile(io.BytesIO((report / "latex.zip").read_bytes())) as archive:
        assert set(archive.namelist()) == files


@pytest.mark.parametrize("kind", FORMATS)
def test_every_section_appears_in_every_format(kind: str, lookup: Lookup) -> None:
    source = render(kind, lookup, blank_drawings(lookup.evidence))
    titles = ["Introduction", "Data and protocol", *(f"Level {n.number}: {n.title}" for n in lookup.levels)]
    titles += ["Trust: calibration and uncertainty", "Discussion", "Conclusion", "Runs and environment"]
    titles += ["Facts"] if kind == "html" else []
    assert [title for title in titles if title not in _headings(kind, source)] == []
    assert len(lookup.levels) == 5 and "Abstract" in source.replace("{abstract}", "Abstract")
    plain = source.replace("\\", "")
    assert "pending:" not in plain and "nfinished study" not in plain


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that lacks one network, and what needs it."""
    return fabricate(tmp_path_factory.mktemp("unfinished"), skip=("level3/scratch-cnn",))


@pytest.fixture(scope="module")
def missing(unfinished: Path) -> Lookup:
    """What it may say."""
    return Lookup(assemble(unfinished), read_plan(unfinished))


@pytest.fixture(scope="module")
def failed(unfinished: Path, tmp_path_factory: pytest.TempPathFactory) -> Lookup:
    """What it may say after that network failed."""
    study = shutil.copytree(unfinished, tmp_path_factory.mktemp("failed") / "study")
    write_failure(study / "level3/scratch-cnn/seed-0", Failure("so be it"))
    return Lookup(assemble(study), read_plan(study))


def _plain(kind: str, lookup: Lookup) -> str:
    """The paper's source with one space after every colon, whatever the format puts there."""
    return re.sub(r":\s*", ": ", render(kind, lookup, blank_drawings(lookup.evidence)).replace("\\", ""))


@pytest.mark.parametrize("kind", FORMATS)
def test_missing_runs_show_as_pending_in_every_format(kind: str, missing: Lookup) -> None:
    source = _plain(kind, missing)
    assert "pending: accuracy/level3/scratch-cnn" in source and "nfinished study" in source
    assert "We planned" in source and "runs are complete, " in source and "We ran" not in source


@pytest.mark.parametrize("kind", FORMATS)
def test_failed_runs_show_as_failed_in_every_format(kind: str, failed: Lookup) -> None:
    source = _plain(kind, failed)
    assert "failed: accuracy/level3/scratch-cnn" in source and "pending: accuracy/level3/scratch-cnn" not in source
    assert "level3/scratch-cnn/seed-0 failed" in source


@pytest.mark.parametrize("levels", [(1,), (1, 2), (2, 3), (1, 3, 4)])
def test_a_study_of_some_levels_refers_to_nothing_it_lacks(levels: tuple[int, ...], tmp_path: Path) -> None:
    study = fabricate(tmp_path, planned=experiments(*levels))
    evidence = assemble(study)
    page = _render("html", study, evidence)
    assert [level for level in range(1, 6) if f"Level {level}:" in page] == list(levels)
    assert f"{in_words(len(levels)).capitalize()} level" in page
    assert pdf.by_typst(_render("typst", study, evidence), blank_drawings(evidence)).startswith(b"%PDF")


@pytest.mark.parametrize("finding", ["uncertainty/ood", "ensemble/gain", "latency/int8", "calibration/temperature"])
def test_finding_that_a_complete_study_lacks_leaves_a_whole_paper(
    fabricated_study: Path, evidence: Evidence, page: str, finding: str
) -> None:
    kept = {name: found for name, found in evidence.findings.items() if name != finding}
    without = _render("html", fabricated_study, dataclasses.replace(evidence, findings=kept))
    told = escape(unbroken(evidence.findings[finding].sentence))
    assert without.count(told) < page.count(told)
    assert _headings("html", without) == _headings("html", page) and "pending:" not in without


@pytest.mark.usefixtures("without_latex")
def test_a_study_without_any_run_still_makes_a_pdf(tmp_path: Path) -> None:
    study = fabricate(tmp_path, planned=experiments(1), skip=[experiment.key for experiment in experiments()])
    printed = _printed(build(study)[0].read_bytes())
    assert "Unfinishedstudy." in printed and "pending" in printed


def test_misspelt_fact_in_a_template_is_one_clear_error(
    lookup: Lookup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    changed = shutil.copytree(TEMPLATES, tmp_path / "templates")
    with (changed / "sections" / "conclusion.jinja").open("a", encoding="utf-8") as section:
        section.write('{{ fact("accuracy/level1/finetunned") }}')
    monkeypatch.setattr("report.environment.TEMPLATES", changed)
    with pytest.raises(StudyError, match="accuracy/level1/finetunned.*nearest.*accuracy/level1/finetuned"):
        render("html", lookup, blank_drawings(lookup.evidence))


def test_reference_to_nothing_is_one_clear_error() -> None:
    with pytest.raises(StudyError, match="fig-nowhere"):
        finish("<!--reference:fig-nowhere-->")


def test_html_numbers_sections_subsections_and_appendices() -> None:
    tags = {"sec-a": "h2", "sec-b": "h3", "sec-c": "h3", "sec-d": "h2", "sec-e": "h3", "app-f": "h2", "tab-g": "figure"}
    page = "".join(f'<{tag} id="{label}">' for label, tag in tags.items())
    numbered = finish(page + "".join(f"<!--number:{label}-->;" for label in tags))
    assert numbered.removeprefix(page) == "1;1.1;1.2;2;2.1;A;1;"


def test_hostile_class_names_reach_the_pdf_and_the_page_as_text(tmp_path: Path) -> None:
    study = fabricate(tmp_path, classes=HOSTILE, planned=experiments(1, 2, 3))
    evidence = assemble(study)
    page = _render("html", study, evidence)
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    source = _render("typst", study, evidence)
    printed = _printed(pdf.by_typst(source, blank_drawings(evidence)))
    assert [name for name in HOSTILE if _squeezed(name) not in printed] == []
    marked = render("html", Lookup(evidence, read_plan(study)), blank_drawings(evidence), marked=True)
    named = {piece.name for passage in passages(marked) for piece in passage.pieces}
    assert {f"table/per_class/{name}/Class" for name in HOSTILE} <= named


def test_one_vote_alone_makes_a_paper_that_compares_no_rules(tmp_path: Path) -> None:
    others = [each.key for each in experiments(4) if each.kind == "Vote" and each.name != "hard"]
    page = _render("html", fabricate(tmp_path, images=60, skip=others, planned=experiments(1, 2, 3, 4)))
    assert "Discussion" in _headings("html", page) and "pending: ensemble/best-vote" not in page


def test_what_few_errors_leave_untested_is_said(tmp_path: Path) -> None:
    said = _squeezed(unescape(re.sub("<[^>]*>", "", _render("html", fabricate(tmp_path, images=60)))))
    for words in ("of the single network there is nothing to test.", "too few errors to test whether it repeats them"):
        assert _squeezed(words) in said
    assert "repeatmoreofitsteacher" not in said


@pytest.mark.usefixtures("without_latex")
def test_a_work_that_the_references_lack_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study = fabricate(tmp_path, images=60, planned=experiments(1))
    made = read_plan(study)
    described = dataclasses.replace(made.dataset.description, citation="smith2020")
    write_plan(study, dataclasses.replace(made, dataset=dataclasses.replace(made.dataset, description=described)))
    monkeypatch.setattr("report.figures.draw", blank_drawing)
    build(study)
    assert "references.bib has no 'smith2020'" in capsys.readouterr().err


def test_stand_in_data_are_announced_on_the_first_page_and_in_every_caption(tmp_path: Path) -> None:
    study = fabricate(tmp_path, stand_in=True)
    notice = read_plan(study).dataset.notice
    page = _render("html", study)
    assert notice.partition(": ")[2][1:] in page[: page.index("Introduction<a ")]
    captions = re.findall(r"<figcaption>.*?</figcaption>", page, re.DOTALL)
    assert captions and all(notice in caption for caption in captions)


def test_quick_preset_says_so_before_the_abstract(lookup: Lookup, page: str) -> None:
    assert "Quick preset." in page[: page.index("Abstract")]
    larger = dataclasses.replace(lookup, plan=dataclasses.replace(lookup.plan, preset="cpu"))
    assert "Quick preset." not in render("html", larger, blank_drawings(lookup.evidence))


def test_prose_types_no_result() -> None:
    """Digits stand only in names: keys inside calls, levels, models, kernels, tests and conference lists."""
    allowed = r"\b[NR]\d+\b|level\s?\d|[Ll]evel \d|CIFAR-10|MobileNetV3|\d×\d|SHA-256|F1|p\d\d\b"
    for path in sorted((TEMPLATES / "sections").iterdir()):
        prose = re.sub(r"\{[{%#].*?[}%#]\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert not re.findall(r"\d+", re.sub(allowed, "", prose)), path.name


def test_failing_latex_falls_back_to_typst_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(files: object) -> bytes:
        raise StudyError("LaTeX failed: main.tex:1: Undefined control sequence")

    monkeypatch.setattr(pdf, "has_latex", lambda: True)
    monkeypatch.setattr(pdf, "by_latex", fail)
    monkeypatch.setattr("report.figures.draw", blank_drawing)
    paths = build(fabricate(tmp_path, planned=experiments(1)))
    assert PdfReader(paths[0]).pages
    assert "Undefined control sequence; report.pdf comes from Typst instead" in capsys.readouterr().err


@pytest.mark.needs_tex
def test_bundle_compiles_with_latexmk_and_prints_the_facts(report: Path) -> None:
    folder = report / "latex"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    printed = _printed(pdf.by_latex(files))
    facts = json.loads((report / "provenance.json").read_text())["facts"]
    texts = [_squeezed(f["text"]) for f in facts if f["unit"] == "percent" and f["printed in"] == "text"]
    assert texts and [text for text in texts if text not in printed] == []
    assert "??" not in printed


@pytest.mark.needs_tex
def test_latex_error_is_quoted_in_one_line() -> None:
    with pytest.raises(StudyError, match=r"main\.tex:1: Undefined control sequence"):
        pdf.by_latex({"main.tex": rb"\documentclass{article}\begin{document}\undefinedmacro\end{document}"})


@pytest.mark.needs_tex
def test_latex_that_is_killed_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    files, started, run = {"main.tex": rb"\documentclass{article}\begin{document}Hi\end{document}"}, [], subprocess.run

    def killed_at_first(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:  # noqa: ANN401
        started.append(command)
        return run(["sh", "-c", "kill -9 $$"] if len(started) == 1 else command, **options)

    whole = pdf.by_latex(files)
    monkeypatch.setattr(pdf.subprocess, "run", killed_at_first)
    assert pdf.by_latex(files) == whole and len(started) == 2


def test_typst_warning_is_an_error() -> None:
    with pytest.raises(StudyError, match="Typst warned: unknown font family"):
        pdf.by_typst('#set text(font: "No Such Font")\nHi', {})


def test_typst_error_is_one_clear_error() -> None:
    with pytest.raises(StudyError, match="Typst failed"):
        pdf.by_typst("#nonsense", {})


@pytest.mark.slow
@pytest.mark.needs_tex
def test_names_in_any_script_reach_the_page_and_break_no_engine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("кошка", "قطة", "γάτα", "mèo", "\N{CJK UNIFIED IDEOGRAPH-732B}", "US$ 5 and $6")
    study = fabricate(tmp_path, classes=names, images=120, planned=experiments(1, 2, 3))
    build(study)
    page = (study / "report" / "report.html").read_text(encoding="utf-8")
    assert [name for name in names if name not in page] == []
    assert "LaTeX's fonts lack characters of 'кошка'; report.pdf comes from Typst" in capsys.readouterr().err
    bundle = {p.relative_to(study / "report/latex").as_posix(): p.read_bytes()
              for p in (study / "report/latex").rglob("*") if p.is_file()}  # fmt: skip
    assert "U+043A" in _printed(pdf.by_latex(bundle))
    assert "кошка" in _printed((study / "report/report.pdf").read_bytes())
