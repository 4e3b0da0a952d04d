"""What signs a webhook address: asked of the database once in a few seconds, however many webhooks come.

Anybody can post to an address that is nobody's. Such posts are asked for many in one query, are remembered apart and
hold no lock that anybody else waits for, so a STOP passes a crowd of them.
"""

import asyncio
import re
import time
import weakref
from collections.abc import Sequence
from typing import TypeVar

from fastapi.concurrency import run_in_threadpool

from core import db
from core.errors import NotFoundError
from models.messaging import Channel
from phantom_app.api.gathering import Gathering
from services.messaging.senders import service as senders
from services.messaging.senders.schemas import WebhookSecrets

SECONDS = 5.0
_REMEMBERED = 10_000  # of each kind
_TOKEN = re.compile(r"[A-Za-z0-9_-]{24}", re.ASCII)
Address = tuple[str, Channel]
What = TypeVar("What")


class SenderKeys:
    """Remembers for a moment what an address is signed with and, apart from that, that there is nothing behind one."""

    def __init__(self) -> None:
        self._known: dict[Address, tuple[float, WebhookSecrets]] = {}
        self._nothing: dict[Address, float] = {}
        self._locks: weakref.WeakValueDictionary[Address, asyncio.Lock] = weakref.WeakValueDictionary()
        self._doors: Gathering[Address] = Gathering(_are_there)

    async def of(self, token: str, channel: Channel) -> WebhookSecrets:
        """Raises `NotFoundError`, the same for an address that never was and for one without a secret."""
        key = (token, channel)
        if not _TOKEN.fullmatch(token) or self._is_nothing(key):
            raise NotFoundError
        found = self._fresh(key)
        if found is None:
            async with self._locks.setdefault(key, asyncio.Lock()):
                found = self._fresh(key) or await self._asked(key)
        if found is None:
            raise NotFoundError
        return found

    def forget(self) -> None:
        """Ask anew from now on."""
        self._known.clear()
        self._nothing.clear()

    def _fresh(self, key: Address) -> WebhookSecrets | None:
        found = self._known.get(key)
        return found[1] if found is not None and time.monotonic() < found[0] else None

    def _is_nothing(self, key: Address) -> bool:
        return time.monotonic() < self._nothing.get(key, 0.0)

    async def _asked(self, key: Address) -> WebhookSecrets | None:
        """What was genuine a moment ago is asked for by itself; anything else has to be there first."""
        if self._is_nothing(key):  # as somebody found out while we waited
            return None
        is_there = key in self._known or await self._doors.store(key)
        found = await run_in_threadpool(_look_up, *key) if is_there else None
        self._known.pop(key, None)
        self._nothing.pop(key, None)
        if found is None:
            _remember(self._nothing, key, time.monotonic() + SECONDS)
        else:
            _remember(self._known, key, (time.monotonic() + SECONDS, found))
        return found


def _remember(memory: dict[Address, What], key: Address, what: What) -> None:
    """Where there is no room left, the oldest goes."""
    if len(memory) >= _REMEMBERED:
        del memory[next(iter(memory))]
    memory[key] = what


def _are_there(keys: Sequence[Address]) -> list[bool]:
    with db.system_session() as session:
        there = senders.addresses_among(session, {token for token, _ in keys})
    return [there.get(token) == channel for token, channel in keys]


def _look_up(token: str, channel: Channel) -> WebhookSecrets | None:
    with db.system_session() as session:
        whose = senders.channel_of_address(session, token)
    if whose is None or whose[1] != channel:
        return None
    with db.tenant_session(whose[0]) as session:
        return senders.webhook_secrets(session, *whose)
