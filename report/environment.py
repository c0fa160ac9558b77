"""Jinja for three formats: sections are plain prose with macro calls, macro files say how each format looks.

Sections use Jinja's usual delimiters; their literal text is escaped for the format when the template is
compiled, every value when it is printed. Macro files hold the format's own markup, so the LaTeX one has
delimiters that LaTeX never uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.environment import TemplateModule
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Macro
from markupsafe import Markup

from report import escaping
from report.tables import wrapping_columns

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
ESCAPES: dict[str, Callable[[str], Markup]] = {
    "latex": escaping.latex,
    "html": escaping.html,
    "typst": escaping.typst,
}
LATEX_DELIMITERS = {
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "block_start_string": "<%",
    "block_end_string": "%>",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
}


class EscapeProse(Extension):
    """Escapes a section's literal text for the format the environment belongs to."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Yield the tokens with the text of each data token escaped."""
        escape = self.environment.escape  # type: ignore[attr-defined]
        for token in stream:
            prose = token.type == "data"
            yield Token(token.lineno, token.type, str(escape(token.value))) if prose else token


def _finalizer(escape: Callable[[str], Markup]) -> Callable[[object], Markup]:
    def finalize(value: object) -> Markup:
        return value if isinstance(value, Markup) else escape(escaping.unbroken(escaping.plain(str(value))))

    return finalize


def _environment(kind: str, **options: Any) -> Environment:  # noqa: ANN401 - Jinja's own options
    """autoescape makes macros return Markup; finalize escapes before Jinja's HTML escaping could."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_finalizer(ESCAPES[kind]),
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )


def macros(kind: str, values: Mapping[str, Any]) -> TemplateModule:
    """The macros of ``latex``, ``html`` or ``typst``; ``values`` are names the macro file may use."""
    environment = _environment(kind, **(LATEX_DELIMITERS if kind == "latex" else {}))
    environment.filters |= {
        "slug": lambda name: Markup(escaping.slug(name)),
        "string": escaping.typst_string,
        "breakable": escaping.breakable,
        "wrapping_columns": wrapping_columns,
    }
    return environment.get_template(f"{kind}.jinja", globals=dict(values)).module


def sections(kind: str, values: Mapping[str, Any]) -> Environment:
    """The environment sections are rendered in; ``values`` are what their prose may call."""
    environment = _environment(kind)
    environment.escape = ESCAPES[kind]  # type: ignore[attr-defined]
    environment.add_extension(EscapeProse)
    environment.globals.update(values)
    return environment


def macro_names(module: TemplateModule) -> set[str]:
    """Names of the macros a macro file exports."""
    return {name for name, value in vars(module).items() if isinstance(value, Macro) and name[0] != "_"}
