"""What is known about how a payment came about, as `attribution` wants it.

Clicks and messages are looked up by the moment of payment, not by what the ghost shows last: a payment is often heard
of late, and by then the customer may have opened the link once more to see whether it arrived.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from core.config import settings
from models.ghost import GhostTarget
from models.messaging import Click
from services.integrations.stripe.facts import DeclineFacts, InvoiceFacts
from services.recovery import repository
from services.recovery.credit import evidence_repository
from services.recovery.credit.attribution import STRIPE_GRANULARITY, PaymentContext
from services.recovery.strategy import retried_by_stripe


@dataclass(frozen=True, slots=True)
class Evidence:
    """The context of a payment, and whether the browser that clicked came back to us from Stripe's page."""

    context: PaymentContext
    came_back: bool


def of_payment(session: Session, ghost: GhostTarget, facts: InvoiceFacts, paid_at: datetime) -> Evidence:
    """What happened before a ghost's payment at `paid_at` (aware UTC). Reads only."""
    merchant_id, last_second = ghost.merchant_id, paid_at + STRIPE_GRANULARITY
    click = _last_click(session, ghost, last_second)
    message = evidence_repository.last_message(session, merchant_id, ghost.id, paid_at)
    context = PaymentContext(
        paid_at=paid_at,
        own_attempt_succeeded=not facts.paid_out_of_band
        and repository.has_own_success(session, ghost, facts.card.payment_method_id, last_second),
        last_click_at=click.confirmed_at if click else None,
        last_message_at=message[1] if message else None,
        stripe_retry_due_at=_retry_due_at(ghost, facts),
        clicked_message_id=click.message_id if click else None,
        last_message_id=message[0] if message else None,
    )
    return Evidence(context, click is not None and click.returned_at is not None)


def of_safety(session: Session, ghost: GhostTarget, at: datetime) -> PaymentContext:
    """What happened before a charge was made safe at `at` (aware UTC); nothing was charged yet. Reads only."""
    click = _last_click(session, ghost, at + STRIPE_GRANULARITY)
    message = evidence_repository.last_message(session, ghost.merchant_id, ghost.id, at)
    return PaymentContext(
        paid_at=at,
        own_attempt_succeeded=False,
        last_click_at=click.confirmed_at if click else None,
        last_message_at=message[1] if message else None,
        stripe_retry_due_at=None,
        clicked_message_id=click.message_id if click else None,
        last_message_id=message[0] if message else None,
    )


def _last_click(session: Session, ghost: GhostTarget, until: datetime) -> Click | None:
    """In a demo the outbox is where a customer finds a message; in life only the merchant looks there."""
    counts = settings().is_demo
    return evidence_repository.last_click(session, ghost.merchant_id, ghost.id, until, also_from_outbox=counts)


def _retry_due_at(ghost: GhostTarget, facts: InvoiceFacts) -> datetime | None:
    """When Stripe was to charge again, if it did: a charge that Stripe did not make is no merit of its schedule.

    Stripe counts its own retries, the one that succeeds too, and what a person or PHANTOM pays never (Stripe docs,
    `invoice.attempt_count`); money outside Stripe is nobody's charge. After some declines it only counts.
    """
    if facts.paid_out_of_band or facts.attempt_count <= ghost.attempt_count:
        return None
    decline = DeclineFacts(decline_code=ghost.decline_code)
    return ghost.next_payment_attempt if retried_by_stripe(decline) else None
