"""Which charges an invoice's own count tells of, as rows of `payment_attempts`: Stripe's, and a customer's own.

Stripe counts the first attempt of any kind and its own retries, never what a customer tries later on the hosted page
(Stripe docs, `invoice.attempt_count`). So a count that rose is Stripe's doing, and a charge that came without one is a
person's, unless it is ours.

After some declines Stripe goes on counting and charges no more (FACTS §1): what was only counted is no charge, and
eats nothing of a card's budget.
"""

from datetime import datetime, timedelta

from core import ids
from models.ghost import GhostTarget
from models.money import AttemptSource, AttemptState
from services.integrations.stripe.facts import DeclineFacts
from services.recovery.strategy import retried_by_stripe

_MOST = 40  # rows of one look: what an old invoice counted beyond that is past every limit's days
_FRESH = timedelta(days=2)

Row = dict[str, object]


def was_charged(ghost: GhostTarget, former_code: str, former_charge: str | None) -> bool:
    """Whether a count that rose is a charge: after some declines it rises all the same.

    Another charge or another decline than before shows that there was one.
    """
    told = (ghost.decline_code, ghost.charge_id) != (former_code, former_charge)
    return told or retried_by_stripe(DeclineFacts(decline_code=former_code))


def of_stripe(ghost: GhostTarget, former: int, due: datetime | None, now: datetime) -> list[Row]:
    """The attempts since the count was `former`. `due` is when Stripe had said that it would try again.

    When each was made is known of the first (with the invoice) and of one that was due; the others are taken for
    new, so that a budget is rather kept too long than spent twice. A decline that ends Stripe's charges was its last.
    """
    goes_on = retried_by_stripe(DeclineFacts(decline_code=ghost.decline_code))
    last = ghost.attempt_count if goes_on else min(ghost.attempt_count, former + 1)
    at = due if due is not None and now - _FRESH < due <= now else now
    first_at = ghost.original_invoice_date if ghost.attempt_count > 1 else at
    numbers = range(max(former + 1, last - _MOST + 1), last + 1)
    rows = [_row(ghost, number, first_at if number == 1 else at) for number in numbers]
    if rows:
        rows[-1]["charge_id"], ghost.last_charge_at = ghost.charge_id, first_at if last == 1 else at
    return rows


def of_customer(ghost: GhostTarget, now: datetime) -> Row:
    """The charge that this ghost's customer has just tried themselves."""
    return _row(ghost, 0, now) | {
        "source": AttemptSource.CUSTOMER,
        "idempotency_key": f"customer:{ghost.charge_id}",
        "charge_id": ghost.charge_id,
    }


def _key(ghost: GhostTarget, number: int) -> str:
    return f"stripe:{ghost.invoice_id}:{number}"


def _row(ghost: GhostTarget, number: int, at: datetime) -> Row:
    return {
        "merchant_id": ghost.merchant_id,
        "id": ids.new_id("pa"),
        "ghost_id": ghost.id,
        "invoice_id": ghost.invoice_id,
        "source": AttemptSource.STRIPE,
        "state": AttemptState.DECLINED,
        "idempotency_key": _key(ghost, number),
        "payment_method_id": ghost.payment_method_id,
        "card_brand": ghost.card_brand,
        "card_fingerprint": ghost.card_fingerprint,
        "charge_id": None,
        "decline_code": ghost.decline_code,
        "attempted_at": at,
    }
