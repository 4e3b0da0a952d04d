"""Both sides in one process without sockets: the vendors' real SDKs reach the sandbox, webhooks and people the product.

The SDKs are untouched down to `requests`, whose adapter for the sandbox's address answers from memory; the
product's routes are called as ASGI. That saves a few milliseconds on each of some ten thousand requests.
"""

import asyncio
import contextlib
import io
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from unittest import mock
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from starlette.types import ASGIApp, Message

from sandbox.outbox.resend import ResendApi
from sandbox.outbox.store import outbox_of
from sandbox.outbox.webhooks import postman_of
from sandbox.people import Seen
from sandbox.stripe.api import Api, Request
from sandbox.stripe.world import World

T = TypeVar("T")


class SandboxAdapter(BaseAdapter):
    """Answers a `requests` call from a world: Resend's paths by its double, everything else by Stripe's."""

    def __init__(self, world: World, api: Api) -> None:
        super().__init__()
        self._stripe = api
        self._resend = ResendApi(outbox_of(world), postman_of(world))

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        parts = urlsplit(request.url or "")
        body = request.body.encode() if isinstance(request.body, str) else request.body
        headers = {name.lower(): str(value) for name, value in request.headers.items()}
        asked = Request(
            request.method or "GET", parts.path, parts.query, headers, body if isinstance(body, bytes) else b""
        )
        given = (self._resend if parts.path.startswith("/emails") else self._stripe).handle(asked)
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = given.status, request.url or "", request
        answer.headers = CaseInsensitiveDict(given.headers)
        answer.raw = io.BytesIO(given.body)
        return answer

    def close(self) -> None:
        """Nothing is open."""


@contextlib.contextmanager
def sandbox_at(base: str, adapter: BaseAdapter) -> Iterator[None]:
    """While the block runs, every `requests` session of this process reaches `base` through `adapter`."""
    genuine = requests.Session.get_adapter

    def get_adapter(session: requests.Session, url: str) -> BaseAdapter:
        return adapter if url.startswith(base) else genuine(session, url)

    with mock.patch.object(requests.Session, "get_adapter", get_adapter):
        yield


@dataclass(frozen=True)
class Answer:
    """What a route answered; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Site:
    """An ASGI application on an event loop of its own that only runs while somebody waits for an answer."""

    app: ASGIApp
    loop: asyncio.AbstractEventLoop

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def request(self, method: str, path: str) -> Answer:
        """One request without a body, as people make them."""
        return self.wait(self.call(method, path, {}, b""))

    async def call(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One request through the whole application."""
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        sent: list[Message] = []
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return waiting.pop() if waiting else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start = next(message for message in sent if message["type"] == "http.response.start")
        parts = [message.get("body", b"") for message in sent if message["type"] == "http.response.body"]
        names = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(int(start["status"]), names, b"".join(parts))


@dataclass
class SiteBrowser:
    """A person's browser on the site: `sandbox.people.Browser`."""

    site: Site

    def open(self, method: str, url: str) -> Seen:
        answer = self.site.request(method, urlsplit(url).path)
        return Seen(answer.status, answer.headers.get("location", ""), answer.body)
