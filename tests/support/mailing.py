"""A shop whose mails go out over resend's SDK into the sandbox's outbox, without a socket, and what is done to it."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
import resend

from core.clock import ManualClock
from jobs import pulse as pulse_job
from jobs import send_message
from sandbox.outbox.resend import ResendApi
from sandbox.outbox.routes import resend_of
from sandbox.outbox.store import outbox_of
from sandbox.stripe.api import Request, Response
from services.tasks.schemas import ClaimedTask
from tests.support.death import dying_at
from tests.support.shop import Shop


class InProcess(resend.HTTPClient):
    """resend's SDK without a socket."""

    def __init__(self, api: ResendApi) -> None:
        self.api = api
        self.last: Response | None = None

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        json: Any = None,
        files: Any = None,
        data: Any = None,
    ) -> tuple[bytes, int, Mapping[str, str]]:
        parts = urlsplit(url)
        names = {name.lower(): value for name, value in headers.items()}
        body = orjson.dumps(json) if json is not None else b""
        answer = self.api.handle(Request(method.upper(), parts.path, parts.query, names, body))
        self.last = answer
        if answer.cut:
            raise ConnectionError("cut")
        return answer.body, answer.status, answer.headers

    @classmethod
    def instead(cls, api: ResendApi, monkeypatch: pytest.MonkeyPatch) -> "InProcess":
        """The SDK keeps its settings in its module; they are put back afterwards."""
        client = cls(api)
        monkeypatch.setattr(resend, "api_key", "re_acme")
        monkeypatch.setattr(resend, "default_http_client", client)
        return client


def mailing_shop(clock: ManualClock, monkeypatch: pytest.MonkeyPatch, **policy: Any) -> Shop:
    """A merchant who has said go, and whose mails go through Resend."""
    shop = Shop.open(clock, monkeypatch, paused=False, **policy)
    InProcess.instead(resend_of(shop.world), monkeypatch)
    return shop


def _task(shop: Shop, kind: str, **payload: Any) -> ClaimedTask:
    return ClaimedTask(1, kind, shop.merchant, payload, 1, 5, 0, "", "t", shop.clock.now())


def send(shop: Shop, step: int = 1) -> dict[str, Any]:
    """The task that sends a message of the first ghost; what it says came of it."""
    return send_message.run(_task(shop, "send_message", ghost_id=shop.ghosts[0].id, step=step))


def pulse(shop: Shop, **payload: Any) -> dict[str, Any]:
    """The hourly round of this merchant."""
    return pulse_job.run(_task(shop, "pulse", **payload))


def die_while_sending(shop: Shop, point: str, step: int = 1) -> None:
    """The worker is gone at a named point of sending."""

    with dying_at(point):
        send(shop, step)


def due(shop: Shop) -> None:
    """The moment of the first ghost's message has come."""
    at = shop.ghosts[0].next_action_at
    assert at is not None
    shop.clock.current = max(at, shop.clock.now())


def mails(shop: Shop) -> int:
    """How many mails have gone out."""
    return outbox_of(shop.world).count()
