"""Whose merit a payment is, in the order of precedence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models.ghost import Mechanism
from services.recovery.attribution import PaymentContext, mechanism_of

PAID = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALL = PaymentContext(
    paid_at=PAID,
    own_attempt_succeeded=True,
    last_click_at=PAID - HOUR,
    last_message_at=PAID - DAY,
    stripe_retry_due_at=PAID - timedelta(minutes=5),
)


@pytest.mark.parametrize(
    ("context", "mechanism"),
    [
        (ALL, Mechanism.OWN_ATTEMPT),
        (replace(ALL, own_attempt_succeeded=False), Mechanism.CLICK),
        (replace(ALL, own_attempt_succeeded=False, last_click_at=None), Mechanism.STRIPE_RETRY),
        (replace(ALL, own_attempt_succeeded=False, last_click_at=None, stripe_retry_due_at=None), Mechanism.MESSAGE),
        (PaymentContext(PAID, False, None, None, None), Mechanism.ORGANIC),
        (PaymentContext(PAID, False, PAID + HOUR, None, None), Mechanism.ORGANIC),
        (PaymentContext(PAID, False, PAID + timedelta(milliseconds=700), None, None), Mechanism.CLICK),
        (PaymentContext(PAID, False, PAID - 31 * DAY, None, None), Mechanism.ORGANIC),
        (PaymentContext(PAID, False, None, PAID + HOUR, None), Mechanism.ORGANIC),
        (PaymentContext(PAID, False, None, PAID - 15 * DAY, None), Mechanism.ORGANIC),
        (PaymentContext(PAID, False, None, None, PAID - 3 * HOUR), Mechanism.ORGANIC),
        (PaymentContext(PAID, False, None, None, PAID + HOUR), Mechanism.ORGANIC),
    ],
    ids=[
        "own attempt outranks all",
        "a click outranks a retry",
        "the schedule outranks a message",
        "a message of yesterday",
        "nothing happened",
        "a click after paying claims nothing",
        "a click in Stripe's own second counts",
        "a click of last month claims nothing",
        "a message after paying claims nothing",
        "a message of two weeks ago claims nothing",
        "a retry long past claims nothing",
        "a retry still to come claims nothing",
    ],
)
def test_the_strongest_claim_wins(context: PaymentContext, mechanism: Mechanism):
    assert mechanism_of(context) is mechanism
