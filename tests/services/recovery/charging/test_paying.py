"""A charge whose worker died, or slept, in the middle: made once, and its outcome is written down once."""

from datetime import timedelta
from typing import Any

import pytest

from core import crash_points, db
from core.clock import ManualClock
from jobs import dunning_retry
from models.ghost import GhostEvent, GhostState, Mechanism
from models.money import AttemptSource, AttemptState, PaymentAttempt, Recovery
from models.work import ScheduledTask
from services.analytics import service as analytics
from services.analytics.schemas import Merit
from services.integrations.stripe.client import ScopedStripe
from services.recovery.charging import paying
from services.tasks.errors import Discard
from services.tasks.schemas import ClaimedTask
from tests.services.recovery.credit.test_whose_merit import follow, wrote
from tests.support.death import dying_at
from tests.support.recount import assert_sums_agree
from tests.support.shop import Shop


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
    with dying_at(point):
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


class TestWhoWasFaster:
    """The customer pays by themselves on Stripe's page, which attaches their card before it charges it."""

    def overtaken(self, shop: Shop, task: ClaimedTask, monkeypatch: pytest.MonkeyPatch) -> str:
        """Our attempt is begun, and right then the customer's own payment goes through and its word comes."""
        real = paying.charge

        def charge(stripe: ScopedStripe, planned: paying.Charge) -> paying.Outcome:
            shop.clock.advance(timedelta(seconds=2))
            shop.actions.pay_invoice(shop.account, planned.invoice_id, str(task.payload["payment_method_id"]))
            shop.deliver()
            return real(stripe, planned)

        monkeypatch.setattr(paying, "charge", charge)
        return str(dunning_retry.run(task)["attempt"])

    def test_what_turns_out_to_be_their_own_payment_is_no_merit_of_ours(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = with_new_card(shop)
        assert self.overtaken(shop, task, monkeypatch) == "already_paid"
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "organic")
        assert [(row.kind, row.mechanism, row.amount_cents) for row in shop.rows(Recovery)] == [
            ("recovered", "own_attempt", 4900),
            ("credited", "own_attempt", -4900),
            ("credited", "organic", 4900),
        ]
        today = shop.clock.now().date()
        with db.tenant_session(shop.merchant) as session:
            assert analytics.merits(session, shop.merchant, "usd", today, today) == (Merit(Mechanism.ORGANIC, 4900, 1),)
        assert_sums_agree(shop.merchant)
        assert [event.reason for event in shop.rows(GhostEvent) if event.name == "merit_moved"] == [
            "Not by PHANTOM's charge, which found it paid or was declined: it was paid without our doing."
        ]

    def test_a_click_before_it_gets_the_merit(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        """The link led to the portal, where the card was saved; then they paid by themselves."""
        task = with_new_card(shop)
        wrote(shop, "msg_1")
        follow(shop, "msg_1")
        assert self.overtaken(shop, task, monkeypatch) == "already_paid"
        assert (shop.ghosts[0].mechanism, [row.message_id for row in shop.rows(Recovery)][-1]) == ("click", "msg_1")


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


@pytest.mark.parametrize("card", [{"token": "visa"}, {"decline_code": "incorrect_cvc"}])
def test_what_stripe_said_at_the_charge_takes_nothing_newer_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, card: dict[str, str]
) -> None:
    """A part of it was credited while the settling waited for its turn; then what the charge had seen was written."""
    task, real = with_new_card(shop, **card), paying.settle
    invoice = shop.ghosts[0].invoice_id

    def late(*given: Any) -> str:
        shop.clock.advance(timedelta(seconds=40))
        if "decline_code" in card:
            less = {"amount_due": 2900, "amount_remaining": 2900}
            shop.actions.send_event(
                shop.account, "invoice.updated", shop.actions.edit_object(shop.account, "invoice", invoice, less)
            )
        shop.deliver()
        seen.append((shop.ghosts[0].amount_cents, shop.ghosts[0].state))
        return real(*given)

    seen: list[tuple[int, str]] = []
    monkeypatch.setattr(paying, "settle", late)
    dunning_retry.run(task)
    assert [(shop.ghosts[0].amount_cents, shop.ghosts[0].state)] == seen
    assert seen[0] == ((2900, "open") if "decline_code" in card else (seen[0][0], GhostState.RECOVERED))
    assert_sums_agree(shop.merchant)
