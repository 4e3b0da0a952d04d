"""Which default a new card takes: none before it has paid, and then only the one its subscription is charged from."""

from typing import Any

import pytest

from core.clock import ManualClock
from jobs import dunning_retry
from models.ghost import GhostState
from models.money import AttemptState
from sandbox.stripe.faults import Fault
from services.integrations.stripe.client import ScopedStripe
from services.integrations.stripe.errors import StripePermissionError
from services.tasks.errors import Retry
from tests.services.recovery.charging.test_new_cards import add, dies_at, failed, run, tasks_of
from tests.services.recovery.charging.test_retrying import claimed, default_card, own, without_stripes_retries
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


def own_default(shop: Shop, subscription: Any) -> str | None:
    found = shop.world.space(shop.account).table("subscription").objects[subscription["id"]]
    default: str | None = found["default_payment_method"]
    return default


def with_its_own(shop: Shop) -> tuple[Any, Any]:
    """Two subscriptions of one customer: the first has a card of its own, which fails, the second the good default."""
    without_stripes_retries(shop)
    one = shop.subscriber()
    shop.pass_time(days=15)
    price = shop.actions.create_price(shop.account, unit_amount=99000, currency="usd")
    two = shop.actions.create_subscription(shop.account, one["customer"], price["id"])
    bad = shop.actions.create_card(shop.account, decline_code="expired_card")["id"]
    shop.actions.attach_payment_method(shop.account, bad, one["customer"])
    shop.actions.set_default_payment_method(shop.account, one["customer"], bad, subscription=one["id"])
    shop.deliver()
    shop.pass_time(days=16, hours=5)
    assert [ghost.subscription_id for ghost in shop.ghosts] == [one["id"]]
    return one, two


class TestDeclined:
    def test_nothing_is_moved_and_the_next_subscription_renews(self, shop: Shop):
        one, two = with_its_own(shop)
        good, bad = default_card(shop, one["customer"]), own_default(shop, one)
        add(shop, one, decline_code="insufficient_funds")
        shop.deliver()
        assert run(shop) == [{"attempt": "declined"}]
        assert (default_card(shop, one["customer"]), own_default(shop, one)) == (good, bad)
        shop.pass_time(days=16)
        assert [ghost for ghost in shop.ghosts if ghost.subscription_id == two["id"]] == []


class TestPaid:
    def test_a_subscription_with_its_own_default_gets_the_card_and_the_customer_keeps_theirs(self, shop: Shop):
        one, two = with_its_own(shop)
        good = default_card(shop, one["customer"])
        card = add(shop, one)
        shop.deliver()
        assert run(shop) == [{"attempt": "succeeded"}]
        assert (own_default(shop, one), default_card(shop, one["customer"])) == (card, good)
        assert own_default(shop, two) is None

    def test_without_one_the_customers_takes_it(self, shop: Shop):
        subscription = failed(shop)
        card = add(shop, subscription)
        shop.deliver()
        assert run(shop) == [{"attempt": "succeeded"}]
        assert (own_default(shop, subscription), default_card(shop, subscription["customer"])) == (None, card)

    def test_the_first_that_failed_gives_way_though_another_was_declined_since(self, shop: Shop):
        subscription = failed(shop)
        add(shop, subscription, decline_code="insufficient_funds")
        shop.deliver()
        assert run(shop) == [{"attempt": "declined"}]
        shop.pass_time(hours=1)
        card = add(shop, subscription)
        shop.deliver()
        assert dunning_retry.run(claimed(shop, tasks_of(shop)[-1])) == {"attempt": "succeeded"}
        assert default_card(shop, subscription["customer"]) == card

    def test_where_stripe_does_not_allow_it_the_payment_counts(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        def refuse(*_: object, **__: object) -> None:
            raise StripePermissionError

        subscription = failed(shop)
        usual = default_card(shop, subscription["customer"])
        add(shop, subscription)
        shop.deliver()
        monkeypatch.setattr(ScopedStripe, "set_customer_default_payment_method", refuse)
        assert run(shop) == [{"attempt": "succeeded"}]
        assert shop.ghosts[0].state == GhostState.RECOVERED
        assert default_card(shop, subscription["customer"]) == usual


class TestDeathInBetween:
    def test_the_next_run_moves_it(self, shop: Shop):
        one, _ = with_its_own(shop)
        good, bad = default_card(shop, one["customer"]), own_default(shop, one)
        card = add(shop, one)
        shop.deliver()
        dies_at(shop, "charge.made")
        assert own_default(shop, one) == bad
        shop.deliver()  # the payment's word comes first
        assert run(shop) == [{"attempt": "succeeded"}]
        assert (own_default(shop, one), default_card(shop, one["customer"])) == (card, good)

    def test_a_busy_stripe_is_asked_again_and_charges_once(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("services.integrations.stripe.transport.wait_before", lambda *_args: 0.0)
        subscription = failed(shop)
        card = add(shop, subscription)
        shop.deliver()
        shop.world.faults.add(Fault("rate_limit", path="/v1/subscriptions", times=100))
        with pytest.raises(Retry):
            run(shop)
        shop.world.faults.clear()
        assert [row.state for row in own(shop)] == [AttemptState.STARTED]
        assert run(shop) == [{"attempt": "succeeded"}]
        made = shop.world.space(shop.account).table("charge").objects.values()
        assert sum(each["payment_method"] == card for each in made) == 1
        assert default_card(shop, subscription["customer"]) == card

    def test_a_choice_made_since_the_move_is_not_undone(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        """The move is made, the outcome is not written down; the customer goes back to their former card."""
        subscription = failed(shop)
        usual = default_card(shop, subscription["customer"])
        add(shop, subscription)
        shop.deliver()

        class DeathError(Exception):
            pass

        def die(*_: object) -> None:
            raise DeathError

        with monkeypatch.context() as dead:
            dead.setattr("services.recovery.charging.paying.settle", die)
            with pytest.raises(DeathError):
                run(shop)
        shop.actions.set_default_payment_method(shop.account, subscription["customer"], usual)
        shop.take()
        assert run(shop) == [{"attempt": "succeeded"}]
        assert default_card(shop, subscription["customer"]) == usual
