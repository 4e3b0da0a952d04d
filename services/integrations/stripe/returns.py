"""Refunds and disputes as plain dicts: how much of a payment went back, and which of them are not decided yet."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.integrations.stripe.reading import Plain, identifier, mapping, moment, money

# What ends a dispute, by the SDK's own list of states (stripe.Dispute.status).
_ENDED = frozenset({"won", "lost", "warning_closed", "prevented"})
_CAME_TO_NOTHING = frozenset({"failed", "canceled"})  # refunds whose money stayed (stripe.Refund.status)


@dataclass(frozen=True, slots=True)
class Undone:
    """A refund that failed or was called off after it was made, or a dispute that was won after all.

    `source_id` is the refund or the dispute, as it was named when it counted.
    """

    source_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """What one refund or one lost dispute took from a payment. Amounts are in minor units of the charge.

    `source_id` is the refund or the dispute: whoever hears of the same again, by event or by list, names the same one.
    `at` is the latest moment Stripe gives for it, None when it gives none; `made_at` is when it was made or opened.
    `charged` is all that the payment brought, 0 where that is not known.
    """

    payment_intent_id: str | None
    source_id: str
    amount: int
    reason: str
    at: datetime | None
    charged: int = 0
    made_at: datetime | None = None


def refund_of(refund: Any) -> MoneyBack | None:
    """What a refund took back; None for one that came to nothing. Its charge, where expanded, says how much there was.

    Raises `UnreadableInvoiceError`.
    """
    found = mapping(refund)
    refund_id = identifier(found)
    if refund_id is None or found.get("status") in _CAME_TO_NOTHING:
        return None
    charge = mapping(found.get("charge"))
    return MoneyBack(
        payment_intent_id=identifier(found.get("payment_intent")) or identifier(charge.get("payment_intent")),
        source_id=refund_id,
        amount=_amount(found, "amount"),
        reason="The payment was refunded.",
        at=moment(found.get("created")),
        charged=_amount(charge, "amount"),
        made_at=moment(found.get("created")),
    )


def undone_refund(refund: Any) -> Undone | None:
    """A refund whose money came back, or never left; None for every other."""
    found = mapping(refund)
    refund_id = identifier(found)
    if refund_id is None or found.get("status") not in _CAME_TO_NOTHING:
        return None
    failed = found.get("status") == "failed"
    return Undone(refund_id, "The refund failed: the money is back." if failed else "The refund was called off.")


def won_dispute(dispute: Any) -> Undone | None:
    """A dispute that the merchant won; None for every other."""
    found = mapping(dispute)
    dispute_id = identifier(found)
    return Undone(dispute_id, "The dispute was won after all.") if dispute_id and found.get("status") == "won" else None


def lost_dispute(dispute: Any) -> MoneyBack | None:
    """What a lost dispute took back; None for one that is won or open.

    Its charge, where expanded, says how much there was. Stripe does not say when it was decided, so `at` is when it was
    opened. Raises `UnreadableInvoiceError`.
    """
    found = mapping(dispute)
    dispute_id = identifier(found)
    if dispute_id is None or found.get("status") != "lost":
        return None
    charge = mapping(found.get("charge"))
    return MoneyBack(
        payment_intent_id=identifier(found.get("payment_intent")) or identifier(charge.get("payment_intent")),
        source_id=dispute_id,
        amount=_amount(found, "amount"),
        reason="The customer won a dispute over the payment.",
        at=moment(found.get("created")),
        charged=_amount(charge, "amount"),
        made_at=moment(found.get("created")),
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
