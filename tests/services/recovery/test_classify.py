"""What an invoice is, by its own state: above all who ended a subscription, which Stripe only sometimes tells."""

from dataclasses import replace
from typing import Any

import pytest

from core.clock import ManualClock
from jobs.hunt import hunt
from models.ghost import GhostEvent, GhostState
from services.hunter.schemas import HuntRequest
from services.hunter.sweeps import trim_subscription
from services.integrations.stripe.parsing import parse_invoice
from services.merchants.policies import RecoveryPolicy
from services.recovery.classify import ASKED_FOR, Verdict, classify
from tests.support.factories import raw_invoice, raw_subscription
from tests.support.shop import Shop

FAILED = parse_invoice(raw_invoice())
SOMEBODY = "Stripe does not say whether by the customer or by you."


def seen(**ending: Any) -> tuple[Verdict, str]:
    found = classify(replace(FAILED, **ending), RecoveryPolicy())
    return found.verdict, found.reason


def told(subscription: dict[str, Any], *, trimmed: bool) -> bool:
    known = trim_subscription(subscription) if trimmed else subscription
    facts = parse_invoice(raw_invoice(parent={"subscription_details": {"subscription": "sub_1"}}), subscription=known)
    assert facts.subscription_end == ASKED_FOR
    return facts.customer_said_why


class TestWhoCancelled:
    """The reason is the same whoever it was; only a customer is asked for feedback."""

    @pytest.mark.parametrize("trimmed", [True, False])
    @pytest.mark.parametrize(
        ("said", "by_customer"),
        [
            ({"feedback": "too_expensive"}, True),
            ({"comment": "I moved."}, True),
            ({}, False),
            ({"feedback": None}, False),
        ],
    )
    def test_what_tells_it(self, said: dict[str, Any], by_customer: bool, trimmed: bool) -> None:
        details = {"comment": None, "feedback": None, "reason": ASKED_FOR, **said}
        assert told(raw_subscription(cancellation_details=details), trimmed=trimmed) is by_customer

    def test_what_somebody_wrote_is_not_kept(self) -> None:
        kept = trim_subscription(raw_subscription(cancellation_details={"reason": ASKED_FOR, "comment": "I am ill."}))
        assert "I am ill." not in str(kept)

    def test_over(self) -> None:
        over = {"subscription_status": "canceled", "subscription_end": ASKED_FOR}
        assert seen(**over) == (Verdict.STOPPED, f"The subscription was cancelled. {SOMEBODY}")
        assert seen(**over, customer_said_why=True) == (Verdict.STOPPED, "The customer cancelled the subscription.")

    def test_with_its_period(self) -> None:
        ending = {"is_ending": True, "subscription_end": ASKED_FOR}
        assert seen(**ending) == (
            Verdict.STOPPED,
            f"The subscription was cancelled, and it ends with its period. {SOMEBODY}",
        )
        assert seen(**ending, customer_said_why=True)[1].startswith("The customer cancelled the subscription, and")

    @pytest.mark.parametrize(
        ("end", "words"),
        [
            ("payment_failed", "The subscription ended for non-payment."),
            ("payment_disputed", "The subscription ended because a payment was disputed."),
            ("canceled_by_retention_policy", "The subscription ended."),
            ("", "The subscription ended."),
        ],
    )
    def test_what_ended_by_itself_is_lost_for_its_own_reason(self, end: str, words: str) -> None:
        assert seen(subscription_status="canceled", subscription_end=end) == (Verdict.LOST, words)


class TestOnTheGhostsPage:
    @pytest.fixture
    def shop(self, database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
        shop = Shop.open(clock, monkeypatch)
        shop.actions.set_rules(shop.account, retry_days=[])
        shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        return shop

    @pytest.mark.parametrize("by", ["webhook", "hunt"])
    @pytest.mark.parametrize("feedback", ["too_expensive", None])
    @pytest.mark.parametrize("at_period_end", [True, False])
    def test_it_never_says_the_customer_where_nobody_knows(
        self, shop: Shop, at_period_end: bool, feedback: str | None, by: str
    ):
        (ghost,) = shop.ghosts
        subscription = str(ghost.subscription_id)
        shop.actions.cancel_subscription(
            shop.account, str(subscription), at_period_end=at_period_end, feedback=feedback
        )
        if by == "webhook":
            shop.deliver()
        else:
            shop.take()
            hunt(shop.merchant, HuntRequest())
        (ghost,) = shop.ghosts
        assert ghost.state == GhostState.STOPPED
        reason = [event.reason for event in shop.rows(GhostEvent)][-1]
        shown = f"{reason} {ghost.next_action_reason} {ghost.retry_reason}"
        assert ("The customer" in shown) is (feedback is not None)
        assert (SOMEBODY in shown) is (feedback is None)
