"""The small study, complete, and a copy of it to be harmed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import small


@pytest.fixture(scope="session", autouse=True)
def _designed() -> Iterator[None]:
    with small.designed():
        yield


@pytest.fixture(scope="session")
def whole(_designed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that holds the small study, complete; treat it as read-only."""
    runs = tmp_path_factory.mktemp("small")
    lines, carried_out = small.run(runs)
    assert tuple(carried_out) == small.NAMES
    return runs


@pytest.fixture
def runs(whole: Path, tmp_path: Path) -> Path:
    """A copy to be harmed."""
    return shutil.copytree(whole, tmp_path / "runs")
