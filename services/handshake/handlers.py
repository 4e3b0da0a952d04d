"""What each kind of event makes PHANTOM do. Events are hints: the object's own state, read fresh, decides.

So a repeated, late or shuffled event can only make us look again, never move a ghost wrongly. Each handler opens
its own tenant sessions, with no transaction open while Stripe is asked, and is safe to run twice.
"""

from collections.abc import Callable
from datetime import timedelta

from core import db
from services.audit import service as audit
from services.audit.unreadable import Unreadable, note_of_webhook
from services.handshake import cards, invoices, looking, money_back, renewals
from services.handshake.schemas import IncomingEvent
from services.integrations.stripe.client import MerchantNotConnectedError
from services.integrations.stripe.errors import (
    StripeAuthenticationError,
    StripeNotFoundError,
    StripePermissionError,
    StripeRateLimitedError,
    StripeUnavailableError,
)
from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.merchants import service as merchants
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
    "invoice.payment_failed": invoices.failed,
    "invoice.payment_action_required": invoices.failed,
    "invoice.paid": invoices.changed,
    "invoice.payment_succeeded": invoices.changed,
    "invoice.updated": invoices.changed,
    "invoice.voided": invoices.changed,
    "invoice.marked_uncollectible": invoices.changed,
    "invoice_payment.paid": invoices.payment_paid,
    "customer.subscription.updated": _and_at_risk(invoices.subscription_changed),
    "customer.subscription.deleted": _and_at_risk(invoices.subscription_changed),
    "customer.subscription.paused": _and_at_risk(invoices.subscription_changed),
    "customer.subscription.resumed": _and_at_risk(invoices.subscription_changed),
    "payment_method.attached": _and_at_risk(cards.added),
    "payment_method.automatically_updated": _and_at_risk(cards.renewed),
    "customer.updated": _and_at_risk(cards.chosen),
    "customer.deleted": invoices.customer_deleted,
    "invoice.finalization_failed": invoices.finalization_failed,
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
