"""Templates in three formats: one vocabulary, everything escaped."""

from __future__ import annotations

import pytest
from jinja2 import Environment, UndefinedError

from report import environment

FORMATS = ("latex", "html", "typst")
VALUES = {"drawings": {}, "references": list, "kinds": {}}


def _render(kind: str, source: str, **values: object) -> str:
    return environment.sections(kind, values).from_string(source).render()


def test_the_three_macro_files_offer_the_same_macros() -> None:
    names = [environment.macro_names(environment.macros(kind, VALUES)) for kind in FORMATS]
    assert names[0] == names[1] == names[2]
    assert {"heading", "paragraph", "short_table", "picture", "citation", "ref", "emphasis"} <= names[0]


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
    emphasis = environment.macros(kind, VALUES).emphasis  # type: ignore[attr-defined]
    assert _render(kind, "{{ emphasis(name) }}", emphasis=emphasis, name="a_b") == expected


def test_latex_delimiters_are_not_those_of_sections() -> None:
    assert environment.LATEX_DELIMITERS["variable_start_string"] != Environment().variable_start_string
