"""What was billed: recurring invoices counted once each, from hunts and webhooks alike."""

from collections.abc import Iterable
from datetime import date

from sqlmodel import Session

from services.analytics import ledger, shards
from services.hunter import repository
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.reading import MONEY_LIMIT


def record_billed(session: Session, merchant_id: str, invoices: Iterable[InvoiceFacts], today: date) -> int:
    """Add the recurring invoices among `invoices` to their day's `billed`, each once ever. Returns how many were new.

    The day is the invoice's creation (UTC), so that a late webhook lands where the money was due. Older than the
    60 days we remember would count twice, so those are left out; an amount no invoice can have would burst the sums.
    Any shard of the sums will do, because no ghost is touched: the one that is held, else that of the first customer.
    """
    recurring = {
        facts.id: facts
        for facts in invoices
        if facts.subscription_id is not None
        and 0 < facts.amount_due <= MONEY_LIMIT
        and facts.billing_reason.startswith("subscription_")
        and today - facts.created.date() < repository.BILLED_KEPT
    }
    if not recurring:
        return 0
    if not shards.held(session, merchant_id):
        first = next(iter(recurring.values()))
        shards.hold(session, merchant_id, shards.of_customer(first.customer.id or first.id))
    new = repository.add_billed(
        session,
        [
            {
                "merchant_id": merchant_id,
                "id": facts.id,
                "currency": facts.currency,
                "amount_cents": facts.amount_due,
                "billed_on": facts.created.date(),
            }
            for _, facts in sorted(recurring.items())
        ],
    )
    changes = ledger.Changes()
    for invoice_id in new:
        facts = recurring[invoice_id]
        changes.day(facts.created.date(), facts.currency, billed_count=1, billed_cents=facts.amount_due)
    ledger.apply(session, merchant_id, changes)
    return len(new)
