"""Making deliveries as Stripe makes them."""

import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from core import clock, db

CONNECT_SECRET = "whsec_test_connect"
PLATFORM_SECRET = "whsec_test_platform"
ACCOUNT, MERCHANT = "acct_1Known", "mer_known"


def digest(raw: bytes, secret: str, seconds: object) -> str:
    return hmac.new(secret.encode(), f"{seconds}.".encode() + raw, hashlib.sha256).hexdigest()


def signed(raw: bytes, secret: str = CONNECT_SECRET, at: datetime | None = None) -> str:
    seconds = int((at or clock.now()).timestamp())
    return f"t={seconds},v1={digest(raw, secret, seconds)}"


def event(identifier: str = "evt_1", kind: str = "invoice.payment_failed", **fields: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "object": "event",
        "type": kind,
        "account": ACCOUNT,
        "livemode": False,
        "created": 1772442000,
        "api_version": "2026-10-28",
        "data": {"object": {"id": "in_1", "object": "invoice", "customer_email": "ada@example.com"}},
        **fields,
    }


def body(identifier: str = "evt_1", kind: str = "invoice.payment_failed", **fields: Any) -> bytes:
    return json.dumps(event(identifier, kind, **fields)).encode()


def connect_account(account: str = ACCOUNT, merchant_id: str = MERCHANT, *, ago: timedelta = timedelta(days=1)) -> None:
    with db.system_session() as session:
        session.execute(
            text(
                "insert into stripe_accounts (stripe_user_id, merchant_id, livemode, connected_at)"
                " values (:account, :merchant_id, false, :now)"
            ),
            {"account": account, "merchant_id": merchant_id, "now": clock.now() - ago},
        )


def rows(query: str, **parameters: object) -> list[dict[str, Any]]:
    with db.system_session() as session:
        return [dict(row) for row in session.execute(text(query), parameters).mappings()]
