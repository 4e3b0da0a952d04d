"""Limits at the socket door, before a state is loaded or locked.

The guard runs after a state was fetched and locked, so refusing there still costs an attacker nothing and us a
Redis key per socket. Here a connection is refused, or cut, for: a foreign origin, too many connects from one
address, too many open sockets of one address, too many or too large messages.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SOCKET_PATH = "/_event"
POLICY_VIOLATION, TOO_BIG = 1008, 1009
_ADDRESSES = 20_000


@dataclass(frozen=True)
class Limits:
    """Generous for people (offices share an address, tabs reconnect together), tight for programs."""

    connects_per_second: float = 10.0
    connect_burst: int = 60
    open_per_address: int = 300
    events_per_second: float = 20.0
    event_burst: int = 100
    message_bytes: int = 64 * 1024


@dataclass
class Bucket:
    """A token bucket: `burst` at once, `rate` a second after that."""

    rate: float
    burst: float
    clock: Callable[[], float]
    _level: float = field(init=False)
    _at: float = field(init=False)

    def __post_init__(self) -> None:
        self._level, self._at = self.burst, self.clock()

    def take(self) -> bool:
        now = self.clock()
        self._level, self._at = min(self.burst, self._level + (now - self._at) * self.rate), now
        if self._level < 1:
            return False
        self._level -= 1
        return True


def same_origin(scope: Scope, own: str = "") -> bool:
    """Whether a page of ours opened this socket, or a program: those send no origin, and no cookie of ours.

    Ours is what PUBLIC_URL (`own`) says, because a proxy may put another Host in; and what the Host says, because
    on one machine the same server is reached by several names.
    """
    headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in (b"origin", b"host")}
    origin = headers.get(b"origin")
    return origin is None or origin == own or urlsplit(origin).netloc == headers.get(b"host")


def origin_of(url: str) -> str:
    """What a browser sends as Origin for pages of `url`: no path, and no port where it is the scheme's own."""
    parts = urlsplit(url)
    standard = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return f"{parts.scheme}://{parts.netloc.removesuffix(standard)}".lower() if parts.netloc else ""


class SocketLimits:
    """ASGI layer around the whole application; anything but a socket at `/_event` passes untouched."""

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        origin: str = "",
    ) -> None:
        self._app, self._limits, self._clock, self._origin = app, limits or Limits(), clock, origin_of(origin)
        self._connects: dict[str, Bucket] = {}
        self._open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket" or not scope["path"].startswith(SOCKET_PATH):
            await self._app(scope, receive, send)
            return
        address = scope["client"][0] if scope.get("client") else ""
        if not same_origin(scope, self._origin) or not self._may_connect(address):
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        self._open[address] += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]

    def _may_connect(self, address: str) -> bool:
        if self._open[address] >= self._limits.open_per_address:
            return False
        bucket = self._connects.get(address)
        if bucket is None:
            if len(self._connects) >= _ADDRESSES:
                self._connects.clear()
            bucket = Bucket(self._limits.connects_per_second, self._limits.connect_burst, self._clock)
            self._connects[address] = bucket
        return bucket.take()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the socket; one that says too much is closed, and the application sees it leave."""
        events = Bucket(self._limits.events_per_second, self._limits.event_burst, self._clock)
        closed = False

        async def counted() -> Message:
            nonlocal closed
            message = await receive()
            if message["type"] == "websocket.receive":
                code = self._judge(message, events)
                if code:
                    closed = True
                    await send({"type": "websocket.close", "code": code})
                    return {"type": "websocket.disconnect", "code": code}
            return message

        async def open_only(message: Message) -> None:
            if not closed:
                await send(message)

        await self._app(scope, counted, open_only)

    def _judge(self, message: Message, events: Bucket) -> int | None:
        size = len(message.get("bytes") or message.get("text") or "")
        if size > self._limits.message_bytes:
            return TOO_BIG
        return None if events.take() else POLICY_VIOLATION
