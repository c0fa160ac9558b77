"""Templates in three formats: one vocabulary, everything escaped."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError

from analysis.evidence import Table
from report import environment

FORMATS = ("latex", "html", "typst")
VALUES = {"drawings": {}, "references": list, "kinds": {}}


def _render(kind: str, source: str, **values: object) -> str:
    return environment.sections(kind, values).from_string(source).render()


def test_the_three_macro_files_offer_the_same_macros() -> None:
    names = [set(environment.macros(kind, VALUES)) for kind in FORMATS]
    assert names[0] == names[1] == names[2]
    assert {"heading", "paragraph", "tabular", "picture", "citation", "ref", "emphasis"} <= names[0]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("latex", r"5\% \& \#1"), ("html", "5% &amp; #1"), ("typst", r"5\% \& \#1")],
)
def test_literal_prose_and_values_are_escaped_alike(kind: str, expected: str) -> None:
    assert _render(kind, "5% & #1") == expected
    assert _render(kind, "{{ value }}", value="5% & #1") == expected


@pytest.mark.parametrize("kind", FORMATS)
def test_misspelt_variable_is_an_error(kind: str) -> None:
    with pytest.raises(UndefinedError, match="reslt"):
        _render(kind, "{{ reslt }}")


@pytest.mark.parametrize(
    ("kind", "expected"), [("latex", r"\emph{a\_b}"), ("html", "<em>a_b</em>"), ("typst", r"#emph[a\_b]")]
)
def test_a_macro_escapes_its_argument_once(kind: str, expected: str) -> None:
    emphasis = environment.macros(kind, VALUES)["emphasis"]
    assert _render(kind, "{{ emphasis(name) }}", emphasis=emphasis, name="a_b") == expected


def _table(align: str, *widths: int) -> Table:
    return Table("t", "", tuple("h" for _ in widths), (tuple("x" * width for width in widths),), align)


def test_a_table_that_fits_wraps_nothing() -> None:
    assert environment.wrapping_columns(_table("lr", 80, 10)) == {}


def test_a_table_one_character_too_wide_wraps_its_long_texts() -> None:
    assert environment.wrapping_columns(_table("llr", 31, 40, 18)) == {0: 31 / 89, 1: 40 / 89}
    assert environment.wrapping_columns(_table("llr", 18, 60, 11)) == {1: 40 / 69}


@pytest.mark.parametrize("align", ["rrr", "lrr"])
def test_numbers_and_short_texts_never_wrap(align: str) -> None:
    assert environment.wrapping_columns(_table(align, 18, 40, 40)) == {}


def test_a_table_across_pages_is_always_as_wide_as_the_page() -> None:
    assert environment.wrapping_columns(_table("lrll", 30, 5, 10, 500), long=True) == {0: 30 / 85, 3: 40 / 85}
    assert environment.wrapping_columns(_table("lr", 30, 10), long=True) == {0: 0.75}


def test_counts_are_words_up_to_twelve() -> None:
    assert [environment.in_words(number) for number in (1, 5, 12, 13)] == ["one", "five", "twelve", "13"]
