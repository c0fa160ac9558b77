"""What the analysis of a study costs as it grows: ``python -m tests.scaling 10 100 1000`` prints seconds and memory.

Studies of about so many runs are fabricated, with ``--images`` in the validation and in the test split, and read by a
process of their own each.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from analysis.assemble import assemble
from study.records import current_runs, read_plan
from tests.fabricate import experiments, fabricate


def fabricated(folder: Path, runs: int, images: int) -> Path:
    """A study of about so many runs: some experiments of one seed, or all of them with several."""
    every = experiments()
    return fabricate(folder, range(max(1, round(runs / len(every)))), images=images, planned=every[:runs])


def measured(study: Path) -> dict[str, float]:
    """Runs of a study, seconds of analysis by the clock and of the processor, and this process's peak memory in MB."""
    wall, processor = time.perf_counter(), time.process_time()
    assemble(study)
    took = {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"runs": len(current_runs(study, read_plan(study)))} | took | {"megabytes": peak}


def main() -> None:
    """Print a JSON line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--study", type=Path)
    arguments = parser.parse_args()
    if arguments.study:
        print(json.dumps(measured(arguments.study)))
    for size in arguments.sizes:
        with tempfile.TemporaryDirectory() as folder:
            study = fabricated(Path(folder), size, arguments.images)
            subprocess.run([sys.executable, "-m", "tests.scaling", "--study", str(study)], check=True)


if __name__ == "__main__":
    main()
