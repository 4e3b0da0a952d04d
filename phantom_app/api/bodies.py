"""Bodies of requests: one reader for all routes, which holds no more of one in memory, and for no longer, than it may.

Plain ASGI, because the webhooks' hot path reads with it too.
"""

import asyncio
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from core.errors import PhantomError, TooLargeError

SECONDS = 10.0  # for all of a body: programs send it at once, and who lets it drip holds memory and a connection
LOOK_SECONDS = 0.5  # how exactly that is kept


class TooSlowError(PhantomError):
    """The body did not come in time; nothing is known of what it said."""

    status, code, title = 408, "too_slow", "The body took too long"


class _Reads:
    """Ends reads of bodies that last longer than they may, by up to `LOOK_SECONDS` more.

    One timer for all of them: `asyncio.timeout` for each would cost ten times as much as reading.
    """

    def __init__(self) -> None:
        self._until: dict[asyncio.Task[Any], float] = {}
        self._over: set[asyncio.Task[Any]] = set()
        self._watched_by: asyncio.AbstractEventLoop | None = None

    def begin(self, task: asyncio.Task[Any], seconds: float) -> None:
        loop = task.get_loop()
        self._until[task] = loop.time() + seconds
        if self._watched_by is not loop:
            self._watched_by = loop
            loop.call_later(LOOK_SECONDS, self._look, loop)

    def end(self, task: asyncio.Task[Any]) -> None:
        self._until.pop(task, None)
        self._over.discard(task)

    def is_over(self, task: asyncio.Task[Any]) -> bool:
        return task in self._over

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, until in self._until.items():
            if until <= now and task not in self._over:
                self._over.add(task)
                task.cancel()
        if self._until:
            loop.call_later(LOOK_SECONDS, self._look, loop)
        else:
            self._watched_by = None


_reads = _Reads()


async def read(receive: Receive, announced: bytes, longest: int, seconds: float | None = None) -> bytes:
    """The raw body of at most `longest` bytes, in at most `seconds` (None: `SECONDS`).

    `announced` is the Content-Length as it came: what says of itself that it is too long is not read. Raises
    `TooLargeError`, `TooSlowError`, and Starlette's `ClientDisconnect` when the sender went away before its end.
    """
    if announced.isdigit() and (len(announced) > 12 or int(announced) > longest):
        raise _too_large(longest)
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a body is read in a task")
    _reads.begin(task, SECONDS if seconds is None else seconds)
    try:
        chunk, more = await _chunk(receive)
        if not more and len(chunk) <= longest:
            return chunk  # as nearly all of them come
        parts = bytearray(chunk)
        while more and len(parts) <= longest:
            chunk, more = await _chunk(receive)
            parts += chunk
    except asyncio.CancelledError:
        if _reads.is_over(task) and not task.uncancel():
            raise TooSlowError from None
        raise
    finally:
        _reads.end(task)
    if len(parts) > longest:
        raise _too_large(longest)
    return bytes(parts)


async def _chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def _too_large(longest: int) -> TooLargeError:
    size = f"{longest >> 20} MB" if longest >= 1 << 20 else f"{longest >> 10} kB"
    return TooLargeError(f"It may have {size} at most.")
