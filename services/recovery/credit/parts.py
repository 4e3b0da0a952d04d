"""Which payment brought what, of an invoice that several paid, or that one paid in part: what a refund has to know.

Of most recoveries one payment brought all: nothing is kept of those.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from models.ghost import GhostState, GhostTarget
from services.integrations.stripe.facts import InvoiceFacts
from services.recovery.credit import entries, reversals_repository, shares
from services.recovery.work import Work


@dataclass(frozen=True, slots=True)
class Part:
    """What a payment brought of a recovery, minor units, and when it was made, as far as known."""

    amount: int
    paid_at: datetime | None


def record(work: Work, ghost: GhostTarget, facts: InvoiceFacts, recovered: int) -> None:
    """Keep what each payment brought of what was `recovered`, instead of what was kept of an earlier time it was paid.

    Facts that name no payments leave all of it to the last one.
    """
    if ghost.reopened_at is not None:
        reversals_repository.remove_parts(work.session, ghost.merchant_id, ghost.id)
    whole = len(facts.payments) == 1 and facts.payments[0].amount >= recovered and not ghost.paid_before_cents
    if whole or not recovered:
        return
    brought = shares.brought_by_each(
        facts.payments, recovered=recovered, paid_before=ghost.paid_before_cents, found_at=ghost.found_at
    )
    rows = [
        {
            "merchant_id": ghost.merchant_id,
            "payment_intent_id": payment.payment_intent_id,
            "ghost_id": ghost.id,
            "amount_cents": amount,
            "paid_at": payment.paid_at,
            "recorded_at": work.now,
        }
        for payment, amount in brought
        if payment.payment_intent_id
    ]
    reversals_repository.add_parts(work.session, rows)


def learn(work: Work, ghost: GhostTarget, facts: InvoiceFacts) -> None:
    """Keep the same of what was recovered before, when its invoice is read again and nothing is known of it."""
    if len(facts.payments) < 2 or ghost.state not in (GhostState.RECOVERED, GhostState.REVERSED):
        return
    if ghost.id not in of_ghosts(work.session, ghost.merchant_id, [ghost.id]):
        record(work, ghost, facts, entries.paid_amount(work.session, ghost))


def of_ghosts(session: Session, merchant_id: str, ghost_ids: Sequence[str]) -> dict[str, dict[str | None, Part]]:
    """What each payment brought, by ghost and payment; no ghost of which one payment brought all, or nobody knows."""
    found: dict[str, dict[str | None, Part]] = {}
    for row in reversals_repository.list_parts(session, merchant_id, ghost_ids):
        found.setdefault(row.ghost_id, {})[row.payment_intent_id] = Part(row.amount_cents, row.paid_at)
    return found
