"""Events as hints, against the sandbox through the real SDK: whatever comes, in whatever order, the object decides."""

import random

import pytest

from core.clock import ManualClock
from jobs import dunning_retry
from models.ghost import GhostState, Strategy
from models.money import AttemptSource, DailyMetrics, PaymentAttempt, Recovery
from models.work import ScheduledTask
from sandbox.stripe.faults import Fault
from services.handshake.handlers import handle
from services.handshake.schemas import IncomingEvent
from services.recovery.charging import choosing
from services.tasks.errors import Retry
from services.tasks.schemas import ClaimedTask
from tests.support.shop import Shop


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


def pay(shop: Shop, invoice_id: str) -> None:
    """The customer pays on the hosted page with a card that works."""
    card = shop.actions.create_card(shop.account, "visa")
    shop.actions.pay_invoice(shop.account, invoice_id, card["id"])


def run_payments(shop: Shop) -> list[dict[str, object] | None]:
    """Run the payment tasks that are waiting, as a worker would."""
    waiting = [task for task in shop.rows(ScheduledTask) if task.kind == "dunning_retry"]
    return [
        dunning_retry.run(
            ClaimedTask(task.id, task.kind, shop.merchant, task.payload, 1, 5, 0, "", "test", task.run_at)
        )
        for task in waiting
    ]


class TestFailing:
    @pytest.mark.parametrize("shape", ["basil", "acacia"])
    def test_a_failed_renewal_becomes_a_ghost_in_either_shape(
        self, database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, shape: str
    ):
        shop = Shop.open(clock, monkeypatch, shape=shape)
        shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.decline_code, ghost.attempt_count) == (GhostState.OPEN, "insufficient_funds", 1)
        assert (ghost.customer_email, ghost.amount_cents, ghost.next_payment_attempt is not None) == (
            "ada@example.com",
            4900,
            True,
        )

    def test_a_renewal_that_works_is_only_counted_as_billed(self, shop: Shop):
        shop.subscriber()
        shop.pass_time(days=31, hours=2)
        assert shop.ghosts == []
        assert sum(day.billed_cents for day in shop.rows(DailyMetrics)) == 9800

    def test_stripes_own_retry_recovers_and_gets_the_merit(self, shop: Shop):
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        customer = subscription["customer"]
        card = shop.world.space(shop.account).table("customer").objects[customer]["invoice_settings"]
        shop.actions.set_card_behaviour(shop.account, card["default_payment_method"], decline_code="")
        shop.pass_time(days=4)
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.mechanism) == (GhostState.RECOVERED, "stripe_retry")
        assert sum(row.amount_cents for row in shop.rows(Recovery)) == 4900


class TestDisorder:
    def test_duplicated_shuffled_and_late_events_lead_to_the_same_end(self, shop: Shop):
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.world.clockwork.advance_to(shop.world.now() + 31 * 86_400 + 7200)
        invoice = shop.invoice(subscription)
        pay(shop, invoice["id"])
        stored = shop.take() * 5
        random.Random(7).shuffle(stored)  # noqa: S311  # must be seeded, not secure
        for each in stored:
            shop.handle(each)
        assert len(shop.rows(Recovery)) <= 1
        assert all(ghost.state == GhostState.RECOVERED for ghost in shop.ghosts)

    def test_a_failure_that_arrives_after_the_payment_makes_no_ghost(self, shop: Shop):
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.world.clockwork.advance_to(shop.world.now() + 31 * 86_400 + 7200)
        late = [each for each in shop.take() if each.type == "invoice.payment_failed"]
        pay(shop, shop.invoice(subscription)["id"])
        shop.deliver()
        assert [shop.handle(each) for each in late] == ["unchanged"]
        assert shop.ghosts == []


class TestEnding:
    @pytest.mark.parametrize("act", ["void_invoice", "mark_uncollectible"])
    def test_voided_and_written_off_are_lost(self, shop: Shop, act: str):
        subscription = shop.subscriber(decline_code="do_not_honor")
        shop.pass_time(days=31, hours=2)
        getattr(shop.actions, act)(shop.account, shop.invoice(subscription)["id"])
        shop.deliver()
        assert [ghost.state for ghost in shop.ghosts] == [GhostState.LOST]

    def test_a_customer_who_cancels_is_stopped(self, shop: Shop):
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        shop.actions.cancel_subscription(shop.account, subscription["id"])
        shop.deliver()
        assert shop.ghosts[0].state == GhostState.STOPPED

    def test_a_full_refund_reverses_the_recovery(self, shop: Shop):
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        pay(shop, shop.invoice(subscription)["id"])
        shop.deliver()
        assert shop.ghosts[0].state == GhostState.RECOVERED
        charges = shop.world.space(shop.account).table("charge").objects.values()
        paid = [charge for charge in charges if charge["paid"]][-1]
        shop.actions.refund(shop.account, paid["id"])
        shop.deliver()
        assert shop.ghosts[0].state == GhostState.REVERSED
        assert sum(row.amount_cents for row in shop.rows(Recovery)) == 0

    def test_a_refund_that_is_heard_of_before_the_payment_still_reverses(self, shop: Shop):
        subscription = shop.subscriber(decline_code="insufficient_funds")
        shop.pass_time(days=31, hours=2)
        pay(shop, shop.invoice(subscription)["id"])
        charges = shop.world.space(shop.account).table("charge").objects.values()
        shop.actions.refund(shop.account, [charge for charge in charges if charge["paid"]][-1]["id"])
        stored = shop.take()
        stored.sort(key=lambda each: each.type != "charge.refunded")
        assert stored[0].type == "charge.refunded"
        for each in stored:
            shop.handle(each)
        assert shop.ghosts[0].state == GhostState.REVERSED
        assert sum(row.amount_cents for row in shop.rows(Recovery)) == 0


