"""Several cards saved one after the other: the newest has its turn first, and what it leaves open the one before."""

from typing import Any

import pytest

from core import db
from core.clock import ManualClock
from core.config import settings
from models.ghost import GhostState
from models.money import AttemptSource, AttemptState, PaymentAttempt
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.errors import StripePaymentRefusedError
from services.merchants import service as merchants
from services.recovery import service as recovery
from services.recovery.charging import paying
from services.recovery.charging.intents import DONE, LIMITS
from services.recovery.charging.new_cards import Came
from services.tasks.errors import Retry
from tests.services.recovery.charging.test_new_cards import add, failed, run, tasks_of
from tests.services.recovery.charging.test_retrying import Day, charges
from tests.support.shop import Shop

GOOD, WRONG = {"token": "mastercard"}, {"decline_code": "incorrect_cvc"}


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


def add_all(shop: Shop, subscription: Any, apart: int, *cards: dict[str, str]) -> list[str]:
    """All are there before anybody looked at the first of them."""
    added = []
    for card in cards:
        added.append(add(shop, subscription, **card))
        shop.world.clockwork.advance_to(shop.world.now() + apart)
    shop.deliver()
    return added


def states(shop: Shop, card: str) -> list[str]:
    return [status for _, status in charges(shop, card)]


@pytest.mark.parametrize("apart", [0, 1, 40])
@pytest.mark.parametrize("good_first", [True, False])
def test_the_good_one_is_charged_in_whatever_order_they_came(shop: Shop, apart: int, good_first: bool):
    cards = [GOOD, WRONG] if good_first else [WRONG, GOOD]
    added = add_all(shop, failed(shop), apart, *cards)
    Day(shop).hours(2)
    assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")
    assert states(shop, added[cards.index(GOOD)]) == ["succeeded"]
    assert states(shop, added[cards.index(WRONG)]) in ([], ["failed"])


def test_of_three_each_has_its_turn_once_and_from_the_newest_on(shop: Shop):
    first, second, third = add_all(shop, failed(shop), 40, GOOD, WRONG, WRONG)
    Day(shop).hours(2)
    assert shop.ghosts[0].state == GhostState.RECOVERED
    assert [states(shop, card) for card in (first, second, third)] == [["succeeded"], ["failed"], ["failed"]]


def test_a_card_that_is_there_alone_asks_for_no_other_look(shop: Shop):
    card = add(shop, failed(shop), **WRONG)
    shop.deliver()
    assert run(shop) == [{"attempt": "declined"}]
    assert [task.payload["came"] for task in tasks_of(shop)] == [Came.SAVED]
    assert states(shop, card) == ["failed"]


def test_the_card_that_was_there_before_the_failure_has_no_other_turn(shop: Shop):
    """It is what a new one was given instead of; its own retries have their own plan."""
    subscription = failed(shop)
    add_all(shop, subscription, 1, WRONG)
    run(shop)
    assert len(tasks_of(shop)) == 1


def test_what_was_replaced_an_hour_later_has_no_turn(shop: Shop):
    first, second = add_all(shop, failed(shop), 3600, GOOD, WRONG)
    Day(shop).hours(2)
    assert (states(shop, first), states(shop, second)) == ([], ["failed"])


