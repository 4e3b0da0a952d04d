"""A charge whose worker died, or slept, in the middle: made once, and its outcome is written down once."""

import pytest

from core import crash_points
from core.clock import ManualClock
from jobs import dunning_retry
from models.ghost import GhostEvent, GhostState
from models.money import AttemptSource, AttemptState, PaymentAttempt
from models.work import ScheduledTask
from services.tasks.errors import Discard
from services.tasks.schemas import ClaimedTask
from tests.support.shop import Shop


class Death(BaseException):
    """The process is gone."""


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


def with_new_card(shop: Shop, **card: str) -> ClaimedTask:
    """A customer's renewal has failed and they have added a card; the task that is to charge it."""
    subscription = shop.subscriber(decline_code="expired_card")
    shop.pass_time(days=31, hours=2)
    new = shop.actions.create_card(shop.account, **(card or {"token": "visa"}))
    shop.actions.attach_payment_method(shop.account, new["id"], subscription["customer"])
    shop.deliver()
    (task,) = [task for task in shop.rows(ScheduledTask) if task.kind == "dunning_retry"]
    assert task.id is not None
    return ClaimedTask(task.id, task.kind, shop.merchant, task.payload, 1, 5, 0, "", "test", task.run_at)


def run_until(point: str, task: ClaimedTask) -> None:
    def die(name: str) -> None:
        if name == point:
            raise Death

    with crash_points.reached(die), pytest.raises(Death):
        dunning_retry.run(task)


def own_attempt(shop: Shop) -> PaymentAttempt:
    (attempt,) = [row for row in shop.rows(PaymentAttempt) if row.source == AttemptSource.PHANTOM]
    return attempt


def charges(shop: Shop, task: ClaimedTask) -> int:
    made = shop.world.space(shop.account).table("charge").objects.values()
    return sum(charge["payment_method"] == task.payload["payment_method_id"] for charge in made)


class TestDeathAfterTheCharge:
    def test_the_outcome_is_written_down_though_the_webhook_was_faster(self, shop: Shop) -> None:
        task = with_new_card(shop)
        run_until("charge.made", task)
        shop.deliver()
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")
        assert dunning_retry.run(task) == {"attempt": "succeeded"}
        assert own_attempt(shop).state == AttemptState.SUCCEEDED
        assert charges(shop, task) == 1
        with pytest.raises(Discard):
            dunning_retry.run(task)

    def test_a_card_that_was_chosen_since_is_left_as_it_is(self, shop: Shop) -> None:
        task = with_new_card(shop)
        run_until("charge.made", task)
        shop.deliver()
        other = shop.actions.create_card(shop.account, "mastercard")["id"]
        customer = shop.ghosts[0].customer_id
        shop.actions.attach_payment_method(shop.account, other, customer, default=True)
        dunning_retry.run(task)
        owner = shop.world.space(shop.account).table("customer").objects[customer]
        assert owner["invoice_settings"]["default_payment_method"] == other

    def test_nothing_new_is_begun_for_what_is_paid(self, shop: Shop) -> None:
        task = with_new_card(shop)
        shop.actions.pay_invoice(shop.account, shop.ghosts[0].invoice_id, str(task.payload["payment_method_id"]))
        shop.deliver()
        with pytest.raises(Discard):
            dunning_retry.run(task)
        assert [row.source for row in shop.rows(PaymentAttempt)] == [AttemptSource.STRIPE]


class TestSleeper:
    @pytest.mark.parametrize(
        ("card", "state"), [({"token": "visa"}, "succeeded"), ({"decline_code": "do_not_honor"}, "declined")]
    )
    def test_who_wakes_after_another_has_settled_adds_nothing(
        self, shop: Shop, card: dict[str, str], state: str
    ) -> None:
        task = with_new_card(shop, **card)

        def overtaken(name: str) -> None:
            if name == "charge.made":
                with crash_points.reached(lambda _: None):
                    assert dunning_retry.run(task) == {"attempt": state}
                settled.extend(shop.rows(GhostEvent))

        settled: list[GhostEvent] = []
        with crash_points.reached(overtaken):
            assert dunning_retry.run(task) == {"attempt": state}
        assert own_attempt(shop).state == state
        assert charges(shop, task) == 1
        assert len(shop.rows(GhostEvent)) == len(settled)
