"""Names in any script are drawn as themselves or as visible codes, never as empty boxes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analysis import fonts
from analysis.assemble import assemble
from tests.fabricate import experiments, fabricate

CAT = "\N{CJK UNIFIED IDEOGRAPH-732B}"
NAMES = (
    f"{CAT} (cat)",
    "قطة",
    "кошка",
    "γάτα",
    "naïve $x$ & 50% #1",
    "a_b {c} \\input{x} <b>",
    "e\u0301 \x00\u202e\ud800",
)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[dict[str, str]], None]]:
    """Lets these be the fonts of this machine, the file of each family."""

    def known(files: dict[str, str]) -> None:
        monkeypatch.setattr(fonts, "_files", lambda: files)
        fonts.font_of.cache_clear()

    yield known
    monkeypatch.undo()
    fonts.font_of.cache_clear()


@pytest.fixture
def bare(install: Callable[[dict[str, str]], None]) -> None:
    """A machine on which nothing is installed but what comes with matplotlib."""
    install({fonts.BASE: fonts._files()[fonts.BASE]})


def test_stretches_of_what_cannot_be_printed_become_codes() -> None:
    assert fonts.marked("a\u4e2d\u4e2db\u4e2d", str.isascii) == "a[U+4E2D U+4E2D]b[U+4E2D]"
    assert fonts.marked("plain", str.isascii) == "plain"


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("name", ["кошка", "γάτα", "قطة", "חתול", "naïve – “x” ≤ 5 °C", "mèo tiếng Việt"])
def test_scripts_of_the_base_font_are_themselves(name: str) -> None:
    assert fonts.legible(name) == name and fonts.families([name]) == ()


@pytest.mark.usefixtures("bare")
def test_what_no_font_has_is_a_code() -> None:
    assert fonts.legible(f"{CAT} 1") == "[U+732B] 1"


def test_an_installed_font_serves_for_what_the_base_lacks(
    install: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {fonts.BASE: frozenset({0x61}), "Kana": frozenset({0x304B}), "Big": frozenset({0x304B, 0x732B})}
    monkeypatch.setattr(fonts, "_characters", known.__getitem__)
    install({"Big": "/fonts/b.ttf", "Kana": "/fonts/k.ttf", fonts.BASE: "/a/d.ttf"})
    assert fonts.families([f"a{CAT}\u304b\u0915"]) == ("Big",)
    assert fonts.folders([CAT]) == ["/a", "/fonts"]
    assert fonts.legible(f"{CAT}\u0915") == f"{CAT}[U+0915]"


def test_controls_and_unknown_characters_are_no_part_of_a_line() -> None:
    assert fonts.plain("a\nb\x00c\ud800d\u2028e\u202ef") == "a b c d e f"
    assert fonts.plain("e\u0301") == "é"
    assert fonts.plain("\ue000") == "[U+E000]"


@pytest.mark.slow
@pytest.mark.usefixtures("bare")
def test_every_figure_draws_hostile_names_without_a_missing_glyph(tmp_path: Path) -> None:
    study = fabricate(tmp_path, classes=NAMES, images=140, planned=experiments(1, 2, 3))
    evidence = assemble(study)
    drawn = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for figure in evidence.figures.values():
            canvas = figure.draw()
            canvas.savefig(tmp_path / "figure.svg")
            drawn += [text.get_text() for axes in canvas.axes for text in axes.get_xticklabels()]
    assert "[U+732B] (cat)" in drawn and "кошка" in drawn and r"naïve \$x\$ & 50% #1" in drawn
    assert CAT in evidence.tables["per_class"].rows[0][0]
