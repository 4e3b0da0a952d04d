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
    """What is known when an invoice turns out to be paid; times are UTC, None where nothing happened."""

    paid_at: datetime
    own_attempt_succeeded: bool
    last_click_at: datetime | None
    last_message_at: datetime | None
    stripe_retry_due_at: datetime | None


def mechanism_of(context: PaymentContext) -> Mechanism:
    """The strongest claim that holds: our own attempt, a human click, a message, Stripe's retry, by itself.

    A click or a message can only claim what came after it, a click within 30 days, a message within 14. Stripe's
    scheduled retry outranks a mere message when the payment falls within two hours after its due time, because the
    charge was then made by the schedule and not by a person.
    """
    if context.own_attempt_succeeded:
        return Mechanism.OWN_ATTEMPT
    click_at = context.last_click_at
    if click_at is not None and -STRIPE_GRANULARITY <= context.paid_at - click_at <= CLICK_CREDIT:
        return Mechanism.CLICK
    if _made_by_schedule(context):
        return Mechanism.STRIPE_RETRY
    message_at = context.last_message_at
    if message_at is not None and timedelta() <= context.paid_at - message_at <= MESSAGE_CREDIT:
        return Mechanism.MESSAGE
    return Mechanism.ORGANIC


def _made_by_schedule(context: PaymentContext) -> bool:
    due = context.stripe_retry_due_at
    return due is not None and timedelta() <= context.paid_at - due <= STRIPE_RETRY_WINDOW
