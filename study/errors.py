"""The one exception that reaches the user as a single line."""

from __future__ import annotations


class StudyError(Exception):
    """Something the user can put right; the message says how, in one line.

    The tasks print it and leave with exit code 2; a traceback would be a defect.
    """
