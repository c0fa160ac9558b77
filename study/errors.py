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


def printable(text: str) -> str:
    """The text as one line with control characters escaped, so that a hostile name cannot steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
