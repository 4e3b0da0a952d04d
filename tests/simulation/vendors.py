"""Stripe and the mail provider in this process, as the product's own SDKs reach them: with time-outs, refusals,
answers that are lost after the effect, and others who act meanwhile."""

import contextlib
import io
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from stripe import _http_client
from stripe._error import APIConnectionError

from core import clock
from core.config import settings
from sandbox.history.loopback import sandbox_at
from sandbox.stripe.api import Api, Request, Response
from sandbox.stripe.faults import Fault, Faults
from sandbox.stripe.store import Json
from services.integrations.stripe import client as stripe_client
from services.integrations.stripe import transport
from tests.simulation import rates
from tests.simulation.ledger import Ledger
from tests.simulation.process import Look, Machine

STRIPE_FAULTS = (
    "rate_limit", "rate_limit", "lock_timeout", "error_before", "unavailable", "cut",
    "error_after", "unavailable_after", "cut_after", "hang",
)  # fmt: skip
SENDER_FAULTS = (
    "rate_limit",
    "error_before",
    "unavailable",
    "cut",
    "error_after",
    "unavailable_after",
    "cut_after",
    "hang",
)
_ID = re.compile(r"/(?:[a-z]+_|AC|SM)(?=\w*[0-9A-Z])\w+")  # and not `/invoice_payments`
OUTAGE = ("unavailable", "error_before", "cut")


def point_of(what: str) -> str:
    """The name of a call among crash points: whichever object it is about."""
    return _ID.sub("/{id}", what)


@dataclass
class Trouble:
    """How often calls to a vendor fail; in an outage nearly all do."""

    kinds: tuple[str, ...]
    chance: Random
    rate: float = 0.0
    outages: tuple[tuple[float, float], ...] = ()  # from, until; Unix seconds

    def draw(self) -> str:
        """The fault this call meets; empty for none."""
        now = clock.now().timestamp()
        if any(begin <= now < end for begin, end in self.outages):
            return self.chance.choice(OUTAGE) if self.chance.random() < 0.95 else ""
        return self.chance.choice(self.kinds) if self.rate and self.chance.random() < self.rate else ""


@dataclass
class Line:
    """The way to one vendor: points to die at, faults, and a moment for others before and after."""

    name: str
    machine: Machine
    ledger: Ledger
    trouble: Trouble
    faults: Faults
    meanwhile: Callable[[], None]

    def call(self, what: str, perform: Callable[[], Response]) -> Response:
        machine = self.machine
        machine.refuse_dead()
        if machine.in_transaction:
            self.ledger.violated("no call outside while a transaction is open", what)
        point = point_of(what)
        machine.point("call", f"before {point}")
        self.meanwhile()
        kind = self.trouble.draw()
        if kind:
            self.ledger.fault(f"{self.name}_{kind}")
            self.faults.add(Fault(kind, times=1))
        answer = perform()
        self.faults.clear()
        if kind:
            self.ledger.trace.say(f"{self.name} answers {what} with {kind}")
        if answer.release:
            answer.release()
        machine.point("call", f"after {point}")
        self.meanwhile()
        return answer


class StripeWire:
    """What the product takes for its pooled connections to Stripe."""

    def __init__(self, api: Api, line: Line, account: str, at_risk: Callable[[Json], bool]) -> None:
        self._api, self._line, self._account, self._at_risk = api, line, account, at_risk

    def request(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[str, int, Mapping[str, str]]:
        parts = urlsplit(url)
        body = post_data.encode() if isinstance(post_data, str) else post_data or b""
        asked = Request(
            method.upper(), parts.path, parts.query, {k.lower(): v for k, v in (headers or {}).items()}, body
        )

        def perform() -> Response:
            answer = self._api.handle(asked)
            self._note_look(asked, answer)
            return answer

        answer = self._line.call(f"{asked.method} {asked.path}", perform)
        if answer.cut or answer.hang:
            raise APIConnectionError("the connection was cut", should_retry=True)  # type: ignore[no-untyped-call]
        return answer.body.decode(), answer.status, answer.headers

    def _note_look(self, asked: Request, answer: Response) -> None:
        """Remember what the process saw of an invoice or a subscription: that is what it can know."""
        process, parts = self._line.machine.current, asked.path.split("/")
        if process is None or asked.method != "GET" or len(parts) != 4:
            return
        if answer.status != 200 or answer.cut or answer.hang:
            return
        space, steps = self._api.world.space(self._account), self._line.ledger.trace.steps
        if parts[2] == "subscriptions":
            found = space.table("subscription").objects[parts[3]]
            process.looks[parts[3]] = Look(steps, "", found["status"], at_risk=self._at_risk(found))
        elif parts[2] == "invoices":
            invoice = space.table("invoice").objects[parts[3]]
            details = (invoice["parent"] or {}).get("subscription_details") or {}
            subscription = space.get("subscription", details.get("subscription") or "") or {"status": ""}
            charges = self._line.ledger.charges
            declined = next((one.code for one in reversed(charges) if one.invoice == parts[3]), "")
            process.looks[parts[3]] = Look(
                steps,
                invoice["status"],
                subscription["status"],
                declined,
                remaining=invoice["amount_remaining"],
                is_leaving=_is_leaving(subscription),
            )


def _is_leaving(subscription: Json) -> bool:
    """Whether somebody cancelled it for its period's end."""
    why = (subscription.get("cancellation_details") or {}).get("reason")
    return bool(why == "cancellation_requested" and subscription["cancel_at_period_end"])


class SenderWire(BaseAdapter):
    """What `requests` takes for the way to the providers of mail and texts, told apart by how a path begins."""

    def __init__(self, ways: Mapping[str, tuple[Callable[[Request], Response], Line]]) -> None:
        super().__init__()
        self._ways = ways
        self.key = ""  # of the request under way

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        body = request.body.encode() if isinstance(request.body, str) else request.body
        headers = {name.lower(): str(value) for name, value in request.headers.items()}
        asked = Request(
            request.method or "GET", parts.path, parts.query, headers, body if isinstance(body, bytes) else b""
        )

        def perform() -> Response:
            self.key = headers.get("idempotency-key", "")
            return handle(asked)

        handle, line = next(way for begin, way in self._ways.items() if asked.path.startswith(begin))
        if process := line.machine.current:
            rates.knocked(line.ledger, headers.get("authorization", ""), process.began)
        given = line.call(f"{asked.method} {asked.path}", perform)
        if given.cut or given.hang:
            raise requests.ConnectionError("the connection was cut")
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = given.status, request.url or "", request
        answer.headers = CaseInsensitiveDict(given.headers)
        answer.raw = io.BytesIO(given.body)
        return answer

    def close(self) -> None:
        """Nothing is open."""


class _Time:
    """`time` for the SDK's own pauses: they pass on the virtual clock."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self.sleep = sleep

    def __getattr__(self, name: str) -> Any:
        import time

        return getattr(time, name)


@contextlib.contextmanager
def reachable(
    stripe: StripeWire, senders: SenderWire, sleep: Callable[[float], None], chance: Random
) -> Iterator[None]:
    """While the block runs the product's clients reach these; pauses between tries take no real time."""

    def with_patience(call: Any, patience: Any, **_: Any) -> Any:
        return transport.with_patience(call, patience, sleep=sleep, random=chance.random)

    with (
        mock.patch.object(stripe_client, "shared_client", return_value=stripe),
        mock.patch.object(stripe_client, "with_patience", with_patience),
        mock.patch.object(_http_client, "time", _Time(sleep)),
        sandbox_at(settings().resend_api_base, senders),
        sandbox_at(settings().twilio_api_base, senders),
    ):
        yield
