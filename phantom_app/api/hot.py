"""The two webhook routes on the hot path: plain Starlette, dispatched before the API's layers and before Reflex.

A sender gets 200 only for what is committed, 400 for what is not a genuine event, 413 for what is too large, 404
where no signing secret is configured, and 503 with `Retry-After` when it has to send again.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from core import metrics
from core.errors import PhantomError, TooLargeError
from services.handshake.errors import NotStoredError
from services.handshake.intake import Intake

MAX_BODY = 1024 * 1024
PATH, CONNECT_PATH = "/api/webhooks/stripe", "/api/webhooks/stripe/connect"

_intakes: list[Intake] = []  # at most one: this process's


async def _intake() -> Intake:
    """This process's intake, made on first use where no lifespan did it."""
    if not _intakes or _intakes[0].loop is not asyncio.get_running_loop():
        _intakes[:] = [Intake()]
        await _intakes[0].start()
    return _intakes[0]


@contextlib.asynccontextmanager
async def lifespan() -> AsyncIterator[None]:
    """Start intake before the first delivery, and commit what was accepted before the end."""
    await _intake()
    try:
        yield
    finally:
        while _intakes:
            await _intakes.pop().stop()


async def _body(request: Request) -> bytes:
    """The raw body, never more than 1 MB of it in memory. Raises `TooLargeError`."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 12 or int(announced) > MAX_BODY):
        raise TooLargeError("A webhook has at most 1 MB.")
    parts = bytearray()
    async for chunk in request.stream():
        parts += chunk
        if len(parts) > MAX_BODY:
            raise TooLargeError("A webhook has at most 1 MB.")
    return bytes(parts)


async def _receive(request: Request, *, connect: bool) -> Response:
    started = time.perf_counter()
    signatures = request.headers.getlist("stripe-signature")
    try:
        raw = await _body(request)
        intake = await _intake()
        # Two signature headers are two claims; neither is believed.
        outcome = await intake.accept(raw, signatures[0] if len(signatures) == 1 else "", connect=connect)
    except PhantomError as error:
        metrics.INTAKE.observe(time.perf_counter() - started, error.code)
        return _refusal(error)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody reads it
    metrics.INTAKE.observe(time.perf_counter() - started, outcome)
    return Response(b"ok", media_type="text/plain")


def _refusal(error: PhantomError) -> Response:
    problem = {"type": "about:blank", "title": error.title, "status": error.status, "code": error.code}
    headers = {"Retry-After": str(error.retry_after)} if isinstance(error, NotStoredError) else {}
    return Response(
        json.dumps({**problem, "detail": error.detail}),
        status_code=error.status,
        headers=headers,
        media_type="application/problem+json",
    )


async def stripe(request: Request) -> Response:
    return await _receive(request, connect=False)


async def stripe_connect(request: Request) -> Response:
    return await _receive(request, connect=True)


def routes() -> list[Route]:
    """The hot routes; every other path belongs to the API or to the pages."""
    return [Route(PATH, stripe, methods=["POST"]), Route(CONNECT_PATH, stripe_connect, methods=["POST"])]
