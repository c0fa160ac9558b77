"""Hostile text prints as itself in every format."""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata
from html import unescape
from pathlib import Path

import pytest
import typst
from pypdf import PdfReader

from analysis.fonts import folders
from report import escaping
from report.environment import ESCAPES, TEMPLATES

HOSTILE = (
    r"a_b & {c} #d $e <script>alert(1)</script> \input{x} ~^% -- @ref `raw` *b* [x] //c \u{41}"
    r""" 'a b' "q" a---b c,,d ?` !` << >>"""
)


def _typst_text(tmp_path: Path, markup: str) -> str:
    source, result = tmp_path / "a.typ", tmp_path / "a.pdf"
    source.write_text(f"#set page(width: 40cm)\n#set text(hyphenate: false)\n{markup}", encoding="utf-8")
    typst.compile(str(source), output=str(result))
    return PdfReader(result).pages[0].extract_text()


def test_hostile_text_survives_html_unchanged() -> None:
    escaped = ESCAPES["html"](HOSTILE)
    assert "<" not in escaped
    assert unescape(escaped) == HOSTILE


def test_hostile_text_prints_as_itself_in_typst(tmp_path: Path) -> None:
    printed = _typst_text(tmp_path, escaping.typst(HOSTILE))
    assert re.sub(r"\s", "", printed) == re.sub(r"\s", "", HOSTILE)


@pytest.mark.parametrize("after", ["(call)", "[content]", ".field", ";end", "{code}"])
def test_typst_text_after_a_macro_is_not_taken_for_its_argument(tmp_path: Path, after: str) -> None:
    assert after in _typst_text(tmp_path, "#emph[before]" + escaping.typst(after))


def test_every_latex_special_is_escaped() -> None:
    escaped = escaping.latex(HOSTILE)
    for special in "#$%&_":
        assert not re.search(rf"(?<!\\){re.escape(special)}", escaped)
    assert r"\input" not in escaped
    assert "--" not in escaped


@pytest.mark.needs_tex
def test_hostile_text_prints_as_itself_in_latex(tmp_path: Path) -> None:
    assert shutil.which("latexmk")
    source = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage[utf8]{inputenc}\usepackage{textcomp,amssymb}"
    page = r"\usepackage[paperwidth=60cm]{geometry}\pagestyle{empty}\begin{document}\noindent "
    (tmp_path / "a.tex").write_text(f"{source}{page}{escaping.latex(HOSTILE)}\\end{{document}}", encoding="utf-8")
    subprocess.run(["latexmk", "-pdf", "-halt-on-error", "a.tex"], cwd=tmp_path, check=True, capture_output=True)
    printed = PdfReader(tmp_path / "a.pdf").pages[0].extract_text()
    # T1 fonts draw these as their own glyphs, which text extraction names differently.
    assert re.sub(r"[\s`‘ˆ^˜~]", "", printed) == re.sub(r"[\s`^~]", "", HOSTILE)


@pytest.mark.parametrize(("name", "codes"), [("\u4e2d", "U+4E2D"), ("\u0416", "U+0416"), ("\u215b", "U+215B")])
def test_characters_latex_lacks_become_their_codes(name: str, codes: str) -> None:
    assert escaping.latex(name) == f"{{[}}{codes}{{]}}"


@pytest.mark.needs_tex
def test_latex_compiles_every_character_that_is_not_coded(tmp_path: Path) -> None:
    source = (TEMPLATES / "latex.jinja").read_text(encoding="utf-8")
    packages = [line for line in source.splitlines() if line.startswith((r"\documentclass", r"\usepackage"))]
    characters = [chr(code) for first, last in escaping.TEX_BLOCKS for code in range(ord(first), ord(last) + 1)]
    lines = [rf"x{escaping.latex(escaping.plain(c))}x\par" for c in characters if escaping.in_latex(c)]
    page = [*packages, r"\begin{document}", *lines, r"\end{document}"]
    (tmp_path / "a.tex").write_text("\n".join(page), encoding="utf-8")
    done = subprocess.run(["latexmk", "-pdf", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True, text=True)
    assert len(lines) > 700 and done.returncode == 0, done.stdout[-500:]


def test_a_name_in_brackets_is_no_argument_of_a_latex_command() -> None:
    assert escaping.latex("[x]") == "{[}x{]}"


@pytest.mark.parametrize("name", ["кошка", "γάτα", "قطة", "naïve", "mèo"])
def test_scripts_of_the_base_font_print_as_themselves_in_typst(tmp_path: Path, name: str) -> None:
    fonts = '#set text(font: ("New Computer Modern", "DejaVu Sans"))\n'
    content, warnings = typst.compile_with_warnings(
        {"main.typ": f"{fonts}{escaping.typst(name)}".encode()}, ignore_system_fonts=True, font_paths=folders([name])
    )
    (tmp_path / "a.pdf").write_bytes(content)
    extracted = PdfReader(tmp_path / "a.pdf").pages[0].extract_text()
    assert not warnings
    # Arabic is stored in the order and the shapes in which it is drawn.
    assert unicodedata.normalize("NFKC", extracted).split()[0] in (name, name[::-1])


def test_control_characters_and_surrogates_become_spaces() -> None:
    assert escaping.plain("a\x00b\nc\ud800d\x1be") == "a b c d e"


def test_typst_string_cannot_be_left() -> None:
    assert escaping.typst_string('a"#b\\') == r'"a\"#b\\"'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("95 % CI", "95_% CI"),
        ("p = 0.012", "p_=_0.012"),
        ("64 px", "64_px"),
        ("−1.2 to +3", "−1.2_to_+3"),
        ("up to 3", "up to 3"),
    ],
)
def test_numbers_stay_with_their_units_and_relations(text: str, expected: str) -> None:
    assert escaping.unbroken(text).replace("\N{NO-BREAK SPACE}", "_") == expected


def test_long_names_may_break_after_their_separators() -> None:
    broken = escaping.breakable("analysis.per_class/level2")
    assert broken.split("\N{ZERO WIDTH SPACE}") == ["analysis.", "per_", "class/", "level2"]


def test_slug_holds_only_what_labels_and_files_allow() -> None:
    assert escaping.slug("../level 1/risk_coverage ") == "level-1-risk-coverage"


def test_lines_of_a_section_stay_lines_in_latex() -> None:
    assert escaping.latex("one line\nand another") == "one line\nand another"
