"""What a machine of a cluster does: say what it is, and carry out runs.

Nothing heavy is imported before it is needed, as every process of the cluster imports this.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from filelock import BaseFileLock, FileLock

from study.errors import StudyError

if TYPE_CHECKING:
    from study.running.recording import Finished
    from study.running.study import Job, Study

Actor: TypeAlias = Any  # a handle of Ray's
SAY_SECONDS = 0.5  # between two words of a run about its progress
_STUDIES: dict[str, Study] = {}  # what a process keeps from run to run, with their images in memory, by token


@dataclass(frozen=True)
class Order:
    """What all runs of a study have in common; ``token`` tells it from the studies before it.

    The study's options are decided and its folder is absolute. A run has so many ``threads``, one that needs the
    machine for itself all.
    """

    token: str
    study: Study
    threads: int

    @property
    def token_file(self) -> Path:
        """A file that a machine sees when it shares the study's folder."""
        return self.study.folder / f".cluster-{self.token}"


@dataclass(frozen=True)
class Report:
    """What a machine is: its name and processor, the versions and the digest of the code that it would run.

    ``free_memory`` is in bytes, ``refusal`` says why it cannot compute as the study asks, ``shared`` whether it sees
    the study's folder.
    """

    name: str
    processor: str
    versions: Mapping[str, str]
    code: str
    free_memory: float
    shared: bool
    refusal: str = ""


def inspect(order: Order) -> Report:
    """What the machine that calls this is."""
    _see_only_what_is_asked_for(order)
    from study import machine
    from study.running.preflight import require_weights

    refusal = ""
    try:
        order.study.machine  # noqa: B018 - refuses a device that is not there
        require_weights(order.study.chosen)
    except StudyError as error:
        refusal = str(error)
    return Report(
        name=platform.node(),
        processor=machine.processor(),
        versions=machine.versions(),
        code=code_digest(),
        free_memory=machine.free_memory_bytes(),
        shared=order.token_file.exists(),
        refusal=refusal,
    )


@cache
def code_digest() -> str:
    """SHA-256 (hex) over the files of the package ``study``."""
    import study

    root = Path(study.__file__).parent
    sha = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        sha.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return sha.hexdigest()


class Mailbox:
    """Where runs leave how many images they have processed, until the study asks."""

    def __init__(self) -> None:
        self.seen = Counter[tuple[str, bool]]()

    def leave(self, name: str, images: int, resumed: bool) -> None:
        """A run has processed so many more images."""
        self.seen[name, resumed] += images

    def take(self) -> dict[tuple[str, bool], int]:
        """Images processed since the last time, by run and whether before it was interrupted."""
        taken, self.seen = dict(self.seen), Counter()
        return taken


@dataclass
class Told:
    """Passes a run's progress on to a mailbox, now and then; at once, from where it is resumed."""

    mailbox: Actor
    name: str
    images: int = 0
    last: float = field(default_factory=time.monotonic)

    def __call__(self, images: int, resumed: bool = False) -> None:
        """So many more images are processed."""
        if resumed:
            self.mailbox.leave.remote(self.name, images, True)
            return
        self.images += images
        if time.monotonic() - self.last >= SAY_SECONDS:
            self.mailbox.leave.remote(self.name, self.images, False)
            self.images, self.last = 0, time.monotonic()


def receive_data(order: Order, archive: bytes) -> bool:
    """Keep the study's data on this machine; whether they are the study's."""
    from study.running import shipping

    shipping.put_data(archive, order.study)
    return has_data(order)


def carry_out(order: Order, job: Job, mailbox: Actor, inputs: bytes | None) -> tuple[Finished | StudyError, bytes]:
    """Carry out a run in a process of this machine.

    ``inputs`` is None where it sees the study's folder, else an archive of the runs that it builds on. Returned, not
    raised, is what ends the study; beside it, where the folder is not seen, the archive of the finished run.
    """
    _see_only_what_is_asked_for(order)
    import torch

    from study.machine import available_threads
    from study.running.recording import attempt

    torch.set_num_threads(available_threads() if job.experiment.alone else order.threads)
    try:
        study, told = _study(order), Told(mailbox, job.name)
        if inputs is not None:
            return _carry_out_apart(study, job, told, inputs)
        with _held(study.folder / ".locks" / job.name.replace("/", "_")):
            return attempt(study, job, told), b""
    except StudyError as error:
        return error, b""


def _carry_out_apart(study: Study, job: Job, told: Told, inputs: bytes) -> tuple[Finished | StudyError, bytes]:
    """Carry out a run in a folder of this machine that goes when it has ended."""
    from study import records
    from study.running import shipping
    from study.running.recording import Finished, attempt

    root = shipping.own_root(study, job.name)
    with _held(root.with_name(f".{root.name}.lock")):
        own = replace(study, folder=root)
        vars(own).update(dataset=study.dataset, machine=study.machine)  # which are in memory already
        try:
            shipping.put_records(inputs, root, job.needs)
            records.write_plan(root, study.plan)
            finished = attempt(own, job, told)
            record = b"" if finished.failure or finished.lost else shipping.pack_records(root, [job.name])
        except (StudyError, OSError) as error:  # this machine's disk is not the study's
            finished, record = Finished(job.name, lost=str(error)), b""
        shutil.rmtree(root, ignore_errors=True)
    return finished, record


def _held(lock: Path) -> BaseFileLock:
    """What a run holds while it is carried out: the process of a study that was killed may need a moment to end."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(lock)


def _study(order: Order) -> Study:
    """The study with its images in memory. StudyError when this machine does not have them."""
    from study.running import shipping

    if order.token not in _STUDIES:
        _STUDIES[order.token] = shipping.located(order.study)
    return _STUDIES[order.token]


def has_data(order: Order) -> bool:
    """Whether this machine has the study's images, which it decodes if need be and keeps in memory."""
    try:
        return bool(_study(order))
    except StudyError:
        return False


def _see_only_what_is_asked_for(order: Order) -> None:
    """Hide GPUs from a study of the CPU; Ray shows all of them to whoever asks for none."""
    if order.study.options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
