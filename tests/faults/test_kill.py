from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POINTS = {"processes": (12, 0), "ray": (4, 4)}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes in Linux's /proc")
@pytest.mark.parametrize("executor", ["processes", pytest.param("ray", marks=pytest.mark.needs_ray)])
def test_a_study_that_was_killed_goes_on_to_the_same_result(executor: str) -> None:
    """A few points of the many that `python -m tests.faults.kill` tries; in a process of its own, as it forks."""
    points, on_nodes = map(str, POINTS[executor])
    command = [sys.executable, "-m", "tests.faults.kill", "--points", points, "--on-nodes", on_nodes]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\n| ") == int(points)
