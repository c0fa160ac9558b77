"""Jinja for three formats: sections are plain prose with macro calls, macro files say how each format looks.

Sections use Jinja's usual delimiters; their literal text is escaped for the format when the template is
compiled, every value when it is printed. Macro files hold the format's own markup, so the LaTeX one has
delimiters that LaTeX never uses.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Macro
from markupsafe import Markup, escape

from analysis.evidence import Table
from report import escaping, marks

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
Macros = dict[str, Callable[..., Markup]]
ESCAPES: dict[str, Callable[[str], Markup]] = {"latex": escaping.latex, "html": escape, "typst": escaping.typst}
LATEX_DELIMITERS = {
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "block_start_string": "<%",
    "block_end_string": "%>",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
}
LINE = 92  # characters of table text that fit a line
GAP = 2  # characters between two columns
LONG = 18  # a column of shorter texts gains nothing by wrapping
WIDEST = 40  # characters that a wrapping column may claim
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


class EscapeProse(Extension):
    """Escapes a section's literal text for the format the environment belongs to."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """Yield the tokens with the text of each data token escaped."""
        escaped = self.environment.escape  # type: ignore[attr-defined]
        for token in stream:
            prose = token.type == "data"
            yield Token(token.lineno, token.type, str(escaped(token.value))) if prose else token


def page_script() -> dict[str, Markup]:
    """The page's script, and the digest by which the page's security policy lets this one run and no other."""
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"script": Markup(script), "script_digest": Markup(f"sha256-{digest}")}


def printed(value: object, kind: str) -> Markup:
    """A value as the format prints it, marked if it has a name; what is markup already stays."""
    if isinstance(value, marks.Named):
        return marks.around(printed(str(value), kind), value.name)
    return value if isinstance(value, Markup) else ESCAPES[kind](escaping.unbroken(escaping.plain(str(value))))


def _environment(kind: str, **options: Any) -> Environment:  # noqa: ANN401 - Jinja's own options
    """autoescape makes macros return Markup; finalize escapes before Jinja's HTML escaping could."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=partial(printed, kind=kind),
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )


def macros(kind: str, values: Mapping[str, Any]) -> Macros:
    """The macros of ``latex``, ``html`` or ``typst`` by name; ``values`` are names the macro file may use."""
    environment = _environment(kind, **(LATEX_DELIMITERS if kind == "latex" else {}))
    environment.filters |= {
        "slug": escaping.slug,
        "string": escaping.typst_string,
        "tex": _tex_in_html,
        "breakable": _breakable,
        "csv_link": csv_link,
        "wrapping_columns": wrapping_columns,
    }
    exported = vars(environment.get_template(f"{kind}.jinja", globals=dict(values)).module)
    return {name: exported[name] for name in exported if isinstance(exported[name], Macro)}


def _tex_in_html(text: str) -> Markup:
    """What stands in a page to be copied into a TeX file."""
    return escape(str(escaping.latex(escaping.plain(text))))


def _breakable(text: str) -> str:
    broken = escaping.breakable(text)
    return marks.Named(broken, text.name) if isinstance(text, marks.Named) else broken


def page(template: str, **values: object) -> str:
    """An HTML page that is not the paper, every value escaped."""
    return _environment("html").get_template(template).render(values)


def sections(kind: str, values: Mapping[str, Any]) -> Environment:
    """The environment sections are rendered in; ``values`` are what their prose may call."""
    environment = _environment(kind)
    environment.filters["in_words"] = in_words
    environment.escape = ESCAPES[kind]  # type: ignore[attr-defined]
    environment.add_extension(EscapeProse)
    environment.globals.update(values)
    return environment


def in_words(number: int) -> str:
    """A count as prose has it: in words up to twelve."""
    return WORDS[number] if number < len(WORDS) else str(number)


def csv_link(data: Table | Mapping[str, Sequence[object]]) -> str:
    """A ``data:`` address that holds a table, or a figure's numbers by column, as CSV."""
    import pandas as pd

    if isinstance(data, Table):
        rows = [[*row, *[""] * (len(data.header) - len(row))] for row in data.rows]  # a heading within has one cell
        frame = pd.DataFrame(rows, columns=data.header)
    else:
        frame = pd.DataFrame(data)
    return f"data:text/csv;charset=utf-8;base64,{b64encode(frame.to_csv(index=False).encode()).decode()}"


def wrapping_columns(table: Table, long: bool = False) -> dict[int, float]:
    """The text columns whose cells wrap, each with its share of the table's width, judged by their longest cells.

    None where the table fits a line or is dense, unless it is ``long`` and may break across pages, in smaller type.
    """
    full = (row for row in table.rows if len(row) > 1)
    widths = [max(map(len, column)) for column in zip(table.header, *full, strict=True)]
    if not long and (table.dense or sum(widths) + GAP * (len(widths) - 1) <= LINE):
        return {}
    claims = [min(width, WIDEST) for width in widths]
    texts = [number for number, align in enumerate(table.align) if align == "l" and claims[number] > LONG]
    return {number: claims[number] / sum(claims) for number in texts}
