"""The ledger's entries: the one place where a row of `recoveries` is made, whatever brought or took the money.

An entry stands for one source (an invoice, refund, dispute or attempt) of one ghost, and is made once: the table's key
says so, and not what anybody looked up before. The sums follow from it, in the same transaction, and only if it is new.
"""

from datetime import datetime

from sqlmodel import Session

from core import ids
from models.ghost import GhostTarget
from models.money import RecoveryKind
from services.recovery import repository
from services.recovery.work import Work


def enter(
    work: Work,
    ghost: GhostTarget,
    kind: RecoveryKind,
    source_id: str,
    amount: int,
    at: datetime,
    message_id: str | None = None,
    payment_intent_id: str | None = None,
) -> bool:
    """Add an entry by the ghost's mechanism as it stands; False when the source has its entry already.

    `amount` in minor units of the ghost's currency, negative for what went back, then with the payment it was of; `at`
    is when it happened, aware UTC. The sums by mechanism are added to here, all others by who knows what it means.
    """
    is_new = repository.add_recovery(
        work.session,
        {
            "merchant_id": ghost.merchant_id,
            "id": ids.new_id("rc"),
            "ghost_id": ghost.id,
            "kind": kind,
            "source_id": source_id,
            "amount_cents": amount,
            "currency": ghost.currency,
            "mechanism": ghost.mechanism,
            "message_id": message_id,
            "payment_intent_id": payment_intent_id,
            "found_at": ghost.found_at,
            "occurred_at": at,
            "recorded_at": work.now,
        },
    )
    if is_new:
        work.changes.entry(at.date(), ghost.currency, kind, ghost.mechanism, amount)
    return is_new


def paid_amount(session: Session, ghost: GhostTarget) -> int:
    """What the payment that recovered a ghost brought, minor units, whatever of it went back since; 0 for none.

    Of several payments, each undone before the next, it is the last one.
    """
    rows = repository.list_recoveries(session, ghost.merchant_id, [ghost.id])
    payments = [row for row in rows if row.kind == RecoveryKind.RECOVERED]
    return max(payments, key=lambda row: row.occurred_at).amount_cents if payments else 0
