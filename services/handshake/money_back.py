"""Events about money that went back, or that was to go back and did not: refunds and disputes.

All of a charge's refunds are read, whichever an event was about. What undoes a refund that counted is settled together
with whatever else was taken from the charge: it may have found nothing left before.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from core import clock, db
from services.handshake import looking
from services.handshake.schemas import IncomingEvent
from services.integrations.stripe import returns
from services.integrations.stripe.client import PAGE, ScopedStripe
from services.integrations.stripe.invoices import read_invoice
from services.integrations.stripe.reading import identifier
from services.recovery import neighbours, repository
from services.recovery.credit import reversals
from services.recovery.work import merchant_context


def charge_refunded(event: IncomingEvent) -> str:
    """A refund was made, in whole or in part."""
    charge_id = identifier(event.object)
    if charge_id is None:
        return "no_id"
    return _settle(event, looking.client_of(event.merchant_id), charge_id)


def refund_changed(event: IncomingEvent) -> str:
    """A refund failed or was called off, which may be weeks after it was made; any other change is no news.

    Of one that took nothing there is nothing to give back: no request.
    """
    charge_id, undone = identifier(event.object.get("charge")), returns.undone_refund(event.object)
    if undone is None:
        return "unchanged"
    if charge_id is None or not _counted(event, [undone]):
        return "no_recovery"
    return _settle(event, looking.client_of(event.merchant_id), charge_id, undone_at=event.created)


def dispute_changed(event: IncomingEvent) -> str:
    """Opened, or decided. What a bank takes back by itself, as it may with a debit, is lost when it is opened."""
    dispute_id = identifier(event.object)
    if dispute_id is None:
        return "no_id"
    client = looking.client_of(event.merchant_id)
    dispute = client.retrieve_dispute(dispute_id, ["charge"])
    if event.type == "charge.dispute.created" and returns.is_open(dispute):
        looking.note(
            event, "handshake.dispute_opened", "A customer disputes a payment. It counts until the dispute is lost."
        )
        return "noted"
    won, charge_id = returns.won_dispute(dispute), identifier(dispute.get("charge"))
    if won is not None and charge_id is not None and _counted(event, [won]):
        return _settle(event, client, charge_id, [won], undone_at=event.created)
    back = returns.lost_dispute(dispute)
    if back is None:
        return "dispute_not_lost"
    return _take_back(event, client, [replace(back, at=max(event.created, back.at or event.created))])


def _counted(event: IncomingEvent, undone: Sequence[returns.Undone]) -> bool:
    with db.tenant_session(event.merchant_id) as session:
        return bool(reversals.invoices_of(session, event.merchant_id, undone))


def _settle(
    event: IncomingEvent,
    client: ScopedStripe,
    charge_id: str,
    undone: Sequence[returns.Undone] = (),
    undone_at: datetime | None = None,
) -> str:
    """Bring the ledger up to date with everything that went back of a charge, and what of it did not."""
    asked = {"charge": charge_id, "expand": ["data.charge"]}
    refunds = [item for page in client.pages("/v1/refunds", asked) for item in page["data"]]
    backs = [back for item in refunds if (back := returns.refund_of(item)) is not None]
    undone = [*undone, *(one for item in refunds if (one := returns.undone_refund(item)) is not None)]
    if undone and _counted(event, undone):
        disputes = client.raw_get("/v1/disputes", {**asked, "limit": PAGE})["data"]
        backs += [replace(back, at=None) for item in disputes if (back := returns.lost_dispute(item)) is not None]
    return _take_back(event, client, backs, undone, undone_at)


def _take_back(
    event: IncomingEvent,
    client: ScopedStripe,
    backs: Sequence[returns.MoneyBack],
    undone: Sequence[returns.Undone] = (),
    undone_at: datetime | None = None,
) -> str:
    """Take recoveries back. A payment whose own event is late or lost is recorded first, else it could never be.

    An invoice that cannot be read, or is gone, hides no other of the payment's. What it was is told at the end.
    """
    intents = {back.payment_intent_id for back in backs if back.payment_intent_id}
    if not intents and not undone:
        return "no_payment_intent"
    invoices = {intent: _invoices_of_intent(event.merchant_id, client, intent) for intent in intents}
    paid = sorted({each for found in invoices.values() for each in found})
    odd = looking.Oddity()
    facts = [seen for each in paid if (seen := odd.read(read_invoice, client, each)) is not None]
    returned = [
        reversals.Returned(back, tuple(invoices[back.payment_intent_id])) for back in backs if back.payment_intent_id
    ]
    with db.tenant_session(event.merchant_id) as session:
        gone = reversals.invoices_of(session, event.merchant_id, undone)
        neighbours.take(session, event.merchant_id, facts, [*gone, *paid])
        for each in facts:
            looking.observe_one(session, event.merchant_id, each)
        merchant = merchant_context(session, event.merchant_id)
        done = 0
        if paid or gone:
            done = reversals.take_back(session, merchant, returned, clock.now(), undone, undone_at)
    odd.tell()
    return ("given_back" if gone else "reversed") if done else "no_recovery"


def _invoices_of_intent(merchant_id: str, client: ScopedStripe, intent_id: str) -> list[str]:
    """The invoices of known ghosts that this payment paid, in whole or in part: Stripe is asked which it was put to.

    A payment that succeeded may be another than the one that failed, and may have paid several.
    """
    asked = {"payment": {"type": "payment_intent", "payment_intent": intent_id}, "limit": PAGE}
    paid = [identifier(each.get("invoice")) for each in client.raw_get("/v1/invoice_payments", asked)["data"]]
    with db.tenant_session(merchant_id) as session:
        known = repository.invoices_of_intent(session, merchant_id, intent_id)
        return sorted({*known, *(each for each in paid if each and repository.has_ghost(session, merchant_id, each))})
