"""ASGI around the plain interfaces, with the ways a connection can go wrong."""

import asyncio
import contextlib
from collections.abc import Callable

from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Scope, Send

from sandbox.stripe.api import Request, Response


class Wire:
    """An ASGI endpoint that hands requests to a `handle(Request) -> Response`."""

    def __init__(self, handle: Callable[[Request], Response]) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HttpRequest(scope, receive)
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.body()
        answer = self._handle(Request(request.method, request.url.path, request.url.query, headers, body))
        try:
            if answer.hang:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(request.app.state.stopping.wait(), answer.hang)
        finally:
            if answer.release:
                answer.release()
        await self._send(answer, send)

    @staticmethod
    async def _send(answer: Response, send: Send) -> None:
        length = len(answer.body) + (100 if answer.cut else 0)  # a promise that is not kept breaks the connection
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        headers.append((b"content-length", str(length).encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        if answer.cut:
            await send({"type": "http.response.body", "body": answer.body[:1], "more_body": True})
            raise ConnectionAbortedError("cut on request")
        await send({"type": "http.response.body", "body": answer.body})
