"""Waiting in tests for what another process does, and not for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")
PATIENCE = 300.0


def until(ask: Callable[[], Answer]) -> Answer:
    """The first answer that is true."""
    deadline = time.monotonic() + PATIENCE
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"in {PATIENCE:.0f} s there was no answer"
    return answer
