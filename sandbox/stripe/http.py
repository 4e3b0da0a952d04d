"""The HTTP side of the Stripe sandbox: a thin Starlette adapter around `Api`, and the push of webhooks."""

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import httpx
from starlette.requests import Request as HttpRequest
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sandbox.stripe.api import Api, Request, Response
from sandbox.stripe.deliveries import SignedRequest

if TYPE_CHECKING:
    from sandbox.stripe.world import World

log = logging.getLogger(__name__)


class Endpoint:
    """An ASGI endpoint that answers all of Stripe's paths."""

    def __init__(self, api: Api, stopping: asyncio.Event) -> None:
        self._api, self._stopping = api, stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive)
        answer = self._api.handle(
            Request(
                request.method,
                request.url.path,
                request.url.query,
                {name.lower(): value for name, value in request.headers.items()},
                await request.body(),
            )
        )
        if answer.hang:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), answer.hang)
        if answer.release:
            answer.release()
        await _send(answer, send)


async def _send(answer: Response, send: Send) -> None:
    length = len(answer.body) + (100 if answer.cut else 0)  # a promise that is not kept breaks the connection
    headers = [(name.encode(), value.encode("latin-1", "replace")) for name, value in answer.headers.items()]
    headers.append((b"content-length", str(length).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.cut:
        await send({"type": "http.response.body", "body": answer.body[:1], "more_body": True})
        raise ConnectionAbortedError("cut on request")
    await send({"type": "http.response.body", "body": answer.body})


METHODS = ["GET", "POST", "DELETE"]


def routes(api: Api, stopping: asyncio.Event) -> list[Route]:
    """Everything below /v1, /v2 and the OAuth calls. `stopping` ends what hangs on purpose."""
    endpoint = Endpoint(api, stopping)
    return [
        Route("/v1/{path:path}", endpoint, methods=METHODS),
        Route("/v2/{path:path}", endpoint, methods=METHODS),
        Route("/oauth/token", endpoint, methods=["POST"]),
        Route("/oauth/deauthorize", endpoint, methods=["POST"]),
    ]


class Courier:
    """Posts what is due, and lets due things happen in the living mode. One task, many requests at a time."""

    PARALLEL = 16
    TICK = 0.25  # other processes may move the shared clock, so due times are looked at again and again

    def __init__(self, world: "World", stopping: asyncio.Event) -> None:
        self._world, self._stopping = world, stopping
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Let nobody wait any longer."""
        self._stopping.set()
        self._idle.set()

    def notify(self) -> None:
        """Something changed; may be called from any thread."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Until cancelled."""
        self._loop = asyncio.get_running_loop()
        self._world.on_change.append(self.notify)
        limits = httpx.Limits(max_connections=self.PARALLEL)
        try:
            async with httpx.AsyncClient(timeout=20, limits=limits, trust_env=False) as client:
                while True:
                    await self._round(client)
        finally:
            self._world.on_change.remove(self.notify)

    async def _round(self, client: httpx.AsyncClient) -> None:
        world = self._world
        if world.settings.living:
            while world.clockwork.step(world.now()):  # noqa: ASYNC110 - only lets requests in between
                await asyncio.sleep(0)
        due = world.deliveries.due(self.PARALLEL * 4) if world.settings.deliver else []
        if due:
            self._idle.clear()
            gate = asyncio.Semaphore(self.PARALLEL)
            await asyncio.gather(*(self._post(client, gate, request) for request in due))
            return
        self._idle.set()
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), self.TICK)

    async def _post(self, client: httpx.AsyncClient, gate: asyncio.Semaphore, request: SignedRequest) -> None:
        async with gate:
            try:
                answer = await client.post(request.url, content=request.body, headers=request.headers)
                accepted = answer.is_success
            except httpx.HTTPError as error:
                log.warning("webhook %s to %s: %s", request.event_type, request.url, type(error).__name__)
                accepted = False
        if accepted:
            self._world.deliveries.done(request)
        else:
            self._world.deliveries.failed(request)

    def _busy(self) -> bool:
        world = self._world
        with world.lock:
            due = world.clockwork.next_due() if world.settings.living else None
            return bool(world.deliveries.pending()["due"]) or (due is not None and due <= world.now())

    async def wait_idle(self, timeout: float) -> bool:  # noqa: ASYNC109 - the caller's own limit, answered as False
        """True when nothing is due (in the living mode: to happen either) or in flight any more."""
        try:
            async with asyncio.timeout(timeout):
                while self._busy() and not self._stopping.is_set():
                    self._idle.clear()
                    self._wake.set()
                    await self._idle.wait()
        except TimeoutError:
            return False
        return True
