"""Whose merit a payment is, in the order of precedence."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models.ghost import Mechanism
from services.recovery.credit.attribution import Credit, PaymentContext, credit_of, mechanism_of

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


# Each claim by itself, strongest first; and what takes it away again.
CLAIMS = {
    Mechanism.OWN_ATTEMPT: {"own_attempt_succeeded": True},
    Mechanism.CLICK: {"last_click_at": PAID - HOUR, "clicked_message_id": "msg_clicked"},
    Mechanism.STRIPE_RETRY: {"stripe_retry_due_at": PAID - timedelta(minutes=5)},
    Mechanism.MESSAGE: {"last_message_at": PAID - DAY, "last_message_id": "msg_last"},
}
NOTHING = PaymentContext(PAID, False, None, None, None)


class TestEveryPair:
    @pytest.mark.parametrize(("stronger", "weaker"), list(itertools.combinations(CLAIMS, 2)))
    def test_the_stronger_of_two_wins(self, stronger: Mechanism, weaker: Mechanism):
        assert mechanism_of(replace(NOTHING, **CLAIMS[stronger], **CLAIMS[weaker])) is stronger  # type: ignore[arg-type]

    @pytest.mark.parametrize("claim", list(CLAIMS))
    def test_each_alone_wins_over_nothing(self, claim: Mechanism):
        assert mechanism_of(replace(NOTHING, **CLAIMS[claim])) is claim  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("field", "limit", "mechanism"),
        [
            ("last_click_at", timedelta(days=30), Mechanism.CLICK),
            ("last_message_at", timedelta(days=14), Mechanism.MESSAGE),
            ("stripe_retry_due_at", timedelta(hours=2), Mechanism.STRIPE_RETRY),
        ],
    )
    def test_a_claim_ends_with_its_window(self, field: str, limit: timedelta, mechanism: Mechanism):
        second = timedelta(seconds=1)
        at_its_end: PaymentContext = replace(NOTHING, **{field: PAID - limit})  # type: ignore[arg-type]
        too_old: PaymentContext = replace(NOTHING, **{field: PAID - limit - second})  # type: ignore[arg-type]
        assert mechanism_of(at_its_end) is mechanism
        assert mechanism_of(too_old) is Mechanism.ORGANIC


class TestWhichMessage:
    @pytest.mark.parametrize(
        ("claims", "message"),
        [
            ((Mechanism.OWN_ATTEMPT, Mechanism.CLICK, Mechanism.MESSAGE), "msg_clicked"),
            ((Mechanism.OWN_ATTEMPT, Mechanism.MESSAGE), None),
            ((Mechanism.OWN_ATTEMPT,), None),
            ((Mechanism.CLICK, Mechanism.MESSAGE), "msg_clicked"),
            ((Mechanism.STRIPE_RETRY, Mechanism.MESSAGE), None),
            ((Mechanism.MESSAGE,), "msg_last"),
            ((), None),
        ],
        ids=[
            "a card added through our link",
            "a card added without it",
            "a card added before any message",
            "the message that was followed, not the last",
            "the schedule has none",
            "a message alone",
            "by itself",
        ],
    )
    def test_gets_the_credit(self, claims: tuple[Mechanism, ...], message: str | None):
        fields = {name: value for claim in claims for name, value in CLAIMS[claim].items()}
        expected = claims[0] if claims else Mechanism.ORGANIC
        assert credit_of(replace(NOTHING, **fields)) == Credit(expected, message)  # type: ignore[arg-type]

    def test_a_click_too_old_credits_no_message_to_our_attempt(self):
        context = replace(ALL, last_click_at=PAID - 31 * DAY, clicked_message_id="msg_clicked")
        assert credit_of(context) == Credit(Mechanism.OWN_ATTEMPT, None)
