"""What signs a webhook address: asked of the database once in a few seconds, however many webhooks come."""

import asyncio
import time

from fastapi.concurrency import run_in_threadpool

from core import db
from core.errors import NotFoundError
from models.messaging import Channel
from services.messaging.senders import service as senders
from services.messaging.senders.schemas import WebhookSecrets

SECONDS = 5.0
_REMEMBERED = 1000


class SenderKeys:
    """Remembers for a moment what an address is signed with, and that there is nothing behind one."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Channel], tuple[float, WebhookSecrets | None]] = {}
        self._asking: asyncio.Lock | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def of(self, token: str, channel: Channel) -> WebhookSecrets:
        """Raises `NotFoundError`, the same for an address that never was and for one without a secret."""
        key = (token[:64], channel)
        found = self._fresh(key)
        if found is None:
            async with self._lock():
                found = self._fresh(key)
                if found is None:
                    found = (await run_in_threadpool(_look_up, token, channel),)
                    if len(self._known) >= _REMEMBERED:
                        self._known.clear()
                    self._known[key] = (time.monotonic() + SECONDS, found[0])
        if found[0] is None:
            raise NotFoundError
        return found[0]

    def forget(self) -> None:
        """Ask anew from now on."""
        self._known.clear()

    def _fresh(self, key: tuple[str, Channel]) -> tuple[WebhookSecrets | None] | None:
        until, found = self._known.get(key, (0.0, None))
        return (found,) if time.monotonic() < until else None

    def _lock(self) -> asyncio.Lock:
        loop = asyncio.get_running_loop()
        if self._asking is None or self._loop is not loop:
            self._asking, self._loop = asyncio.Lock(), loop
        return self._asking


def _look_up(token: str, channel: Channel) -> WebhookSecrets | None:
    with db.system_session() as session:
        whose = senders.channel_of_address(session, token)
    if whose is None or whose[1] != channel:
        return None
    with db.tenant_session(whose[0]) as session:
        return senders.webhook_secrets(session, *whose)
