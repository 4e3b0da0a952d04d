"""Webhooks for the benches: unique, signed as Stripe signs, and complete HTTP requests before any clock runs."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg

from cli.logins import plain_url
from core import clock
from core.config import settings
from phantom_app.api.hot import CONNECT_PATH

ACCOUNT, MERCHANT = "acct_1Bench", "mer_bench"
BODY_BYTES = 1350
SIGNED_SECONDS = 240  # signatures are good for 300 s
_ID_DIGITS = 16


def connect_merchant() -> None:
    """Make the account of all deliveries a known one, so that each event gets its task."""
    with psycopg.connect(plain_url(settings().database_system_url.get_secret_value()), autocommit=True) as connection:
        connection.execute(
            "insert into stripe_accounts (stripe_user_id, merchant_id, livemode, connected_at)"
            " values (%s, %s, false, now()) on conflict do nothing",
            (ACCOUNT, MERCHANT),
        )


def event_id(number: int) -> str:
    return f"evt_{number:0{_ID_DIGITS}d}"


def _body(number: int, padding: str) -> bytes:
    invoice = {
        "id": f"in_{number:0{_ID_DIGITS}d}",
        "object": "invoice",
        "customer": "cus_Bench",
        "customer_email": "ada@example.com",
        "status": "open",
        "amount_due": 4900,
        "currency": "usd",
        "attempt_count": 1,
        "lines": {"object": "list", "data": [{"id": "il_1", "amount": 4900, "description": padding}]},
    }
    event = {
        "id": event_id(number),
        "object": "event",
        "api_version": "2026-10-28",
        "created": 1772442000,
        "account": ACCOUNT,
        "livemode": False,
        "type": "invoice.updated",  # has a handler that asks Stripe nothing about an invoice nobody haunts
        "data": {"object": invoice},
    }
    return json.dumps(event).encode()


@dataclass
class Deliveries:
    """A source of requests; no two events of it are the same. All requests have the same length, `size` bytes."""

    _next: int = 0
    _parts: tuple[bytes, ...] = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        padding = "x" * (BODY_BYTES - len(_body(0, "")))
        marker = b"0" * _ID_DIGITS
        self._parts = tuple(_body(0, padding).split(marker))
        self.size = len(next(self.make(1)))

    def make(self, count: int) -> Iterator[bytes]:
        """`count` requests that nobody had before, signed now: send them within `SIGNED_SECONDS`."""
        configured = settings().stripe_connect_webhook_secret
        secret = configured.get_secret_value().encode() if configured else b""
        seconds = str(clock.timestamp()).encode()
        for number in range(self._next, self._next + count):
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
        self._next += count
