"""Whose merit a payment is: one pure function with an explicit precedence."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from models.ghost import Mechanism

CLICK_CREDIT = timedelta(days=30)
MESSAGE_CREDIT = timedelta(days=14)
STRIPE_RETRY_WINDOW = timedelta(hours=2)
STRIPE_GRANULARITY = timedelta(seconds=1)  # Stripe cuts its times to whole seconds, ours are finer


@dataclass(frozen=True, slots=True)
class PaymentContext:
    """What is known when an invoice turns out to be paid; times are UTC, None where nothing happened.

    Click and message are the latest that happened before the payment, each with the message it belongs to.
    """

    paid_at: datetime
    own_attempt_succeeded: bool
    last_click_at: datetime | None
    last_message_at: datetime | None
    stripe_retry_due_at: datetime | None
    clicked_message_id: str | None = None
    last_message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Credit:
    """The mechanism, and the message that brought the customer; None where no message did."""

    mechanism: Mechanism
    message_id: str | None = None


def credit_of(context: PaymentContext) -> Credit:
    """Mechanism and message of a payment, as they stand in the ledger.

    Our own attempt is made with a card that the customer has just added; the message whose link brought them to it
    gets the credit. Stripe's retry and a payment by itself have no message.
    """
    mechanism = mechanism_of(context)
    if mechanism in (Mechanism.OWN_ATTEMPT, Mechanism.CLICK) and _clicked(context):
        return Credit(mechanism, context.clicked_message_id or None)
    if mechanism is Mechanism.MESSAGE:
        return Credit(mechanism, context.last_message_id)
    return Credit(mechanism)


def mechanism_of(context: PaymentContext) -> Mechanism:
    """The strongest claim that holds: our own attempt, a human click, Stripe's retry, a message, by itself.

    A click or a message can only claim what came after it, a click within 30 days, a message within 14. Stripe's
    scheduled retry outranks a mere message when the payment falls within two hours after its due time, because the
    charge was then made by the schedule and not by a person. A payment that the customer starts from anywhere else
    (Stripe's own mail, the merchant's pages) is a message's if one came before, else it came by itself.
    """
    if context.own_attempt_succeeded:
        return Mechanism.OWN_ATTEMPT
    if _clicked(context):
        return Mechanism.CLICK
    if _made_by_schedule(context):
        return Mechanism.STRIPE_RETRY
    if _reminded(context):
        return Mechanism.MESSAGE
    return Mechanism.ORGANIC


def _clicked(context: PaymentContext) -> bool:
    at = context.last_click_at
    return at is not None and -STRIPE_GRANULARITY <= context.paid_at - at <= CLICK_CREDIT


def _reminded(context: PaymentContext) -> bool:
    at = context.last_message_at
    return at is not None and timedelta() <= context.paid_at - at <= MESSAGE_CREDIT


def _made_by_schedule(context: PaymentContext) -> bool:
    due = context.stripe_retry_due_at
    return due is not None and timedelta() <= context.paid_at - due <= STRIPE_RETRY_WINDOW
