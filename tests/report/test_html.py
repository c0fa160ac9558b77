"""The page: whole in one file, and what a reader can do with it by mouse, touch and keyboard."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from analysis.evidence import Evidence
from report.build import render
from report.lookup import Lookup
from study.records import read_plan
from tests.evidence_samples import blank_drawings

BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu")


class _Loads(HTMLParser):
    """Collects what a browser would fetch by itself, all ids, and the links inside the page and out of it."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.inside: list[str] = []
        self.outside: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            address = value or ""
            if name in ("src", "srcset", "data", "poster") or (name == "href" and tag == "link"):
                self.loads.append(address)
            if name == "id":
                self.ids.append(address)
            if name == "href" and tag == "a" and address.startswith("#"):
                self.inside.append(address[1:])
            elif name == "href" and tag == "a":
                self.outside.add(address)


@pytest.fixture(scope="module")
def lookup(fabricated_study: Path, evidence: Evidence) -> Lookup:
    """What a complete study may say."""
    return Lookup(evidence, read_plan(fabricated_study))


@pytest.fixture(scope="module")
def page(lookup: Lookup) -> str:
    """Its page, with blank figures."""
    return render("html", lookup, blank_drawings(lookup.evidence))


@pytest.fixture(scope="module")
def parsed(page: str) -> _Loads:
    """What its tags say."""
    parser = _Loads()
    parser.feed(page)
    return parser


def _opened(page: str, folder: Path, script: str = "", width: int = 1280) -> str:
    """The page's document after a browser has opened it, and a reader has done what ``script`` says."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = page.replace("script-src '", f"script-src 'sha256-{digest}' '", 1)
    file = folder / "page.html"
    file.write_text(allowed.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    command = [*BROWSER, f"--user-data-dir={folder}", f"--window-size={width},900", "--dump-dom", file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_page_loads_nothing(page: str, parsed: _Loads) -> None:
    assert parsed.loads == []
    assert "@import" not in page and not re.search(r"url\((?!#)", page)


def test_policy_of_the_page_allows_its_own_script_alone(page: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'; base-uri 'none'" in page and f"script-src 'sha256-{digest}'\"" in page


def test_ids_are_unique_and_every_link_inside_the_page_leads_somewhere(parsed: _Loads) -> None:
    assert len(parsed.ids) == len(set(parsed.ids))
    assert parsed.inside and set(parsed.inside) <= set(parsed.ids)


def test_page_links_to_the_paper_in_other_forms(parsed: _Loads) -> None:
    assert {"report.pdf", "latex.zip", "provenance.json"} <= parsed.outside


def test_every_reference_leads_back_to_each_of_its_citations(page: str) -> None:
    keys = set(re.findall(r'href="#ref-([^"]+)"', page))
    assert len(keys) > 20
    for key in keys:
        citations = re.findall(rf'<a id="(cite-{key}-\d+)" href="#ref-{key}">', page)
        (entry,) = re.findall(rf'<li id="ref-{key}">.*?</li>', page, re.DOTALL)
        assert re.findall(r'class="back" href="#([^"]+)"', entry) == citations


def test_tables_say_what_heads_each_row_and_group_of_rows(page: str) -> None:
    tables = re.findall(r"<table>(.*?)</table>", page, re.DOTALL)
    assert tables
    for body in (body for table in tables for body in re.findall(r"<tbody>(.*?)</tbody>", table, re.DOTALL)):
        heads = re.findall(r'<tr><th scope="(\w+)"', body)
        assert len(heads) == body.count("<tr>") and "rowgroup" not in heads[1:]


def test_tables_can_be_had_as_csv(page: str, lookup: Lookup) -> None:
    for name in ("deployment", "trust"):
        (link,) = re.findall(rf'download="{name}.csv" href="data:text/csv;charset=utf-8;base64,([^"]+)"', page)
        read = pd.read_csv(io.BytesIO(base64.b64decode(link)), dtype=str, keep_default_na=False)
        table = lookup.evidence.tables[name]
        assert tuple(map(tuple, read.to_numpy())) == table.rows


def test_figures_offer_their_numbers_as_csv(page: str, lookup: Lookup) -> None:
    (link,) = re.findall(r'download="levels.csv" href="data:text/csv;charset=utf-8;base64,([^"]+)"', page)
    read = pd.read_csv(io.BytesIO(base64.b64decode(link))).set_index("experiment")
    key = lookup.evidence.facts["best-key/level4"].value
    assert read.loc[key, "selected"] and read.loc[key, "accuracy"] == lookup.evidence.facts[f"accuracy/{key}"].value


@pytest.mark.needs_browser
def test_page_opens_in_a_browser_without_network(page: str, tmp_path: Path) -> None:
    opened = _opened(page, tmp_path)
    assert "Introduction" in opened and opened.count("<svg") >= 8


@pytest.mark.needs_browser
@pytest.mark.parametrize(
    "act",
    [
        "fact.click()",
        "fact.focus(); fact.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}))",
    ],
    ids=["click", "keyboard"],
)
def test_number_tells_where_it_comes_from(act: str, page: str, lookup: Lookup, tmp_path: Path) -> None:
    name, fact = next((name, fact) for name, fact in lookup.used.items() if len(fact.runs) == 1)
    script = f"const fact = document.querySelector('[data-fact=\"{name}\"]'); {act};"
    script += "if (document.activeElement.matches('#provenance:popover-open')) document.body.dataset.open = 'yes';"
    opened = _opened(page, tmp_path, script)
    assert 'data-open="yes"' in opened
    (told,) = re.findall(r'<div id="provenance".*?</div>', opened, re.DOTALL)
    assert all(word in told for word in (name, fact.function, fact.runs[0]))


@pytest.mark.needs_browser
def test_figure_enlarges(page: str, tmp_path: Path) -> None:
    script = "document.querySelector('[data-enlarge]').click()"
    opened = _opened(page, tmp_path, script)
    (dialog,) = re.findall(r'<dialog id="enlarged".*?</dialog>', opened, re.DOTALL)
    assert " open" in dialog.partition(">")[0] and "<svg" in dialog


@pytest.mark.needs_browser
def test_narrow_page_folds_its_contents_and_never_scrolls_sideways(page: str, tmp_path: Path) -> None:
    script = "document.body.dataset.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth"
    opened = _opened(page, tmp_path, script, width=500)  # Chromium's windows are no narrower
    assert 'data-wide="0"' in opened and '<details class="contents">' in opened
