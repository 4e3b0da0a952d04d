"""A card that the customer chooses is charged, whatever was said of it before; still once for each ghost and card."""

from datetime import timedelta

import pytest

from core.clock import ManualClock
from models.ghost import GhostState
from models.money import AttemptState
from services.tasks.errors import Retry
from tests.services.recovery.charging.test_new_cards import add, failed, run, tasks_of
from tests.services.recovery.charging.test_retrying import charges, claimed, dunning_retry, own
from tests.services.recovery.credit.test_whose_merit import follow, wrote
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


def choose(shop: Shop, customer: str, card: str) -> None:
    shop.actions.set_default_payment_method(shop.account, customer, card)
    shop.deliver()


class TestChosenAfterSaved:
    def test_saved_before_a_newer_one_that_is_declined(self, shop: Shop):
        """The word of A had to wait, and when it was heard B was newer; B is declined, and the customer takes A."""
        subscription = failed(shop)
        first = add(shop, subscription)
        shop.pass_time(hours=1)
        second = add(shop, subscription, decline_code="insufficient_funds")
        shop.deliver()
        assert [each["attempt"] for each in run(shop)] == ["held", "declined"]
        heard = {task.id for task in tasks_of(shop)}
        shop.pass_time(hours=1)
        choose(shop, subscription["customer"], first)
        (task,) = [each for each in tasks_of(shop) if each.id not in heard]
        assert dunning_retry.run(claimed(shop, task)) == {"attempt": "succeeded"}
        assert (len(charges(shop, first)), len(charges(shop, second))) == (1, 1)
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")

    def test_while_the_word_of_it_waits_for_who_may_be_paying(self, shop: Shop):
        """After a click a saved card waits some minutes, and by then a newer one is declined."""
        subscription = failed(shop, decline_code="insufficient_funds")
        wrote(shop, "msg_1")
        follow(shop, "msg_1")
        first = add(shop, subscription)
        shop.deliver()
        (waiting,) = tasks_of(shop)
        with pytest.raises(Retry):
            dunning_retry.run(claimed(shop, waiting))
        shop.clock.advance(timedelta(minutes=11))  # a busy queue: it was not looked at yet, nor saved with the next
        second = add(shop, subscription, decline_code="do_not_honor")
        shop.deliver()
        shop.clock.advance(timedelta(minutes=11))
        assert [each["attempt"] for each in run(shop)] == ["held", "declined"]
        choose(shop, subscription["customer"], first)
        shop.clock.advance(timedelta(minutes=11))
        assert run(shop)[-1] == {"attempt": "succeeded"}
        assert (len(charges(shop, first)), len(charges(shop, second))) == (1, 1)

    def test_what_was_declined_is_not_charged_again_however_often_it_is_chosen(self, shop: Shop):
        subscription = failed(shop)
        card = add(shop, subscription, decline_code="insufficient_funds")
        shop.deliver()
        assert run(shop) == [{"attempt": "declined"}]
        other = add(shop, subscription, decline_code="do_not_honor")
        for _ in range(3):
            shop.pass_time(hours=1)
            choose(shop, subscription["customer"], card)
            run(shop)
            choose(shop, subscription["customer"], other)
            run(shop)
        assert (len(charges(shop, card)), len(charges(shop, other))) == (1, 1)
        assert len({row.idempotency_key for row in own(shop)}) == len(own(shop)) == 2

    def test_one_choice_is_one_look_however_often_it_is_told(self, shop: Shop):
        subscription = failed(shop)
        card = add(shop, subscription)
        shop.deliver()
        before = len(tasks_of(shop))
        shop.pass_time(hours=1)
        shop.actions.set_default_payment_method(shop.account, subscription["customer"], card)
        for each in [told for told in shop.take() if told.type == "customer.updated"] * 2:
            shop.handle(each)
        assert len(tasks_of(shop)) == before + 1

    def test_two_words_of_one_card_at_once_make_one_charge(self, shop: Shop):
        """Saved and chosen in one go: the second finds the first one's attempt begun, and repeats it under its key."""
        subscription = failed(shop)
        card = add(shop, subscription)
        shop.actions.set_default_payment_method(shop.account, subscription["customer"], card)
        shop.deliver()
        saved, chosen = tasks_of(shop)
        outcomes = []
        charge = dunning_retry.paying.charge

        def charged(*given: object) -> object:
            if not outcomes:
                outcomes.append("under way")
                outcomes.append(dunning_retry.run(claimed(shop, chosen)))
            return charge(*given)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dunning_retry.paying, "charge", charged)
            outcomes.append(dunning_retry.run(claimed(shop, saved)))
        assert outcomes == ["under way", {"attempt": "succeeded"}, {"attempt": "succeeded"}]
        assert len(charges(shop, card)) == 1
        assert [row.state for row in own(shop)] == [AttemptState.SUCCEEDED]
