"""What each kind of event makes PHANTOM do. Events are hints: the object's own state, read fresh, decides.

So a repeated, late or shuffled event can only make us look again, never move a ghost wrongly. Each handler opens
its own tenant sessions, with no transaction open while Stripe is asked, and is safe to run twice.
"""

from collections.abc import Callable
from datetime import timedelta

from core import clock, db
from models.ghost import GIVEN_UP, GhostState
from services.audit import service as audit
from services.audit.unreadable import Unreadable, note_of_webhook
from services.handshake import looking, money_back, renewals
from services.handshake.schemas import IncomingEvent
from services.hunter.billing import record_billed
from services.integrations.stripe.client import MerchantNotConnectedError, ScopedStripe, client_for
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeNotFoundError,
    StripePermissionError,
    StripeRateLimitedError,
    StripeUnavailableError,
)
from services.integrations.stripe.parsing import UnreadableInvoiceError, parse_invoice
from services.integrations.stripe.reading import identifier
from services.merchants import service as merchants
from services.recovery import repository
from services.recovery.charging import new_cards
from services.recovery.charging.new_cards import Came, News
from services.recovery.protection import impending
from services.recovery.work import merchant_context
from services.tasks.errors import Retry

BUSY_PAUSE = timedelta(seconds=30)
Handler = Callable[[IncomingEvent], str]


def handle(event: IncomingEvent) -> str:
    """Act on a verified event of a known merchant; the outcome in one word, kept with the event.

    Raises `Retry` while Stripe asks us to wait, and whatever is unexpected, so that the task is tried again.
    """
    handler = HANDLERS.get(event.type)
    if handler is None:
        return "ignored"
    try:
        return handler(event)
    except MerchantNotConnectedError:
        return "disconnected"
    except StripeNotFoundError:
        return "object_missing"
    except UnreadableInvoiceError as error:
        _note_unreadable(event, error)
        return "unreadable"
    except (StripeRateLimitedError, StripeUnavailableError) as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    except (StripeAuthenticationError, StripePermissionError):
        looking.note(
            event, "handshake.no_access", "Stripe does not let PHANTOM read this account any more: connect again."
        )
        return "no_access"


def _read_again(merchant_id: str, invoice_id: str, client: ScopedStripe) -> str:
    """Read an invoice fresh and bring its ghost up to date; no transaction is open while Stripe is asked."""
    facts = looking.fresh(client, invoice_id)
    with db.tenant_session(merchant_id) as session:
        return looking.observe_one(session, merchant_id, facts)


def _invoice_failed(event: IncomingEvent) -> str:
    invoice_id = identifier(event.object)
    return _read_again(event.merchant_id, invoice_id, looking.client_of(event.merchant_id)) if invoice_id else "no_id"


def _invoice_changed(event: IncomingEvent) -> str:
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
    facts = looking.fresh(looking.client_of(merchant_id), invoice_id)
    with db.tenant_session(merchant_id) as session:
        done = impending.paid(session, merchant_context(session, merchant_id), facts, clock.now())
    return "risk_changed" if done else "no_ghost"


def _invoice_payment_paid(event: IncomingEvent) -> str:
    invoice_id = identifier(event.object.get("invoice"))
    if invoice_id is None:
        return "no_id"
    with db.tenant_session(event.merchant_id) as session:
        known = repository.has_ghost(session, event.merchant_id, invoice_id)
        client = client_for(session, event.merchant_id) if known else None
    return _read_again(event.merchant_id, invoice_id, client) if client else "no_ghost"


def _subscription_changed(event: IncomingEvent) -> str:
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
    odd: UnreadableInvoiceError | StripeNotFoundError | None = None
    for invoice_id in invoice_ids:
        try:
            facts = looking.fresh(client, invoice_id)
        except (UnreadableInvoiceError, StripeNotFoundError) as error:  # told at the end: the others are looked at
            odd = error if odd is None or isinstance(error, UnreadableInvoiceError) else odd
            continue
        with db.tenant_session(merchant_id) as session:
            if looking.observe_one(session, merchant_id, facts) != "unchanged":
                outcome = "ghost_updated"
    if odd is not None:
        raise odd
    return outcome


def _card_added(event: IncomingEvent) -> str:
    """A customer added a card: their open invoices are paid with it at once."""
    customer_id, method_id = identifier(event.object.get("customer")), identifier(event.object)
    return _pay_with(event, customer_id, method_id, Came.SAVED)


def _card_renewed(event: IncomingEvent) -> str:
    """The network gave a saved card new data: the same card, which is worth one more charge."""
    customer_id, method_id = identifier(event.object.get("customer")), identifier(event.object)
    return _pay_with(event, customer_id, method_id, Came.RENEWED)


