"""`/metrics` for Prometheus, and the layer that times requests for it."""

import time

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import metrics
from core.config import settings
from core.errors import NotFoundError
from services.operations import service as operations

TEXT = "text/plain; version=1.0.0; charset=utf-8"
_OTHER, _GIVEN_UP = "(unknown)", "499"  # no route fits; the caller was gone before the answer
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

router = APIRouter()


@router.get("/metrics")
def read_metrics(request: Request) -> Response:
    """All metrics of this host as text. To whoever may not read them there is no such page."""
    token = settings().metrics_token
    allowed = metrics.may_read(
        request.client.host if request.client else "",
        request.headers.get("authorization", ""),
        token.get_secret_value() if token else None,
        metrics.signs_of_a_proxy(request.headers),
        neighbours=settings().is_demo,
    )
    if not allowed:
        raise NotFoundError
    return Response(operations.exposition(), media_type=TEXT, headers={"cache-control": "no-store"})


class Timed:
    """ASGI layer: how long each request took, by method, route and status; sockets pass untouched.

    `route` names everything of an application without routes of its own, so that a label never is a raw path.
    """

    def __init__(self, app: ASGIApp, route: str = "") -> None:
        self._app, self._route = app, route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = _GIVEN_UP
        started = time.perf_counter()

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noting_status)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else _OTHER
            route = self._route or getattr(scope.get("route"), "path", _OTHER)
            metrics.HTTP.observe(time.perf_counter() - started, method, route, status)
