"""Merchants and invoices for tests: made as the product makes them, with names that speak."""

import itertools
from datetime import UTC, datetime
from typing import Any

from core import clock, db, ids
from models.merchant import Merchant, StripeAccount

_numbers = itertools.count(1)


def make_merchant(*, paused: bool = False, policy: dict[str, Any] | None = None, **fields: Any) -> str:
    """A connected merchant in platform mode; its id."""
    now = clock.now()
    merchant_id = ids.new_id("mer")
    account = fields.pop("stripe_user_id", f"acct_test{next(_numbers):06d}")
    with db.tenant_session(merchant_id) as session:
        session.add(
            Merchant(
                id=merchant_id,
                name=fields.pop("name", "Northwind Analytics"),
                stripe_user_id=account,
                policy={"paused": paused, **(policy or {})},
                created_at=now,
                updated_at=now,
                connected_at=now,
                **fields,
            )
        )
        session.add(StripeAccount(stripe_user_id=account, merchant_id=merchant_id, connected_at=now))
    return merchant_id


_MONTHLY = {"interval": "month", "interval_count": 1}


def raw_subscription(**changes: Any) -> dict[str, Any]:
    """A subscription as Stripe answers it."""
    return {
        "id": "sub_1",
        "object": "subscription",
        "status": "past_due",
        "items": {
            "data": [
                {"quantity": 1, "price": {"unit_amount": 4900, "recurring": {"interval": "month", "interval_count": 1}}}
            ]
        },
        **changes,
    }


def raw_intent(decline_code: str = "insufficient_funds", **changes: Any) -> dict[str, Any]:
    """A PaymentIntent whose last attempt was declined."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": "requires_payment_method",
        "last_payment_error": {
            "code": "card_declined",
            "decline_code": decline_code,
            "type": "card_error",
            "payment_method": {
                "id": "pm_old",
                "card": {"brand": "visa", "funding": "credit", "country": "US", "last4": "0341"},
            },
        },
        **changes,
    }


def raw_invoice(number: int = 1, *, intent: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """An open, failed, recurring invoice in the present (basil) shape."""
    created = int(datetime(2026, 3, 1, 9, 0, tzinfo=UTC).timestamp())
    payment = {"type": "payment_intent", "payment_intent": intent or raw_intent(id=f"pi_{number}")}
    return {
        "id": f"in_{number}",
        "object": "invoice",
        "status": "open",
        "currency": "usd",
        "amount_due": 4900,
        "amount_remaining": 4900,
        "amount_paid": 0,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "created": created,
        "attempted": True,
        "attempt_count": 1,
        "next_payment_attempt": created + 3 * 86400,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{number}",
        "status_transitions": {"paid_at": None},
        "customer": {"id": f"cus_{number}", "email": f"customer{number}@example.com", "name": "Ada Example"},
        "parent": {"subscription_details": {"subscription": raw_subscription(id=f"sub_{number}")}},
        "payments": {"data": [{"is_default": True, "payment": payment}]},
        **changes,
    }


def raw_acacia_invoice(number: int = 1, **changes: Any) -> dict[str, Any]:
    """The same invoice as Stripe told it before 2025-03-31."""
    invoice = raw_invoice(number)
    subscription = invoice.pop("parent")["subscription_details"]["subscription"]
    intent = invoice.pop("payments")["data"][0]["payment"]["payment_intent"]
    return {
        **invoice,
        "subscription": subscription,
        "payment_intent": intent,
        "charge": "ch_1",
        "paid": False,
        **changes,
    }
