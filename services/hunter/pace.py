"""Keeps a hunt's requests under Stripe's rate limit: each 429 would be a request for nothing."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol


class Lister(Protocol):
    """The part of the Stripe client a hunt uses: one GET as plain dicts, without typed objects (12 × faster)."""

    @property
    def requests(self) -> int:
        """HTTP requests sent so far, retries included."""

    def raw_get(self, path: str, params: dict[str, Any]) -> Mapping[str, Any]:
        """GET `path`; raises the client's typed errors."""


BURST = 12
"""Calls that may follow each other at once: a small account's hunt. Stripe's buckets hold a second's worth, 25."""
_NOTICEABLE = 1e-6  # seconds; less is what adding up fractions leaves


class Pace:
    """`rate` calls a second in the long run, and no more than `BURST` saved up."""

    def __init__(
        self,
        rate: float,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval, self._sleep, self._monotonic = 1 / rate, sleep, monotonic
        self._free_at = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the next call may be made."""
        with self._lock:
            now = self._monotonic()
            turn = max(self._free_at, now - (BURST - 1) * self._interval)
            self._free_at = turn + self._interval
        if turn - now > _NOTICEABLE:
            self._sleep(turn - now)


class PacedLister:
    """A lister that takes its time."""

    def __init__(self, client: Lister, pace: Pace) -> None:
        self._client, self._pace = client, pace

    @property
    def requests(self) -> int:
        return self._client.requests

    def raw_get(self, path: str, params: dict[str, Any]) -> Mapping[str, Any]:
        """The client's answer, once it is this request's turn."""
        self._pace.wait()
        return self._client.raw_get(path, params)
