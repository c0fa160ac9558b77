"""Each figure drawn once, saved as SVG (HTML, Typst) and PDF (LaTeX), byte-identical on every run."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from analysis.evidence import Figure
from report.escaping import slug

ANONYMOUS = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # nothing that names the day or an outside address
ID = re.compile(r'(\bid="|url\(#|href="#)')
PIXELS = 220  # dots per inch of photographs inside vector figures


@dataclass(frozen=True)
class Drawing:
    """One drawn figure: ``svg`` text without prologue, ``pdf`` bytes."""

    slug: str
    svg: str
    pdf: bytes

    @property
    def inline(self) -> Markup:
        """The SVG for an HTML page that holds other figures: ids unique, width left to the page."""
        head, end, body = self.svg.partition(">")
        scaled = re.sub(r'\b(?:width|height)="[^"]*" ?', "", head) + end + body
        return Markup(ID.sub(rf"\g<1>{self.slug}-", scaled))


class Drawings(dict[str, Drawing]):
    """The drawings by name, each made when it is first asked for."""

    def __init__(self, figures: Mapping[str, Figure]) -> None:
        """Draw none of the figures yet."""
        super().__init__()
        self.figures = figures

    def __missing__(self, name: str) -> Drawing:
        self[name] = draw(self.figures[name])
        return self[name]


def draw(figure: Figure) -> Drawing:
    """Draw one figure without dates or random ids."""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": figure.name, "svg.fonttype": "path"}):
        canvas = figure.draw()
        stored = io.BytesIO()
        canvas.savefig(stored, format="svg", metadata=ANONYMOUS, dpi=PIXELS)
    svg = "".join(stored.getvalue().decode().partition("<svg")[1:])  # without the XML prologue
    return Drawing(slug(figure.name), svg, to_pdf(svg))


def to_pdf(svg: str) -> bytes:
    """The drawing as a one-page PDF of its own size; ten times faster than letting matplotlib draw it again."""
    import typst

    page = '#set document(date: none)\n#set page(width: auto, height: auto, margin: 0pt)\n#image("drawing.svg")\n'
    files = {"main.typ": page.encode(), "drawing.svg": svg.encode()}
    return typst.compile(files, ignore_system_fonts=True)  # type: ignore[call-overload]  # its stubs do not know of several files
