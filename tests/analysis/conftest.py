"""Fabricated studies that the analysis' tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from analysis.evidence import Fact
from analysis.results import Results, results_of
from analysis.view import view_study
from tests.fabricate import fabricate


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Statistics of a complete study of one seed on 300 images."""
    return results_of(view_study(fabricate(tmp_path_factory.mktemp("one-seed"), images=300)))


@pytest.fixture(scope="session")
def two_seeds_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete study of two seeds on 100 images; treat it as read-only."""
    return fabricate(tmp_path_factory.mktemp("two-seeds"), seeds=(0, 1), images=100)


@pytest.fixture(scope="session")
def two_seeds(two_seeds_study: Path) -> Results:
    """Its statistics."""
    return results_of(view_study(two_seeds_study))


@pytest.fixture(scope="session")
def three_seeds(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Statistics of a complete study of three seeds on 100 images."""
    return results_of(view_study(fabricate(tmp_path_factory.mktemp("three-seeds"), seeds=(0, 1, 2), images=100)))


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Statistics of a study that has not run yet."""
    return results_of(view_study(fabricate(tmp_path_factory.mktemp("empty"), seeds=())))


@pytest.fixture
def fabricated(tmp_path: Path) -> Callable[..., Results]:
    """Statistics of a study of one's own."""
    return lambda **options: results_of(view_study(fabricate(tmp_path, **options)))


@pytest.fixture(scope="session")
def named() -> Callable[[Iterable[Fact]], dict[str, Fact]]:
    """Facts by name."""
    return lambda facts: {fact.name: fact for fact in facts}
