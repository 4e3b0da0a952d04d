"""Ending a handler that takes too long, or that a stopping worker cannot wait for: SIGALRM in the main thread."""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType


class TaskTimeout(BaseException):
    """A task ran longer than its kind may. Not an `Exception`: no handler or vendor library may swallow it."""


class TaskInterrupted(BaseException):
    """The worker stops and its grace is over: the task is given back."""


class Alarm:
    """One process has one alarm. Handlers must bear being cut off anywhere: a kill does the same to them."""

    def __init__(self) -> None:
        self._armed = False
        self._hurried = False
        self._until: float | None = None  # of `time.monotonic`: when the process stops waiting for its tasks

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Raise `TaskTimeout` in the block after `seconds`. Main thread only; a former timer goes on afterwards."""
        started = time.monotonic()
        former_handler = signal.signal(signal.SIGALRM, self._ring)
        former_delay, former_interval = signal.setitimer(signal.ITIMER_REAL, seconds)
        self._armed, self._hurried = True, False
        try:
            self._shorten()  # the signal may have come before: while the handler was imported, say
            yield
        finally:
            self._armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, former_handler)
            if former_delay:
                left = max(former_delay - (time.monotonic() - started), 0.001)
                signal.setitimer(signal.ITIMER_REAL, left, former_interval)

    def hurry(self, grace: float) -> None:
        """The running task, or the one that is about to run, has `grace` seconds left, then `TaskInterrupted`.

        Fit to be called from a signal handler.
        """
        self._until = time.monotonic() + grace
        if self._armed:
            self._shorten()

    def _shorten(self) -> None:
        if self._until is None or self._hurried:
            return
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        rest = max(self._until - time.monotonic(), 0.001)
        if rest < left:
            self._hurried = True
            signal.setitimer(signal.ITIMER_REAL, rest)

    def _ring(self, _signal: int, _frame: FrameType | None) -> None:
        if self._armed:
            self._armed = False
            raise TaskInterrupted if self._hurried else TaskTimeout
