"""Waiting for something to become true, with a deadline: what tests use instead of sleeping."""

import select
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")
_LOOK_EVERY = 0.02


def wait_until(condition: Callable[[], Found | None], *, timeout: float = 15.0, what: str = "") -> Found:
    """The first true value `condition` returns. Raises `AssertionError` saying `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what or getattr(condition, '__name__', condition)}")
        select.select([], [], [], _LOOK_EVERY)  # gives the processor away until the next look
