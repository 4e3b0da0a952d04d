"""Storing together what comes together: one commit for all that arrived while the one before was under way.

For webhooks off the hot path. Ten thousand replies at once would otherwise want a connection each; and Twilio, unlike
Stripe, does not send again what was not taken, so a database that is away for a moment is waited for.
"""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from fastapi.concurrency import run_in_threadpool
from sqlalchemy.exc import OperationalError

from core.errors import UnavailableError

Item = TypeVar("Item")
MOST = 200
MOST_WAITING = 20_000
PAUSES = (0.1, 0.5, 1.0, 2.0, 3.0)  # seconds between tries; a provider waits for fifteen


class Gathering(Generic[Item]):
    """`commit` stores a batch in one transaction and says of each item whether it was new."""

    def __init__(self, commit: Callable[[Sequence[Item]], list[bool]]) -> None:
        self._commit = commit
        self._waiting: list[tuple[Item, asyncio.Future[bool]]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None

    async def store(self, item: Item) -> bool:
        """Whether it was new, once it is committed. Raises `UnavailableError` when it could not be."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # another loop's futures are nobody's any more
            self._loop, self._waiting, self._work = loop, [], None
        if len(self._waiting) >= MOST_WAITING:
            raise UnavailableError
        stored: asyncio.Future[bool] = loop.create_future()
        self._waiting.append((item, stored))
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._drain())
        return await stored

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                answers = await self._committed([item for item, _ in batch])
            except BaseException as error:
                _answer(batch, error)
                if not isinstance(error, Exception):  # the process or its loop ends
                    raise  # whoever waits behind did nothing wrong, and has their turn after any other error
            else:
                for (_, stored), new in zip(batch, answers, strict=True):
                    if not stored.done():
                        stored.set_result(new)

    async def _committed(self, items: Sequence[Item]) -> list[bool]:
        for pause in itertools.chain(PAUSES, (None,)):
            try:
                return await run_in_threadpool(self._commit, items)
            except OperationalError:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")


def _answer(batch: Sequence[tuple[object, asyncio.Future[bool]]], error: BaseException) -> None:
    for _, stored in batch:
        if not stored.done():
            stored.set_exception(UnavailableError() if isinstance(error, OperationalError) else error)
