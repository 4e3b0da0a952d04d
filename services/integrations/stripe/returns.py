"""Refunds and disputes as plain dicts: which of them take a whole payment back, and which are not decided yet."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.integrations.stripe.reading import Plain, identifier, mapping, moment, money

# What ends a dispute, by the SDK's own list of states (stripe.Dispute.status).
_ENDED = frozenset({"won", "lost", "warning_closed", "prevented"})


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """A payment that went back as a whole, by refund or by a lost dispute. `amount` is in minor units of the charge.

    `source_id` is the charge or the dispute: whoever hears of the same again, by event or by list, names the same one.
    `at` is the latest moment Stripe gives for it, None when it gives none.
    """

    payment_intent_id: str | None
    source_id: str
    amount: int
    reason: str
    at: datetime | None


def full_refund(charge: Any) -> MoneyBack | None:
    """What a charge says of its refunds: the whole payment went back, at once or piece by piece; else None.

    A partial refund is a gesture, not a reversal: the customer still pays. Raises `UnreadableInvoiceError`.
    """
    found = mapping(charge)
    charge_id = identifier(found)
    if charge_id is None or found.get("refunded") is not True:
        return None
    return MoneyBack(
        payment_intent_id=identifier(found.get("payment_intent")),
        source_id=charge_id,
        amount=_amount(found, "amount_refunded"),
        reason="The payment was refunded.",
        at=moment(found.get("created")),
    )


def lost_dispute(dispute: Any) -> MoneyBack | None:
    """The payment that a lost dispute took back; None for one that is won or open. Raises `UnreadableInvoiceError`.

    Stripe does not say when it was decided, so `at` is when it was opened.
    """
    found = mapping(dispute)
    dispute_id = identifier(found)
    if dispute_id is None or found.get("status") != "lost":
        return None
    return MoneyBack(
        payment_intent_id=identifier(found.get("payment_intent")),
        source_id=dispute_id,
        amount=_amount(found, "amount"),
        reason="The customer won a dispute over the payment.",
        at=moment(found.get("created")),
    )


def is_open(dispute: Any) -> bool:
    """Whether a dispute can still be lost."""
    return mapping(dispute).get("status") not in _ENDED


def _amount(source: Plain, field: str) -> int:
    """A missing amount is 0; what is no amount cannot be read."""
    found = money(source.get(field) or 0)
    if found is None or found < 0:
        raise UnreadableInvoiceError(f"no_{field}", identifier(source) or "")
    return found
