"""The time between being told to stop and stopping, in which a balancer finds out that it should send nobody here.

At SIGTERM every worker says so at `/health/ready` at once, goes on answering for DRAIN_SECONDS, and then takes no new
connection, finishes what it has begun, and ends. A second signal cuts the wait short.
"""

import mmap
import threading
from collections.abc import Callable

# Shared with the workers, which are forked after this module was imported; a byte is written and read at once.
_told = mmap.mmap(-1, 1)


def begin() -> None:
    """From now on no process of this server is ready."""
    _told[0] = 1


def has_begun() -> bool:
    """Whether this server was told to stop."""
    return _told[0] == 1


def delayed(stop: Callable[[], object], seconds: float) -> Callable[..., None]:
    """A signal handler that says goodbye first and calls `stop` after `seconds`, or at the second signal."""

    def on_signal(*_: object) -> None:
        again = has_begun()
        begin()
        if again or not seconds:
            stop()
            return
        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()

    return on_signal
