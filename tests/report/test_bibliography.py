"""References cited by author and year, and listed in HTML."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from report import bibliography
from report.environment import TEMPLATES
from study.errors import StudyError


def test_three_authors_shorten_to_the_first_and_two_do_not() -> None:
    works = bibliography.read()
    assert works.authors("he2016") == "He et al."
    assert works.authors("loshchilov2017") == "Loshchilov and Hutter"
    assert (works.authors("holm1979"), works.year("holm1979")) == ("Holm", "1979")


def test_unknown_work_is_a_clear_error() -> None:
    with pytest.raises(StudyError, match="nobody1900"):
        bibliography.read().authors("nobody1900")


def test_no_two_works_share_authors_and_year() -> None:
    works = bibliography.read()
    labels = Counter((works.authors(key), works.year(key)) for key in works.works.entries)
    assert max(labels.values()) == 1


def test_html_lists_the_cited_works_alone_in_order() -> None:
    works = bibliography.read()
    listed = bibliography.html_references(works.works, {"wilson1927", "he2016"})
    assert [reference.key for reference in listed] == ["he2016", "wilson1927"]
    assert "Deep residual learning" in listed[0].text


def test_bibliography_holds_exactly_what_the_sections_cite() -> None:
    sections = "".join(path.read_text(encoding="utf-8") for path in (TEMPLATES / "sections").iterdir())
    calls = re.findall(r"citet?\(([^)]*)\)", sections)
    cited = {key for call in calls for key in re.findall(r'"([^"]+)"', call)}
    assert set(bibliography.read().works.entries) == cited
