"""A process that dies in the middle of its work, as tests of what it leaves behind play it."""

import contextlib
from collections.abc import Iterator

import pytest

from core import crash_points


class Death(BaseException):
    """The process is gone. No `except Exception` hears of it."""


@contextlib.contextmanager
def dying_at(point: str) -> Iterator[None]:
    """What is done in the block gets as far as `point`, one of `crash_points.POINTS`, and no further.

    Fails when it never gets there.
    """

    def die(name: str) -> None:
        if name == point:
            raise Death

    with crash_points.reached(die), pytest.raises(Death):
        yield
