"""How one run becomes a record, or a failure that can be told."""

from __future__ import annotations

import errno
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from study import files, machine, records
from study.errors import StoppingError, StudyError
from study.kinds import Context
from study.records import Failure, Outcome, Spec
from study.running.study import Job, Study

if TYPE_CHECKING:
    from study.training.trainer import Advance

UNCHANGED = "unchanged"
DISK_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class Finished:
    """What became of a run: one line and the seconds it took, or why it failed.

    ``lost`` says how its worker ended without a word, after which the run can be tried again.
    """

    name: str
    summary: str = ""
    seconds: float = 0.0
    failure: Failure | None = None
    lost: str = ""


def attempt(study: Study, job: Job, advance: Advance) -> Finished:
    """Execute one run and record it; what goes wrong is told. StoppingError for what would end every other run, too.

    ``advance`` is told how many more images were processed.
    """
    try:
        return Finished(job.name, *run_job(study, job, advance))
    except StoppingError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_REFUSES:
            where = error.filename or study.folder / job.name
            raise StoppingError(f"cannot write {where}: {error.strerror}; free space") from error
        return Finished(job.name, failure=Failure.of(error))


def run_job(study: Study, job: Job, advance: Advance) -> tuple[str, float]:
    """Execute one run and record it, unless it is done; returns a one-line summary and the seconds it took.

    ``advance`` is told how many more images were processed.
    """
    folder = study.folder / job.name
    (folder / records.FAILED).unlink(missing_ok=True)
    spec = _spec(study, job)
    if records.current_run(study.folder, spec):  # what it builds on may have been redone to the same result
        return UNCHANGED, 0.0
    told = study.options
    context = Context(study.dataset, study.machine, study.folder, folder, job.seed, advance, told.data, told.ood)
    if job.experiment.reads_ood and spec.ood != (context.ood.fingerprint if context.ood else ""):
        raise StoppingError("the out-of-distribution images changed under the study; run it again")
    if not make_room(study.folder, spec):
        records.write_spec(folder, spec)
    machine.reset_peak_memory(study.machine)
    begun = time.perf_counter()
    outcome = job.experiment.carry_out(context)
    seconds = time.perf_counter() - begun + outcome.durations.get("earlier", 0.0)
    outcome.durations["total"] = seconds
    requested = job.experiment.trained.recipe.precision if job.experiment.trained else "float32"
    where = machine.environment(study.machine, study.machine.precision(requested))
    peak = {"peak_memory_bytes": machine.peak_memory_bytes(study.machine)}
    files.write_json(folder / records.ENVIRONMENT, where | peak)
    records.finish(folder, outcome)
    return _summary(outcome), seconds


def _spec(study: Study, job: Job) -> Spec:
    """What the run is made of, now that what it needs is complete."""
    inputs = {name: records.load_run(study.folder / name) for name in job.needs}
    spec = study.plan.spec(job.experiment, job.seed, inputs)
    assert spec is not None, "every input was loaded"
    return spec


def _summary(outcome: Outcome) -> str:
    if "skipped" in outcome.metrics:
        return f"skipped: {outcome.metrics['skipped']}"
    accuracy = outcome.metrics.get("test_accuracy")
    return "done" if accuracy is None else f"test accuracy {100 * accuracy:.2f} %"


def make_room(study: Path, spec: Spec) -> bool:
    """Set aside whatever stands in the run's folder, unless it is an interrupted run of the same spec: whether it is.

    That run's spec.json stays, too, as its checkpoint belongs to it; it may have been called otherwise.
    """
    folder = study / spec.name
    if not folder.exists() or not any(folder.iterdir()):
        return False
    if _interrupted(folder, spec):
        return True
    aside = study / records.SUPERSEDED / f"{spec.name}-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9:09d}"
    aside.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder, aside)
    return False


def _interrupted(folder: Path, spec: Spec) -> bool:
    try:
        if (checkpoint := folder / records.CHECKPOINT).is_file():
            files.read_sealed(checkpoint, files.owner(folder / records.SPEC))
        return records.read_spec(folder) == spec and not (folder / records.RESULT).exists()
    except StudyError:
        return False
