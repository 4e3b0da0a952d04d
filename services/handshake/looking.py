"""What handlers of webhooks share: a merchant's client, an invoice read fresh, what it changes, and a word about it."""

from dataclasses import replace

from sqlmodel import Session

from core import clock, db
from models.ghost import FoundVia
from services.audit import service as audit
from services.handshake.schemas import IncomingEvent
from services.hunter.billing import record_billed
from services.integrations.stripe.client import ScopedStripe, client_for
from services.integrations.stripe.facts import InvoiceFacts
from services.integrations.stripe.parsing import INVOICE_EXPAND, parse_invoice
from services.recovery import neighbours
from services.recovery.observe import observe
from services.recovery.work import merchant_context


def client_of(merchant_id: str) -> ScopedStripe:
    """Raises `MerchantNotConnectedError`."""
    with db.tenant_session(merchant_id) as session:
        return client_for(session, merchant_id)


def fresh(client: ScopedStripe, invoice_id: str) -> InvoiceFacts:
    """An invoice as it is now, and when it was asked for. Raises the client's errors, `UnreadableInvoiceError`."""
    asked_at = clock.now()
    return replace(parse_invoice(client.retrieve_invoice(invoice_id, INVOICE_EXPAND)), read_at=asked_at)


def observe_one(session: Session, merchant_id: str, facts: InvoiceFacts) -> str:
    """Bring the ghost of an invoice up to date, in the caller's transaction; the outcome in one word."""
    now = clock.now()
    neighbours.take(session, merchant_id, [facts])
    record_billed(session, merchant_id, [facts], now.date())
    seen = observe(session, merchant_context(session, merchant_id), [facts], FoundVia.WEBHOOK, now)
    if seen.found:
        return "ghost_found"
    return "ghost_updated" if seen.updated else "unchanged"


def note(event: IncomingEvent, name: str, message: str) -> None:
    """Tell the merchant's log of an event that somebody should look at."""
    with db.tenant_session(event.merchant_id) as session:
        audit.log_event(session, event.merchant_id, name, message, level="warning", facts={"event_id": event.id})
