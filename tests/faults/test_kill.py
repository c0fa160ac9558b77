from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED = {"identical", "at most one epoch lost, then identical"}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in Linux's /proc")
def test_a_study_that_was_killed_goes_on_to_the_same_result() -> None:
    """A few points of the many that `python -m tests.faults.kill` tries; in a process of its own, as it forks."""
    command = [sys.executable, "-m", "tests.faults.kill", "--points", "12"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outcomes = [line.split("|")[-2].strip() for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(outcomes) == 12 and set(outcomes) <= ALLOWED, done.stdout
