"""The real SDK against a world in the same process, without sockets: for simulations and fast-forwarded history.

client = stripe.StripeClient(key, http_client=InProcessClient(api))
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from stripe import HTTPClient
from stripe._error import APIConnectionError

from sandbox.stripe.api import Api, Request


class InProcessClient(HTTPClient):
    """A `stripe.HTTPClient` that hands requests straight to an Api. Hanging or cut requests fail at once."""

    name = "inprocess"

    def __init__(self, api: Api) -> None:
        super().__init__()
        self._api = api

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        parts = urlsplit(url)
        body = post_data.encode() if isinstance(post_data, str) else post_data or b""
        lowered = {name.lower(): value for name, value in (headers or {}).items()}
        answer = self._api.handle(Request(method.upper(), parts.path, parts.query, lowered, body))
        if answer.release:
            answer.release()
        if answer.cut or answer.hang:
            raise APIConnectionError("the sandbox cut the connection", should_retry=False)  # type: ignore[no-untyped-call]
        return answer.body.decode(), answer.status, answer.headers

    def close(self) -> None:
        """Nothing is open."""
