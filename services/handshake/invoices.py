"""Events about invoices, and about what ends them: whatever they say, each invoice is read fresh."""

from core import clock, db
from models.ghost import GIVEN_UP, GhostState
from services.handshake import looking
from services.handshake.schemas import IncomingEvent
from services.hunter.billing import record_billed
from services.integrations.stripe.client import ScopedStripe, client_for
from services.integrations.stripe.invoices import read_invoice
from services.integrations.stripe.parsing import parse_invoice
from services.integrations.stripe.reading import identifier
from services.recovery import repository
from services.recovery.protection import impending
from services.recovery.work import merchant_context


def _read_again(merchant_id: str, invoice_id: str, client: ScopedStripe) -> str:
    """Read an invoice fresh and bring its ghost up to date; no transaction is open while Stripe is asked."""
    facts = read_invoice(client, invoice_id)
    with db.tenant_session(merchant_id) as session:
        return looking.observe_one(session, merchant_id, facts)


def failed(event: IncomingEvent) -> str:
    """A charge failed, or waits for its customer at their bank: a ghost, if the invoice read fresh is one."""
    invoice_id = identifier(event.object)
    return _read_again(event.merchant_id, invoice_id, looking.client_of(event.merchant_id)) if invoice_id else "no_id"


def changed(event: IncomingEvent) -> str:
    """Paid, voided, written off or updated: only what is known is worth a request; the rest is counted as billed."""
    invoice_id = identifier(event.object)
    if invoice_id is None:
        return "no_id"
    with db.tenant_session(event.merchant_id) as session:
        known = repository.has_ghost(session, event.merchant_id, invoice_id)
        client = client_for(session, event.merchant_id) if known else None
        was_at_risk = False
        if client is None and event.type in ("invoice.paid", "invoice.payment_succeeded"):
            facts = parse_invoice(event.object)
            record_billed(session, event.merchant_id, [facts], clock.now().date())
            was_at_risk = impending.is_watched(session, event.merchant_id, facts)
    if was_at_risk:
        return _charge_made(event.merchant_id, invoice_id)
    return _read_again(event.merchant_id, invoice_id, client) if client else "no_ghost"


def _charge_made(merchant_id: str, invoice_id: str) -> str:
    """A charge that may have stood at risk: read fresh, for an event does not tell which card it was made from."""
    facts = read_invoice(looking.client_of(merchant_id), invoice_id)
    with db.tenant_session(merchant_id) as session:
        done = impending.paid(session, merchant_context(session, merchant_id), facts, clock.now())
    return "risk_changed" if done else "no_ghost"


def payment_paid(event: IncomingEvent) -> str:
    """A payment of an invoice went through: worth a request where the invoice is known."""
    invoice_id = identifier(event.object.get("invoice"))
    if invoice_id is None:
        return "no_id"
    with db.tenant_session(event.merchant_id) as session:
        known = repository.has_ghost(session, event.merchant_id, invoice_id)
        client = client_for(session, event.merchant_id) if known else None
    return _read_again(event.merchant_id, invoice_id, client) if client else "no_ghost"


def subscription_changed(event: IncomingEvent) -> str:
    """A subscription that ended loses or stops its ghosts: look at each of their invoices again."""
    subscription_id = identifier(event.object)
    if subscription_id is None:
        return "no_id"
    with db.tenant_session(event.merchant_id) as session:
        invoice_ids = repository.unpaid_invoices_of_subscription(session, event.merchant_id, subscription_id)
    return _look_again(event.merchant_id, invoice_ids)


def _look_again(merchant_id: str, invoice_ids: list[str]) -> str:
    if not invoice_ids:
        return "no_ghost"
    outcome, client = "unchanged", looking.client_of(merchant_id)
    odd = looking.Oddity()
    for invoice_id in invoice_ids:
        facts = odd.read(read_invoice, client, invoice_id)
        if facts is None:
            continue
        with db.tenant_session(merchant_id) as session:
            if looking.observe_one(session, merchant_id, facts) != "unchanged":
                outcome = "ghost_updated"
    odd.tell()
    return outcome


def customer_deleted(event: IncomingEvent) -> str:
    """Deleting a customer ends their subscriptions: look at each of their open invoices again."""
    customer_id = identifier(event.object)
    if customer_id is None:
        return "no_id"
    with db.tenant_session(event.merchant_id) as session:
        ghosts = repository.list_unpaid_of_customer(session, event.merchant_id, customer_id)
        payable = [ghost for ghost in ghosts if ghost.state != GhostState.LOST or ghost.close_reason == GIVEN_UP]
        invoice_ids = [ghost.invoice_id for ghost in payable]
    return _look_again(event.merchant_id, invoice_ids)


def finalization_failed(event: IncomingEvent) -> str:
    """Stripe could not finish an invoice: no charge, no ghost, and money that nobody asks for."""
    looking.note(
        event, "handshake.finalization_failed", "Stripe could not finalise an invoice; see it in your dashboard."
    )
    return "noted"
