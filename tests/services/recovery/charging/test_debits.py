"""A debit that Stripe takes is no success yet: the bank's word comes in days, and says whether it was one."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

from core import clock as core_clock
from core import db
from core.clock import ManualClock
from models.ghost import GhostState
from models.money import AttemptSource, AttemptState, PaymentAttempt
from services.recovery.charging import paying
from services.tasks.errors import Retry
from tests.services.recovery.charging.test_new_cards import failed, run
from tests.services.recovery.charging.test_retrying import default_card, own
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


def with_debit(shop: Shop) -> tuple[Any, str]:
    """A failed renewal, a bank account saved since, and its debit under way."""
    subscription = failed(shop)
    debit = shop.actions.create_debit(shop.account)["id"]
    shop.actions.attach_payment_method(shop.account, debit, subscription["customer"])
    shop.deliver()
    looks_again(shop)
    return subscription, debit


def looks_again(shop: Shop) -> None:
    with pytest.raises(Retry) as wait:
        run(shop)
    assert wait.value.at == core_clock.now() + paying.NEXT_LOOK


def invoice(shop: Shop) -> str:
    return shop.ghosts[0].invoice_id


def states(shop: Shop) -> list[AttemptState]:
    return [row.state for row in own(shop)]


def test_what_is_under_way_is_no_success_and_moves_no_default(shop: Shop):
    subscription, debit = with_debit(shop)
    assert (states(shop), shop.ghosts[0].mechanism) == ([AttemptState.PROCESSING], "")
    assert default_card(shop, subscription["customer"]) != debit
    shop.pass_time(days=3)
    looks_again(shop)
    assert states(shop) == [AttemptState.PROCESSING]


def test_the_money_that_came_is_our_merit_and_the_account_is_charged_from_now_on(shop: Shop):
    subscription, debit = with_debit(shop)
    shop.pass_time(days=4)
    shop.actions.settle_debit(shop.account, invoice(shop))
    shop.deliver()
    assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")
    assert run(shop) == [{"attempt": "succeeded"}]
    assert states(shop) == [AttemptState.SUCCEEDED]
    assert default_card(shop, subscription["customer"]) == debit


def test_what_did_not_come_is_declined_and_claims_no_later_payment(shop: Shop):
    subscription, _ = with_debit(shop)
    usual = default_card(shop, subscription["customer"])
    shop.pass_time(days=4)
    shop.actions.settle_debit(shop.account, invoice(shop), decline_code="insufficient_funds")
    shop.deliver()
    assert run(shop) == [{"attempt": "declined"}]
    (attempt,) = own(shop)
    assert (attempt.state, attempt.decline_code) == (AttemptState.DECLINED, "insufficient_funds")
    assert [row for row in shop.rows(PaymentAttempt) if row.source == AttemptSource.CUSTOMER] == []
    assert (shop.ghosts[0].state, default_card(shop, subscription["customer"])) == (GhostState.OPEN, usual)
    pays_by_themselves(shop, subscription)
    assert shop.ghosts[0].mechanism == "organic"


def test_a_payment_with_another_card_is_not_the_debits(shop: Shop):
    """Nobody looked in between."""
    subscription, _ = with_debit(shop)
    shop.actions.settle_debit(shop.account, invoice(shop), decline_code="insufficient_funds")
    pays_by_themselves(shop, subscription)
    assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "organic")
    assert {"attempt": "already_paid"} in run(shop)
    assert states(shop) == [AttemptState.ALREADY_PAID]
    assert shop.ghosts[0].mechanism == "organic"


def test_a_success_of_ours_claims_the_payment_with_its_card_alone(shop: Shop):
    """As rows from before say it: a debit written down as made, which failed."""
    subscription, _ = with_debit(shop)
    with db.tenant_session(shop.merchant) as session:
        session.execute(
            update(PaymentAttempt)
            .where(col(PaymentAttempt.merchant_id) == shop.merchant, col(PaymentAttempt.source) == "phantom")
            .values(state=AttemptState.SUCCEEDED)
        )
    shop.actions.settle_debit(shop.account, invoice(shop), decline_code="insufficient_funds")
    pays_by_themselves(shop, subscription)
    assert shop.ghosts[0].mechanism == "organic"


def test_a_bank_that_never_says_a_word_is_waited_for_a_month(shop: Shop):
    with_debit(shop)
    shop.clock.advance(paying.BANKS_TIME + timedelta(hours=1))
    assert run(shop) == [{"attempt": "held", "reason": paying.UNKNOWN}]
    assert states(shop) == [AttemptState.UNCERTAIN]


def pays_by_themselves(shop: Shop, subscription: Any) -> None:
    """On Stripe's page, which attaches their card before it charges it."""
    card = shop.actions.create_card(shop.account, "mastercard")["id"]
    shop.actions.attach_payment_method(shop.account, card, subscription["customer"])
    shop.take()
    shop.actions.pay_invoice(shop.account, invoice(shop), card)
    shop.deliver()
