"""The one exception that reaches the user as a single line."""

from __future__ import annotations


class StudyError(Exception):
    """Something the user can put right; the message says how, in one line.

    The tasks print it and leave with exit code 2; a traceback would be a defect.
    """


def printable(text: str) -> str:
    """The text as one line with control characters escaped, so that a hostile name cannot steer the terminal."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
