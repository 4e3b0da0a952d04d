"""Webhooks for the benches: unique, signed as Stripe signs, and complete HTTP requests before any clock runs."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from core import clock
from core.config import settings
from phantom_app.api.hot import CONNECT_PATH
from tests.support.factories import make_merchant

ACCOUNT = "acct_1Bench"
AMOUNT = 4900
BODY_BYTES = 1350
_ID_DIGITS = 16


def connect_merchant() -> str:
    """A merchant whose account all deliveries come from, so that each event gets its task; its id."""
    return make_merchant(stripe_user_id=ACCOUNT)


def event_id(number: int) -> str:
    return f"evt_{number:0{_ID_DIGITS}d}"


def event_body(number: int) -> bytes:
    """What Stripe would send as event `number`."""
    return _body(number, "")


def _body(number: int, padding: str) -> bytes:
    """A paid invoice that nobody haunts: its handler writes what was billed and asks Stripe nothing."""
    now = clock.timestamp()
    invoice = {
        "id": f"in_{number:0{_ID_DIGITS}d}",
        "object": "invoice",
        "customer": "cus_Bench",
        "customer_email": "ada@example.com",
        "status": "paid",
        "amount_due": AMOUNT,
        "amount_paid": AMOUNT,
        "amount_remaining": 0,
        "attempt_count": 1,
        "attempted": True,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": now,
        "currency": "usd",
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_Bench"}},
        "lines": {"object": "list", "data": [{"id": "il_1", "amount": AMOUNT, "description": padding}]},
    }
    event = {
        "id": event_id(number),
        "object": "event",
        "api_version": "2026-10-28",
        "created": now,
        "account": ACCOUNT,
        "livemode": False,
        "type": "invoice.paid",
        "data": {"object": invoice},
    }
    return json.dumps(event).encode()


@dataclass
class Deliveries:
    """A source of requests; no two events of it are the same. All requests have the same length, `size` bytes."""

    next: int = 0
    """The number of the first event that nobody has asked for yet."""
    _parts: tuple[bytes, ...] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        padding = "x" * (BODY_BYTES - len(_body(0, "")))
        marker = b"0" * _ID_DIGITS
        self._parts = tuple(_body(0, padding).split(marker))
        self.size = len(next(self.make(1)))

    def make(self, count: int) -> Iterator[bytes]:
        """`count` requests that nobody had before, each signed when it is asked for and good for 300 s."""
        configured = settings().stripe_connect_webhook_secret
        secret = configured.get_secret_value().encode() if configured else b""
        first, self.next = self.next, self.next + count
        for number in range(first, first + count):
            seconds = str(clock.timestamp()).encode()
            digits = b"%0*d" % (_ID_DIGITS, number)
            body = digits.join(self._parts)
            signature = hmac.digest(secret, seconds + b"." + body, hashlib.sha256).hex().encode()
            yield (
                b"POST " + CONNECT_PATH.encode() + b" HTTP/1.1\r\nHost: phantom.bench\r\n"
                b"Content-Type: application/json; charset=utf-8\r\nUser-Agent: Stripe/1.0\r\n"
                b"X-Event-Id: evt_" + digits + b"\r\n"  # for the control alone, which reads no body
                b"Stripe-Signature: t=" + seconds + b",v1=" + signature + b"\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body
            )
