"""What a machine of a cluster does: say what it is, and carry out runs.

Nothing heavy is imported before it is needed, as every process of the cluster imports this.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.errors import StudyError

if TYPE_CHECKING:
    from study.running.recording import Finished
    from study.running.study import Job, Study

SAY_SECONDS = 0.5  # between two words of a run about its progress


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

    refusal = ""
    try:
        order.study.machine  # noqa: B018 - refuses a device that is not there
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
        self.seen = Counter[str]()

    def leave(self, name: str, images: int) -> None:
        """A run has processed so many more images."""
        self.seen[name] += images

    def take(self) -> dict[str, int]:
        """Images processed since the last time, by run."""
        taken, self.seen = dict(self.seen), Counter()
        return taken


@dataclass
class Told:
    """Passes a run's progress on to a mailbox, now and then."""

    mailbox: Any
    name: str
    images: int = 0
    last: float = field(default_factory=time.monotonic)

    def __call__(self, images: int) -> None:
        """So many more images are processed."""
        self.images += images
        if time.monotonic() - self.last >= SAY_SECONDS:
            self.mailbox.leave.remote(self.name, self.images)
            self.images, self.last = 0, time.monotonic()


def carry_out(order: Order, job: Job, mailbox: Any) -> Finished | StudyError:  # noqa: ANN401 - an actor's handle
    """Carry out a run in a process of this machine; returned, not raised, is what ends the study."""
    _see_only_what_is_asked_for(order)
    import torch
    from filelock import FileLock

    from study.machine import available_threads
    from study.running.recording import attempt

    torch.set_num_threads(available_threads() if job.experiment.alone else order.threads)
    study = _Kept.studies.setdefault(order.token, order.study)
    lock = study.folder / ".locks" / job.name.replace("/", "_")
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock):  # the process of a study that was killed may need a moment to end
        try:
            return attempt(study, job, Told(mailbox, job.name))
        except StudyError as error:
            return error


class _Kept:
    """What a process keeps from run to run: studies with their images in memory, by token."""

    studies: dict[str, Study] = {}


def _see_only_what_is_asked_for(order: Order) -> None:
    """Hide GPUs from a study of the CPU; Ray shows all of them to whoever asks for none."""
    if order.study.options.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
