"""References cited by author and year, and listed in HTML."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from report.bibliography import Bibliography, Work
from report.environment import TEMPLATES
from study.data import sources
from study.data.descriptions import shipped
from study.errors import StudyError


def test_three_authors_shorten_to_the_first_and_two_do_not() -> None:
    works = Bibliography()
    assert works.cite("he2016").authors == "He et al."
    assert works.cite("loshchilov2017").authors == "Loshchilov and Hutter"
    assert works.cite("holm1979") == Work("holm1979", "Holm", "1979")


def test_unknown_work_is_a_clear_error() -> None:
    with pytest.raises(StudyError, match="nobody1900"):
        Bibliography().cite("nobody1900")


def test_no_two_works_share_authors_and_year() -> None:
    works = Bibliography()
    cited = [works.cite(key) for key in works.works.entries]
    labels = Counter((work.authors, work.year) for work in cited)
    assert max(labels.values()) == 1


def test_html_lists_the_cited_works_alone_in_order() -> None:
    listed = Bibliography(cited={"wilson1927", "he2016"}).in_html()
    assert [key for key, _ in listed] == ["he2016", "wilson1927"]
    assert "Deep residual learning" in listed[0][1]


def test_bibliography_holds_exactly_what_the_sections_cite() -> None:
    sections = "".join(path.read_text(encoding="utf-8") for path in (TEMPLATES / "sections").iterdir())
    calls = re.findall(r"citet?\(([^)]*)\)", sections)
    cited = {key for call in calls for key in re.findall(r'"([^"]+)"', call)}
    described = {shipped(name).citation for name in sources.names()} - {""}
    assert set(Bibliography().works.entries) == cited | described