class TestNewCard:
    def test_the_open_invoice_is_paid_at_once_and_once(self, shop: Shop):
        subscription = shop.subscriber(decline_code="expired_card")
        shop.pass_time(days=31, hours=2)
        assert shop.ghosts[0].strategy == Strategy.CARD_REFRESH
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.attach_payment_method(shop.account, card["id"], subscription["customer"])
        shop.deliver()
        assert run_payments(shop) == [{"attempt": "succeeded"}]
        shop.deliver()
        (ghost,) = shop.ghosts
        assert (ghost.state, ghost.mechanism) == (GhostState.RECOVERED, "own_attempt")
        assert shop.invoice(subscription)["status"] == "paid"

    def test_a_card_the_network_renewed_is_charged_once_more(self, shop: Shop):
        subscription = shop.subscriber(decline_code="expired_card")
        shop.pass_time(days=31, hours=2)
        customer = shop.world.space(shop.account).table("customer").objects[subscription["customer"]]
        card = customer["invoice_settings"]["default_payment_method"]
        shop.actions.automatically_update_card(shop.account, card, exp_year=2034)
        shop.deliver()
        assert run_payments(shop) == [{"attempt": "succeeded"}]
        shop.deliver()
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "own_attempt")

    def test_a_customer_who_pays_with_a_new_card_gets_the_merit(self, shop: Shop):
        subscription = shop.subscriber(decline_code="expired_card")
        shop.pass_time(days=31, hours=2)
        card = shop.actions.create_card(shop.account, "visa")
        shop.actions.attach_payment_method(shop.account, card["id"], subscription["customer"])
        attached = shop.take()
        shop.actions.pay_invoice(shop.account, shop.invoice(subscription)["id"], card["id"])
        for each in attached:
            shop.handle(each)
        assert run_payments(shop) == [{"attempt": "held", "reason": "There is nothing left to pay."}]
        shop.deliver()
        assert (shop.ghosts[0].state, shop.ghosts[0].mechanism) == (GhostState.RECOVERED, "organic")

    def test_a_card_that_is_gone_claims_nothing(self, shop: Shop):
        subscription = shop.subscriber(decline_code="expired_card")
        shop.pass_time(days=31, hours=2)
        payload = {"ghost_id": shop.ghosts[0].id, "payment_method_id": "pm_gone"}
        task = ClaimedTask(1, "dunning_retry", shop.merchant, payload, 1, 5, 0, "", "test", shop.clock.now())
        assert dunning_retry.run(task) == {"attempt": "held", "reason": choosing.GONE}
        pay(shop, shop.invoice(subscription)["id"])
        shop.deliver()
        assert shop.ghosts[0].mechanism != "own_attempt"

    def test_a_new_card_that_is_declined_too_is_tried_once(self, shop: Shop):
        subscription = shop.subscriber(decline_code="expired_card")
        shop.pass_time(days=31, hours=2)
        card = shop.actions.create_card(shop.account, decline_code="insufficient_funds")
        shop.actions.attach_payment_method(shop.account, card["id"], subscription["customer"])
        shop.deliver()
        assert run_payments(shop) == [{"attempt": "declined"}]
        shop.deliver()
        outcomes = run_payments(shop)  # the word of it again, and a look at the card that is the default still
        assert {str(each and each["attempt"]) for each in outcomes} == {"held"}
        assert [row.source for row in shop.rows(PaymentAttempt)].count(AttemptSource.PHANTOM) == 1
        assert shop.ghosts[0].state == GhostState.OPEN


class TestTrouble:
    def test_a_busy_stripe_is_asked_again_later(self, shop: Shop, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("services.integrations.stripe.transport.wait_before", lambda *_args: 0.0)
        shop.subscriber(decline_code="insufficient_funds")
        shop.world.clockwork.advance_to(shop.world.now() + 31 * 86_400 + 7200)
        failed = next(each for each in shop.take() if each.type == "invoice.payment_failed")
        shop.world.faults.add(Fault("rate_limit", path="/v1/invoices", times=100))
        with pytest.raises(Retry):
            shop.handle(failed)
        shop.world.faults.clear()
        assert shop.handle(failed) == "ghost_found"

    def test_a_disconnected_merchant_is_left_alone(self, shop: Shop):
        shop.subscriber(decline_code="insufficient_funds")
        shop.world.clockwork.advance_to(shop.world.now() + 31 * 86_400 + 7200)
        late = [each for each in shop.take() if each.type == "invoice.payment_failed"]
        shop.actions.disconnect(shop.account)
        shop.deliver()
        assert ("account.application.deauthorized", "disconnected") in shop.outcomes
        assert [shop.handle(each) for each in late] == ["disconnected"]

    def test_an_unknown_type_is_ignored(self, shop: Shop):
        event = IncomingEvent("evt_1", "made.up", shop.account, shop.merchant, shop.clock.now())
        assert handle(event) == "ignored"

    @pytest.mark.parametrize(
        "kind", ["invoice.paid", "invoice.payment_failed", "payment_method.attached", "charge.refunded"]
    )
    def test_an_event_without_an_object_does_nothing(self, shop: Shop, kind: str):
        assert handle(IncomingEvent("evt_1", kind, shop.account, shop.merchant, shop.clock.now())) == "no_id"
        assert shop.ghosts == []