def _customer_deleted(event: IncomingEvent) -> str:
    """Deleting a customer ends their subscriptions: look at each of their open invoices again."""
    customer_id = identifier(event.object)
    if customer_id is None:
        return "no_id"
    with db.tenant_session(event.merchant_id) as session:
        ghosts = repository.list_unpaid_of_customer(session, event.merchant_id, customer_id)
        payable = [ghost for ghost in ghosts if ghost.state != GhostState.LOST or ghost.close_reason == GIVEN_UP]
        invoice_ids = [ghost.invoice_id for ghost in payable]
    return _look_again(event.merchant_id, invoice_ids)


def _finalization_failed(event: IncomingEvent) -> str:
    """Stripe could not finish an invoice: no charge, no ghost, and money that nobody asks for."""
    looking.note(
        event, "handshake.finalization_failed", "Stripe could not finalise an invoice; see it in your dashboard."
    )
    return "noted"


def _customer_changed(event: IncomingEvent) -> str:
    """A customer's default card changed, which is how some portals set a card that was attached before."""
    settings = event.object.get("invoice_settings")
    before = event.previous_attributes.get("invoice_settings")
    if not isinstance(settings, dict) or not isinstance(before, dict) or "default_payment_method" not in before:
        return "no_new_card"
    method_id = identifier(settings.get("default_payment_method"))
    return _pay_with(event, identifier(event.object), method_id, Came.CHOSEN)


def _pay_with(event: IncomingEvent, customer_id: str | None, method_id: str | None, came: Came) -> str:
    if customer_id is None or method_id is None:
        return "no_id"
    renewal, choice = (event.id if came is kind else "" for kind in (Came.RENEWED, Came.CHOSEN))
    news = News(method_id, came, renewal, choice=choice)
    with db.tenant_session(event.merchant_id) as session:
        scheduled = new_cards.schedule(session, event.merchant_id, customer_id, news, event.created)
    return "payment_scheduled" if scheduled else "no_ghost"


def _and_at_risk(handler: Handler) -> Handler:
    """What an event means for ghosts, and then for charges that have not failed yet.

    An invoice that is gone, or cannot be read, hides none of these; it is told at the end.
    """

    def both(event: IncomingEvent) -> str:
        try:
            outcome = handler(event)
        except (UnreadableInvoiceError, StripeNotFoundError):
            renewals.look_again(event)
            raise
        seen = renewals.look_again(event)
        return outcome if seen in ("no_ghost", "unchanged") else seen

    return both


def _deauthorized(event: IncomingEvent) -> str:
    with db.tenant_session(event.merchant_id) as session:
        merchants.mark_disconnected(
            session, event.merchant_id, at=event.created, reason="The account was disconnected at Stripe."
        )
    return "disconnected"


def _note_unreadable(event: IncomingEvent, error: UnreadableInvoiceError) -> None:
    message = f"An invoice could not be read: {error.detail}."
    with db.tenant_session(event.merchant_id) as session:
        note_of_webhook(session, event.merchant_id, Unreadable(error.reason, error.shape, error.invoice_id or event.id))
        audit.log_event(
            session,
            event.merchant_id,
            "handshake.unreadable",
            message,
            level="warning",
            facts={"event_id": event.id, "shape": error.shape, "api_version": event.api_version},
        )


HANDLERS: dict[str, Handler] = {
    "invoice.payment_failed": _invoice_failed,
    "invoice.payment_action_required": _invoice_failed,
    "invoice.paid": _invoice_changed,
    "invoice.payment_succeeded": _invoice_changed,
    "invoice.updated": _invoice_changed,
    "invoice.voided": _invoice_changed,
    "invoice.marked_uncollectible": _invoice_changed,
    "invoice_payment.paid": _invoice_payment_paid,
    "customer.subscription.updated": _and_at_risk(_subscription_changed),
    "customer.subscription.deleted": _and_at_risk(_subscription_changed),
    "customer.subscription.paused": _and_at_risk(_subscription_changed),
    "customer.subscription.resumed": _and_at_risk(_subscription_changed),
    "payment_method.attached": _and_at_risk(_card_added),
    "payment_method.automatically_updated": _and_at_risk(_card_renewed),
    "customer.updated": _and_at_risk(_customer_changed),
    "customer.deleted": _customer_deleted,
    "invoice.finalization_failed": _finalization_failed,
    "invoice.upcoming": renewals.upcoming,
    "customer.source.expiring": renewals.card_may_fail,
    "payment_method.detached": renewals.card_may_fail,
    "payment_method.updated": renewals.look_again,
    "charge.refunded": money_back.charge_refunded,
    "refund.failed": money_back.refund_changed,
    "refund.updated": money_back.refund_changed,
    "charge.refund.updated": money_back.refund_changed,
    "charge.dispute.created": money_back.dispute_changed,
    "charge.dispute.closed": money_back.dispute_changed,
    "account.application.deauthorized": _deauthorized,
}
