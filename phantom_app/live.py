"""Numbers that change while one looks at them: workers publish "this merchant changed", open pages refresh.

One Redis subscription per web worker, no polling and no task per tab. A refresh is an ordinary event of the
page: it passes the guard (so a revoked session stops), takes the state lock and loads its own data.
"""

import asyncio
import dataclasses
import logging
import socket
from collections.abc import Mapping
from typing import Any

import redis.asyncio as redis
import reflex as rx
from redis.exceptions import RedisError

from core.queue import CHANGED_CHANNEL
from phantom_app import runtime

log = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two refreshes of one tab, at the least, and none begins before the one before it is done."""
EVERYONE = "*"
# A subscription only listens: without these it would never find out that the host of Redis is gone.
_NETWORK = {
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "socket_keepalive_options": {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3},
}


@dataclasses.dataclass(frozen=True)
class Tab:
    """A page that is open in a browser, and how to refresh it as its own connection would."""

    merchant_id: str
    handler: str
    router_data: Mapping[str, Any]


_tabs: dict[str, Tab] = {}  # by tab token; this process only, because a socket's worker handles its events
_dirty: set[str] = set()
# A tab's events run one after the other: refreshes that wait for each other would be in the way of a person's clicks.
_refreshing: dict[str, asyncio.Future[Any]] = {}
_late: set[str] = set()  # tabs whose merchant changed while their last refresh was under way


def watch(state: rx.State, merchant_id: str, refresh: Any) -> None:
    """Call in `on_load`: from now on `refresh` runs when this merchant changes, until another page is loaded."""
    _tabs[runtime.tab_token(state)] = Tab(merchant_id, runtime.handler_name(refresh), runtime.request_data(state))


def forget(token: str) -> None:
    """Stop refreshing a tab: it changed hands or closed."""
    _tabs.pop(token, None)
    _refreshing.pop(token, None)
    _late.discard(token)


def mark_changed(merchant_id: str) -> None:
    """Refresh the open pages of a merchant (or of `EVERYONE`) at the next tick."""
    _dirty.add(merchant_id)


async def refresh_changed(app: rx.App) -> int:
    """Queue one refresh for every tab of this worker whose merchant changed; returns how many.

    A tab that is still at its last one has its turn at the first tick after it.
    """
    changed, tabs = _dirty.copy(), list(_tabs.items()) if _dirty or _late else []
    _dirty.clear()
    refreshed = 0
    for token, tab in tabs:
        if not runtime.owns_tab(app, token):
            forget(token)
        elif not changed.isdisjoint({tab.merchant_id, EVERYONE}) or token in _late:
            if token in _refreshing and not _refreshing[token].done():
                _late.add(token)
                continue
            _late.discard(token)
            _refreshing[token] = await runtime.send_event(app, token, tab.handler, tab.router_data)
            refreshed += 1
    return refreshed


async def _tick(app: rx.App) -> None:
    while True:
        await asyncio.sleep(TICK)
        await refresh_changed(app)


async def listen(url: str) -> None:
    """Mark what is published; survives Redis going away, and refreshes everyone when it is back."""
    while True:
        try:
            async with (
                redis.from_url(url, health_check_interval=15, **_NETWORK) as client,
                client.pubsub(ignore_subscribe_messages=True) as inbox,
            ):
                await inbox.subscribe(CHANGED_CHANNEL)
                mark_changed(EVERYONE)
                async for message in inbox.listen():
                    mark_changed(message["data"].decode())
        except (RedisError, OSError) as error:
            log.warning("live.redis_away", extra={"facts": {"error": type(error).__name__}})
            await asyncio.sleep(0.5)


async def run(app: rx.App, url: str) -> None:
    """Lifespan task of each web worker. If either half dies, both do, and the worker reports it."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_tick(app))
        group.create_task(listen(url))
