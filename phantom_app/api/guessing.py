"""Links that lead nowhere: an address that asks for many of them gets 429 instead of 404.

Genuine links of the same address go on working, because a whole company's mail filter, or an office, is one address.
The count is a process's own: nobody guesses 128 random bits, so this saves work and log lines, no secret.
"""

import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from phantom_app.api.requests import client_address
from phantom_app.limits import Bucket

MISSES, MISSES_A_SECOND = 60, 0.2
RETRY_AFTER_SECONDS = 60
_ADDRESSES = 10_000


class Misses:
    """How many unknown links each address may still ask for."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._buckets: dict[str, Bucket] = {}

    def allow(self, address: str) -> bool:
        """Count a miss of `address`; False when it had too many."""
        with self._lock:
            bucket = self._buckets.get(address)
            if bucket is None:
                if len(self._buckets) >= _ADDRESSES:
                    self._buckets.clear()
                bucket = self._buckets[address] = Bucket(MISSES_A_SECOND, MISSES, self._clock)
            return bucket.take()

    def forget(self) -> None:
        """Begin anew; for tests."""
        with self._lock:
            self._buckets.clear()


misses = Misses()


class Guarded(APIRoute):
    """A route whose 404s are counted; the page stays the same, whatever was wrong with the link."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def counted(request: Request) -> Response:
            response: Response = await answer(request)
            if response.status_code == 404 and not misses.allow(client_address(request)):
                response.status_code = 429
                response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
            return response

        return counted
