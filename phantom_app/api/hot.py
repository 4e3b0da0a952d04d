"""The two webhook routes on the hot path: plain ASGI, dispatched before the API's layers and before Reflex.

A sender gets 200 only for what is committed, 400 for what is not a genuine event, 413 for what is too large, 408
for what takes too long to come, 404 where no signing secret is configured, and 503 with `Retry-After` when it has to
send again.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core import metrics
from core.errors import PhantomError
from phantom_app.api import bodies
from phantom_app.api.errors import TITLES, problem, problem_response
from services.handshake.errors import NotStoredError
from services.handshake.intake import Intake

MAX_BODY = 1024 * 1024
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
            raw = await bodies.read(receive, announced, MAX_BODY)
            outcome = await (_running() or await _begin()).accept(raw, signature, connect=self._connect)
        except PhantomError as error:
            _took.observe(time.perf_counter() - started, error.code)
            await _refusal(error)(scope, receive, send)
        except ClientDisconnect:
            return  # nobody reads an answer
        else:
            _took.observe(time.perf_counter() - started, outcome)
            await send({"type": "http.response.start", "status": 200, "headers": _OK_HEADERS})
            await send({"type": "http.response.body", "body": b"ok"})


_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_OK_HEADERS = ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"2"), _NO_SNIFFING)


def _refusal(error: PhantomError) -> Response:
    headers = {"X-Content-Type-Options": "nosniff"}
    if isinstance(error, NotStoredError):
        headers["Retry-After"] = str(error.retry_after)
    return problem_response(problem(error.status, error.code, error.title, error.detail), headers)


class _Posted(Route):
    """A route for POST alone; what calls it otherwise is a program as well."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self.app
        if scope["method"] != "POST":
            app = problem_response(problem(405, "method_not_allowed", TITLES[405]), {"Allow": "POST"})
        await app(scope, receive, send)


def routes() -> list[Route]:
    """The hot routes; every other path belongs to the API or to the pages."""
    return [
        _Posted(PATH, Webhook(connect=False), methods=["POST"]),
        _Posted(CONNECT_PATH, Webhook(connect=True), methods=["POST"]),
    ]
