"""What reaches the user as a single line."""

from __future__ import annotations

from typing import ClassVar


class StudyError(Exception):
    """Something the user can put right; the message says how, in one line.

    The tasks print it and leave with its exit code; a traceback would be a defect.
    """

    exit_code: ClassVar[int] = 2


class StoppingError(StudyError):
    """What no other run would escape either, a full disk or images that changed: it ends the study, not just a run."""


class RunsFailed(StudyError):
    """The study went on as far as it could, but without runs that failed."""

    exit_code = 1
