"""What can be known to fail before any work starts: weights that are not there, and memory that does not suffice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from study.errors import StudyError
from study.experiment import Experiment
from study.running.study import Job, Study

GIGABYTE = 1e9


def preflight(study: Study, jobs: Sequence[Job]) -> None:
    """StudyError, in one line that says what to do, when runs cannot succeed on this machine."""
    require_weights(job.experiment for job in jobs)
    if not study.options.address:  # whose nodes say what they have
        _require_memory(study, jobs)


def require_weights(experiments: Iterable[Experiment]) -> None:
    """StudyError, saying how to get them, when this machine lacks weights that the experiments start from."""
    trained = [experiment.trained for experiment in experiments]
    if names := {each.architecture.backbone for each in trained if each and each.architecture.pretrained}:
        from study.models import weights

        for name in sorted(names):
            weights.require(name)


def _require_memory(study: Study, jobs: Sequence[Job]) -> None:
    """The largest runs may go on side by side."""
    from study.machine import memory_bytes

    there = memory_bytes(study.machine)
    largest = sorted(jobs, key=lambda job: job.experiment.memory(study.scale), reverse=True)[: study.workers]
    needed = sum(job.experiment.memory(study.scale) for job in largest)
    if there is None or needed <= there:
        return
    fewer = "use --workers 1 or a smaller preset" if len(largest) > 1 else "use a smaller preset"
    raise StudyError(
        f"{largest[0].name} needs more memory than there is (at least {needed / GIGABYTE:.1f} GB for "
        f"{len(largest)} at a time, {there / GIGABYTE:.1f} GB here): {fewer}"
    )
