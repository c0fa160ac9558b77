from __future__ import annotations

from pathlib import Path

import pytest

from study.data.datasets import Dataset
from study.machine import Machine
from tests.study.kinds.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path, digits: Dataset, cpu: Machine) -> Workshop:
    """An empty study on the session's digits."""
    return Workshop(tmp_path, digits, cpu)
