"""One id for a request and everything that follows from it, taken from or given to the caller as X-Request-Id."""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import logging

_HEADER = "x-request-id"
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{8,64}")
"""What a caller may call its request: an id is written to logs and answers, so it cannot be just anything."""


class Correlation:
    """ASGI layer; handlers in the thread pool inherit the context variable."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(_HEADER, "")
        with logging.correlated(given if _ACCEPTABLE.fullmatch(given) else None) as request_id:

            async def with_id(message: Message) -> None:
                if message["type"] == "http.response.start":
                    MutableHeaders(scope=message)[_HEADER] = request_id
                await send(message)

            await self._app(scope, receive, with_id)
