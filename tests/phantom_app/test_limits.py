"""The door of the sockets: origin, connects, open sockets, events and sizes."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from phantom_app.limits import POLICY_VIOLATION, TOO_BIG, Bucket, Limits, SocketLimits, same_origin


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def scope(
    origin: str | None = "http://localhost:3000", host: str = "localhost:3000", address: str = "10.0.0.1"
) -> Scope:
    headers = [(b"host", host.encode())]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    return {"type": "websocket", "path": "/_event/", "headers": headers, "client": (address, 1)}


class Inner:
    """An application that reads until it is disconnected, holding the socket open until told."""

    def __init__(self, hold: Callable[[], Any] | None = None) -> None:
        self.messages: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            self.messages.append(message)
            if message["type"] == "websocket.disconnect":
                await send({"type": "websocket.close", "code": 1000})
                return


async def talk(door: SocketLimits, given: Scope, *texts: str) -> list[Message]:
    incoming: list[Message] = [{"type": "websocket.receive", "text": text} for text in texts]
    incoming.append({"type": "websocket.disconnect", "code": 1000})
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await door(given, receive, send)
    return sent


class TestBucket:
    def test_burst_then_rate(self) -> None:
        clock = Clock()
        bucket = Bucket(2, 3, clock)
        assert [bucket.take() for _ in range(4)] == [True, True, True, False]
        clock.now = 0.5
        assert bucket.take()
        assert not bucket.take()


class TestOrigin:
    @pytest.mark.parametrize(
        ("origin", "welcome"),
        [
            ("http://localhost:3000", True),
            (None, True),
            ("http://evil.example", False),
            ("http://localhost:3001", False),
            ("null", False),
            ("http://localhost:3000.evil.example", False),
        ],
    )
    def test_only_our_own_pages(self, origin: str | None, welcome: bool) -> None:
        assert same_origin(scope(origin)) is welcome

    async def test_a_foreign_page_is_refused_before_the_application(self) -> None:
        inner = Inner()
        [closed] = await talk(SocketLimits(inner), scope("http://evil.example"))
        assert closed["code"] == POLICY_VIOLATION
        assert inner.messages == []


class TestConnects:
    async def test_too_many_connects_of_one_address(self) -> None:
        inner, clock = Inner(), Clock()
        door = SocketLimits(inner, Limits(connects_per_second=1, connect_burst=2), clock)
        codes = [(await talk(door, scope()))[0]["code"] for _ in range(3)]
        assert codes == [1000, 1000, POLICY_VIOLATION]
        assert (await talk(door, scope(address="10.0.0.2")))[0]["code"] == 1000
        clock.now = 1.0
        assert (await talk(door, scope()))[0]["code"] == 1000

    async def test_a_closed_socket_is_not_counted_as_open(self) -> None:
        door = SocketLimits(Inner(), Limits(open_per_address=1))
        for _ in range(3):
            assert (await talk(door, scope()))[0]["code"] == 1000


class TestMessages:
    async def test_too_many_events_end_the_socket(self) -> None:
        inner = Inner()
        door = SocketLimits(inner, Limits(events_per_second=1, event_burst=3), Clock())
        sent = await talk(door, scope(), *"abcdef")
        assert sent == [{"type": "websocket.close", "code": POLICY_VIOLATION}]
        assert len(inner.messages) == 4  # three events, and that the socket is gone

    async def test_a_huge_message_ends_the_socket(self) -> None:
        inner = Inner()
        sent = await talk(SocketLimits(inner, Limits(message_bytes=10)), scope(), "x" * 11)
        assert sent == [{"type": "websocket.close", "code": TOO_BIG}]
        assert [message["type"] for message in inner.messages] == ["websocket.disconnect"]

    async def test_other_traffic_passes(self) -> None:
        seen: list[Scope] = []

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope)

        async def nothing(*_: Any) -> Any:
            return None

        await SocketLimits(inner)({"type": "http", "path": "/_event"}, nothing, nothing)
        assert len(seen) == 1
