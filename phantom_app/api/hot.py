"""The two webhook routes on the hot path: plain ASGI, dispatched before the API's layers and before Reflex.

A sender gets 200 only for what is committed, 400 for what is not a genuine event, 413 for what is too large, 408
for what takes too long to come, 404 where no signing secret is configured, and 503 with `Retry-After` when it has to
send again.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from core import metrics
from core.errors import PhantomError, TooLargeError
from services.handshake.errors import NotStoredError, TooSlowError
from services.handshake.intake import Intake

MAX_BODY = 1024 * 1024
BODY_SECONDS = 10.0  # for all of a body: Stripe sends it at once, and who lets it drip holds memory and a connection
LOOK_SECONDS = 0.5  # how exactly that is kept
PATH, CONNECT_PATH = "/api/webhooks/stripe", "/api/webhooks/stripe/connect"

_took = metrics.Gathered(metrics.INTAKE)
_intakes: list[Intake] = []  # at most one: this process's


async def _begin() -> Intake:
    """This process's intake from now on; on first use where no lifespan did it."""
    _intakes[:] = [Intake()]
    return await _intakes[0].start()


def _running() -> Intake | None:
    """This process's intake, if it belongs to the running loop. No coroutine: it is asked for with every delivery."""
    here = _intakes[0] if _intakes else None
    return here if here is not None and here.loop is asyncio.get_running_loop() else None


@contextlib.asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Start intake before the first delivery, and commit what was accepted before the end."""
    if _running() is None:
        await _begin()
    try:
        yield
    finally:
        while _intakes:
            await _intakes.pop().stop()
        _took.write()


class _GoneError(Exception):
    """The sender went away before its body was complete."""


class _Reads:
    """Ends reads of bodies that last longer than `BODY_SECONDS`, by up to `LOOK_SECONDS` more.

    One timer for all of them: `asyncio.timeout` for each would cost ten times as much as reading.
    """

    def __init__(self) -> None:
        self._until: dict[asyncio.Task[Any], float] = {}
        self._over: set[asyncio.Task[Any]] = set()
        self._watched_by: asyncio.AbstractEventLoop | None = None

    def begin(self, task: asyncio.Task[Any]) -> None:
        loop = task.get_loop()
        self._until[task] = loop.time() + BODY_SECONDS
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


async def _body(announced: bytes, receive: Receive) -> bytes:
    """The raw body, never more than 1 MB of it in memory. Raises `TooLargeError`, `TooSlowError` or `_GoneError`."""
    if announced.isdigit() and (len(announced) > 12 or int(announced) > MAX_BODY):
        raise TooLargeError("A webhook has at most 1 MB.")
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a body is read in a task")
    _reads.begin(task)
    try:
        chunk, more = await _chunk(receive)
        if not more and len(chunk) <= MAX_BODY:
            return chunk  # as nearly all of them come
        parts = bytearray(chunk)
        while more and len(parts) <= MAX_BODY:
            chunk, more = await _chunk(receive)
            parts += chunk
    except asyncio.CancelledError:
        if _reads.is_over(task) and not task.uncancel():
            raise TooSlowError from None
        raise
    finally:
        _reads.end(task)
    if len(parts) > MAX_BODY:
        raise TooLargeError("A webhook has at most 1 MB.")
    return bytes(parts)


async def _chunk(receive: Receive) -> tuple[bytes, bool]:
    message = await receive()
    if message["type"] != "http.request":
        raise _GoneError
    return message.get("body", b""), message.get("more_body", False)


class Webhook:
    """An endpoint for one of the two signing secrets.

    ASGI and nothing between: Starlette's request, its exception wrapper and its response cost as much as verifying.
    """

    def __init__(self, *, connect: bool) -> None:
        self._connect = connect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        announced, signatures = b"", []
        for name, value in scope["headers"]:
            if name == b"stripe-signature":
                signatures.append(value)
            elif name == b"content-length":
                announced = value
        # Two signature headers are two claims; neither is believed.
        signature = signatures[0].decode("latin-1") if len(signatures) == 1 else ""
        try:
            raw = await _body(announced, receive)
            outcome = await (_running() or await _begin()).accept(raw, signature, connect=self._connect)
        except PhantomError as error:
            _took.observe(time.perf_counter() - started, error.code)
            await _refusal(error)(scope, receive, send)
        except _GoneError:
            return  # nobody reads an answer
        else:
            _took.observe(time.perf_counter() - started, outcome)
            await send({"type": "http.response.start", "status": 200, "headers": _OK_HEADERS})
            await send({"type": "http.response.body", "body": b"ok"})


_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_OK_HEADERS = ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"2"), _NO_SNIFFING)


def _refusal(error: PhantomError) -> Response:
    problem = {"type": "about:blank", "title": error.title, "status": error.status, "code": error.code}
    headers = {"X-Content-Type-Options": "nosniff"}
    if isinstance(error, NotStoredError):
        headers["Retry-After"] = str(error.retry_after)
    return Response(
        json.dumps({**problem, "detail": error.detail}),
        status_code=error.status,
        headers=headers,
        media_type="application/problem+json",
    )


def routes() -> list[Route]:
    """The hot routes; every other path belongs to the API or to the pages."""
    return [
        Route(PATH, Webhook(connect=False), methods=["POST"]),
        Route(CONNECT_PATH, Webhook(connect=True), methods=["POST"]),
    ]
