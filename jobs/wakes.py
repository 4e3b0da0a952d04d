"""Waking a lane at the moment its next task falls due.

The Sentinel looks once a second, which is enough for a task that stands alone. What was put off for a tenth of one,
as messages behind a provider's rate are, would come a second late each time, and then all together.
"""

import threading
from datetime import timedelta

from core import queue

SOON = timedelta(seconds=1.5)  # as far ahead as a worker keeps a moment itself: beyond the Sentinel's next look


class Wake:
    """A lane's next wake-up in this process, at most one; what it wakes looks for the one after."""

    def __init__(self, queue_name: str) -> None:
        self._queue = queue_name
        self._lock = threading.Lock()
        self._moment = 0.0
        self._timer: threading.Timer | None = None

    def at(self, moment: float, now: float) -> None:
        """Announce the lane's work at `moment`, in seconds of the clock that reads `now`; not later than was asked."""
        with self._lock:
            if self._timer is not None and self._timer.is_alive() and now < self._moment <= moment:
                return
            if self._timer is not None:
                self._timer.cancel()
            self._moment = moment
            self._timer = threading.Timer(max(0.0, moment - now), queue.announce_work, [self._queue])
            self._timer.daemon = True
            self._timer.start()
