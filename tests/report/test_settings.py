"""paper.toml: what a user says in the paper prints as text in every format, and nothing else."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest
from pybtex.database import parse_string

from analysis.assemble import assemble
from report import pdf
from report.build import render
from report.lookup import Lookup
from report.passages import passages
from report.settings import Section, Settings, read_settings
from report.verify import names_of, without_source
from study.errors import StudyError
from study.records import read_plan
from tests.evidence_samples import blank_drawings
from tests.fabricate import experiments, fabricate

HOSTILE = r"</h1><script>alert(1)</script> \input{x} #eval(1) {{ 7*7 }} $x$ 42"
OWN = Settings(
    title=f"A title {HOSTILE}",
    authors=("Ada & Co.", "Grace"),
    affiliation="Somewhere",
    date="2026-01-02",
    abstract=f"Ours. {HOSTILE}",
    sections=(Section("Funding", "By nobody.\n\nAt all."),),
)


@pytest.fixture(scope="module")
def lookup(tmp_path_factory: pytest.TempPathFactory) -> Lookup:
    """A study of level 1 with settings of the user's own."""
    study = fabricate(tmp_path_factory.mktemp("study"), planned=experiments(1))
    return Lookup(assemble(study), read_plan(study), settings=OWN)


def test_file_sets_title_authors_date_abstract_and_sections(tmp_path: Path) -> None:
    path = tmp_path / "paper.toml"
    path.write_text(
        'title = "T"\nauthors = ["A", "B"]\ndate = 2026-01-02\n[[sections]]\nheading = "H"\ntext = """One.\n\nTwo."""\n'
    )
    settings = read_settings(path)
    assert (settings.title, settings.byline) == ("T", "A, B · 2026-01-02")
    assert settings.sections[0].paragraphs == ["One.", "Two."]


def test_without_a_file_nothing_is_set(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "paper.toml") == Settings()
    with pytest.raises(StudyError, match="cannot read the settings in"):
        read_settings(tmp_path / "paper.toml", required=True)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'titel = "T"', "unknown field `titel`"),
        (b'authors = "A"', "Expected `array`, got `str`"),
        (b'[[sections]]\nheading = "H"', "missing required field `text`"),
        (b"title =", "Invalid value"),
        (b"\xff\xfe", "can't decode"),
    ],
)
def test_bad_file_is_one_clear_line_that_says_what_may_be_set(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "paper.toml"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=says) as raised:
        read_settings(path)
    assert str(path) in str(raised.value) and "it may set title, authors" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_hostile_text_prints_as_text_in_the_page(lookup: Lookup) -> None:
    page = render("html", lookup, blank_drawings(lookup.evidence))
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page and "{{ 7*7 }}" in page
    assert "Ada &amp; Co., Grace · Somewhere · 2026-01-02" in page


HEADINGS = {
    "latex": r"\\section\{(.*?)\}", "html": r'<h2 id="[^"]*"><span class="number">[^<]*</span> (.*?)<a ',
    "typst": r"#heading\(level: 1\)\[(.*?)\] <",
}  # fmt: skip
BREAKS = {"latex": "\n\n", "html": "<p>", "typst": "\n\n"}


@pytest.mark.parametrize("kind", HEADINGS)
def test_own_section_stands_before_the_conclusion_with_its_paragraphs(kind: str, lookup: Lookup) -> None:
    source = render(kind, lookup, blank_drawings(lookup.evidence))
    headings = re.findall(HEADINGS[kind], source)
    assert headings[headings.index("Funding") + 1] == "Conclusion"
    assert BREAKS[kind] in source[source.index("By nobody") : source.index("At all")]


def test_who_wrote_it_and_when_can_be_copied_as_bibtex(lookup: Lookup) -> None:
    page = render("html", lookup, blank_drawings(lookup.evidence))
    told = unescape(page[page.index("@misc{") : page.index("</code></pre>\n<button")])
    (entry,) = parse_string(told, "bibtex").entries.values()
    assert [str(author) for author in entry.persons["author"]] == [r"Co., Ada \&", "Grace"]
    assert entry.fields["year"] == "2026" and r"\$x\$" in entry.fields["title"]
    assert '<meta name="citation_author" content="Grace">' in page


def test_hostile_text_does_nothing_in_latex(lookup: Lookup) -> None:
    source = render("latex", lookup, blank_drawings(lookup.evidence))
    assert r"\input{x}" not in source and r"{\textbackslash}input\{x\}" in source
    assert r"\author{\normalsize Ada \& Co., Grace" in source and r"pdfauthor={Ada \& Co., Grace}" in source


def test_hostile_text_compiles_in_typst(lookup: Lookup) -> None:
    drawings = blank_drawings(lookup.evidence)
    assert pdf.by_typst(render("typst", lookup, drawings), drawings).startswith(b"%PDF")


def test_numbers_that_the_user_wrote_need_no_source(lookup: Lookup) -> None:
    page = render("html", lookup, blank_drawings(lookup.evidence), marked=True)
    assert list(without_source(passages(page), names_of(lookup))) == []
