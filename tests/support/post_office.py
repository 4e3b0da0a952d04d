"""The outbox as both vendors' SDKs reach it over `requests`, in this process; connections break where it says so."""

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from core.config import settings
from sandbox.history.loopback import sandbox_at
from sandbox.outbox.resend import ResendApi
from sandbox.outbox.routes import resend_of, twilio_of
from sandbox.outbox.store import Outbox, outbox_of
from sandbox.outbox.twilio import TwilioApi
from sandbox.outbox.webhooks import Postman, postman_of
from sandbox.stripe.api import Request
from sandbox.stripe.world import World


class _Way(BaseAdapter):
    def __init__(self, office: "PostOffice") -> None:
        super().__init__()
        self._office = office

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        path, _sep, query = (request.path_url or "/").partition("?")
        body = request.body.encode() if isinstance(request.body, str) else request.body
        headers = {name.lower(): str(value) for name, value in request.headers.items()}
        vendor = self._office.twilio if path.startswith("/2010-04-01/") else self._office.resend
        asked = Request(request.method or "GET", path, query, headers, body if isinstance(body, bytes) else b"")
        given = vendor.handle(asked)
        self._office.calls.append(f"{asked.method} {path}")
        if given.release:
            given.release()
        if given.cut or given.hang:
            raise requests.ConnectionError("the connection was cut")
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = given.status, request.url or "", request
        answer.headers = CaseInsensitiveDict(given.headers)
        answer.raw = io.BytesIO(given.body)
        return answer

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class PostOffice:
    """Resend and Twilio of one world, and what was asked of them."""

    world: World
    calls: list[str]

    @property
    def resend(self) -> ResendApi:
        return resend_of(self.world)

    @property
    def twilio(self) -> TwilioApi:
        return twilio_of(self.world)

    @property
    def outbox(self) -> Outbox:
        return outbox_of(self.world)

    @property
    def postman(self) -> Postman:
        return postman_of(self.world)

    @classmethod
    @contextlib.contextmanager
    def of(cls, world: World) -> Iterator["PostOffice"]:
        """While the block runs, both vendors are this world's outbox."""
        office = cls(world, [])
        with sandbox_at(settings().resend_api_base, _Way(office)):
            yield office