class TestOtherEnds:
    """The newest one's turn ends otherwise than with a decline, and the one before it has its own all the same."""

    @pytest.mark.parametrize("paused", [False, True])
    def test_the_newest_is_the_number_that_was_lost_typed_in_again(self, shop: Shop, paused: bool):
        subscription = failed(shop, decline_code="lost_card")
        hold(shop, paused=paused)
        good = add(shop, subscription, **GOOD)
        shop.world.clockwork.advance_to(shop.world.now() + 40)
        again = add(shop, subscription, like=shop.ghosts[0].payment_method_id or "")
        shop.deliver()
        Day(shop).hours(1)
        hold(shop, paused=False)
        Day(shop).hours(3)
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")
        assert (states(shop, good), states(shop, again)) == (["succeeded"], [])

    def test_that_alone_asks_for_no_other_look(self, shop: Shop):
        subscription = failed(shop, decline_code="lost_card")
        again = add(shop, subscription, like=shop.ghosts[0].payment_method_id or "")
        shop.deliver()
        assert run(shop) == [{"attempt": "held", "reason": DONE}]
        assert (len(tasks_of(shop)), states(shop, again)) == (1, [])

    def test_what_it_replaced_an_hour_later_has_no_turn(self, shop: Shop):
        subscription = failed(shop, decline_code="lost_card")
        good = add(shop, subscription, **GOOD)
        shop.world.clockwork.advance_to(shop.world.now() + 3600)
        add(shop, subscription, like=shop.ghosts[0].payment_method_id or "")
        shop.deliver()
        Day(shop).hours(3)
        assert states(shop, good) == []

    @pytest.mark.parametrize("paused", [False, True])
    def test_stripe_refuses_the_call_for_the_newest(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch, paused: bool
    ) -> None:
        """Whether its own word sets it going, or the merchant who says go later."""
        subscription = failed(shop)
        hold(shop, paused=paused)
        good, bad = add_all(shop, subscription, 40, GOOD, WRONG)
        refuse(monkeypatch, bad)
        Day(shop).hours(2)
        hold(shop, paused=False)
        Day(shop).hours(3)
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")
        assert (states(shop, good), states(shop, bad)) == (["succeeded"], [])
        assert [row.state for row in shop.rows(PaymentAttempt) if row.payment_method_id == bad] == ["given_up"]

    def test_a_refusal_of_the_only_one_asks_for_no_other_look(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        (bad,) = add_all(shop, failed(shop), 1, WRONG)
        refuse(monkeypatch, bad)
        assert run(shop)[0]["attempt"] == "given_up"
        assert len(tasks_of(shop)) == 1

    def test_the_newest_has_no_charge_left_for_now(self, shop: Shop):
        """It was charged as often as its network allows, for another invoice."""
        subscription = failed(shop)
        good, spent = add_all(shop, subscription, 40, GOOD, {"token": "visa"})
        used_up(shop, spent)
        Day(shop).hours(2)
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")
        assert (states(shop, good), states(shop, spent)) == (["succeeded"], [])

    def test_the_only_one_without_a_charge_left_waits_for_it(self, shop: Shop):
        (spent,) = add_all(shop, failed(shop), 1, {"token": "visa"})
        used_up(shop, spent)
        with pytest.raises(Retry, match=LIMITS):
            run(shop)


def hold(shop: Shop, *, paused: bool) -> None:
    """The merchant has not said go, or says so now."""
    with db.tenant_session(shop.merchant) as session:
        merchants.change_policy(session, shop.merchant, {"paused": paused}, actor_id="usr_1")
        if not paused:
            recovery.start_messages(session, shop.merchant, "usr_1")


def refuse(monkeypatch: pytest.MonkeyPatch, card: str) -> None:
    """Stripe will not even try this one."""
    real = paying.charge

    def charge(stripe: ScopedStripe, planned: paying.Charge) -> paying.Outcome:
        if planned.payment_method_id == card:
            raise paying.NotChargedError(StripePaymentRefusedError(stripe_code="payment_method_not_available"))
        return real(stripe, planned)

    monkeypatch.setattr(paying, "charge", charge)


def used_up(shop: Shop, card: str) -> None:
    with db.tenant_session(shop.merchant) as session:
        for number in range(max(limit.charges for limit in settings().card_limits)):
            session.add(PaymentAttempt(
                merchant_id=shop.merchant, id=f"pa_spent{number}", ghost_id=shop.ghosts[0].id, invoice_id="in_other",
                source=AttemptSource.STRIPE, state=AttemptState.DECLINED, idempotency_key=f"spent:{number}",
                payment_method_id=card, card_brand="visa", card_fingerprint="", decline_code="insufficient_funds",
                attempted_at=shop.clock.now(),
            ))  # fmt: skip
