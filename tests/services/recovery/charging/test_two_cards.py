"""Several cards saved one after the other: the newest has its turn first, and what it leaves open the one before."""

from typing import Any

import pytest

from core.clock import ManualClock
from models.ghost import GhostState
from services.recovery.charging.new_cards import Came
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
