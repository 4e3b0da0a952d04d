"""What the passing of time does, besides renewals."""

from collections.abc import Callable

import pytest

from core import clock
from sandbox.stripe.api import Api
from sandbox.stripe.cards import APPROVED, Attempt, Outcome, declined
from sandbox.stripe.clockwork import Clockwork
from tests.sandbox.conftest import Play


class TestOrder:
    def test_each_thing_happens_at_its_own_time(self, play: Play, manual_clock: clock.ManualClock) -> None:
        seen: list[int] = []

        def watch(attempt: Attempt) -> Outcome:
            seen.append(attempt.now)
            return declined("insufficient_funds") if attempt.invoice else APPROVED

        _, subscription = play.subscriber()
        play.world.decide = watch
        play.pass_time(days=60)
        invoice = play.space.table("invoice").where("subscription", subscription["id"])[1]
        finalised = invoice["status_transitions"]["finalized_at"]
        retries = [moment for moment in seen if finalised <= moment <= finalised + 22 * 86_400]
        assert [round((moment - finalised) / 86_400) for moment in retries][:5] == [0, 3, 8, 15, 22]

    def test_the_next_due_time_is_told_and_reached(self, play: Play) -> None:
        play.subscriber()
        due = play.world.clockwork.next_due()
        assert due is not None
        assert play.world.clockwork.advance_to(due - 1) == 0
        assert play.world.clockwork.advance_to(due) >= 1

    def test_plans_survive_a_new_clockwork(self, play: Play) -> None:
        play.subscriber()
        assert Clockwork(play.world).next_due() == play.world.clockwork.next_due()


class TestDeciding:
    def test_a_hook_hides_paydays_behind_outcomes(self, play: Play) -> None:
        def payday(attempt: Attempt) -> Outcome:
            return APPROVED if clock.now().day <= 3 else declined("insufficient_funds")

        _, subscription = play.subscriber()
        play.world.decide = payday
        play.pass_time(days=32)
        assert subscription["status"] == "past_due", "the renewal of 15 February"
        play.pass_time(days=15)
        assert subscription["status"] == "active", "the third retry, on 2 March"

    def test_an_expired_card_is_declined_as_such(self, play: Play) -> None:
        _, _, invoice = play.failed_invoice(exp_month=1, exp_year=2026)
        intent = play.space.table("payment_intent").objects
        errors = [i["last_payment_error"] for i in intent.values() if i["last_payment_error"]]
        assert errors[0]["decline_code"] == "expired_card"
        assert errors[0]["code"] == "expired_card"
        assert invoice["status"] == "open"


class TestCards:
    def test_a_card_about_to_expire_is_announced_and_may_be_renewed_by_the_network(self, play: Play) -> None:
        play.subscriber(exp_month=2, exp_year=2026)
        play.pass_time(days=20)
        assert play.events("customer.source.expiring") == ["customer.source.expiring"]
        method = play.space.table("payment_method").order[-1][2]
        play.actions.automatically_update_card(play.account, method, exp_month=2, exp_year=2030)
        assert play.events("payment_method.automatically_updated")
        play.pass_time(days=50)
        assert play.events("invoice.payment_failed") == []


class TestSubscriptions:
    def test_a_cancellation_at_period_end_waits_for_it(self, play: Play) -> None:
        _, subscription = play.subscriber()
        play.actions.cancel_subscription(play.account, subscription["id"], at_period_end=True)
        assert subscription["status"] == "active"
        play.pass_time(days=32)
        assert subscription["status"] == "canceled"
        assert subscription["cancellation_details"]["reason"] == "cancellation_requested"
        assert play.events("customer.subscription.deleted")

    def test_a_trial_turns_into_a_paying_subscription(self, play: Play) -> None:
        customer = play.customer()
        price = play.actions.create_price(play.account, unit_amount=900, currency="jpy")
        subscription = play.actions.create_subscription(play.account, customer["id"], price["id"], trial_days=14)
        assert subscription["status"] == "trialing"
        play.pass_time(days=12)
        assert play.events("customer.subscription.trial_will_end")
        play.pass_time(days=2, seconds=3600)
        assert subscription["status"] == "active"
        invoice = play.space.table("invoice").objects[subscription["latest_invoice"]]
        assert (invoice["amount_paid"], invoice["currency"]) == (900, "jpy")

    @pytest.mark.parametrize(
        ("behavior", "status"), [("void", "void"), ("mark_uncollectible", "uncollectible"), ("keep_as_draft", "draft")]
    )
    def test_a_paused_collection_asks_for_no_money(self, play: Play, behavior: str, status: str) -> None:
        _, subscription = play.subscriber()
        play.client().v1.subscriptions.update(
            subscription["id"],
            {"pause_collection": {"behavior": behavior}},  # type: ignore[typeddict-item]
        )
        play.pass_time(days=32)
        assert play.space.table("invoice").objects[subscription["latest_invoice"]]["status"] == status
        assert subscription["status"] == "active"

    def test_restarting_the_cycle_bills_at_once(self, play: Play) -> None:
        _, subscription = play.subscriber()
        play.pass_time(days=10)
        play.client().v1.subscriptions.update(subscription["id"], {"billing_cycle_anchor": "now"})
        invoice = play.space.table("invoice").objects[subscription["latest_invoice"]]
        assert (invoice["billing_reason"], invoice["status"]) == ("subscription_update", "paid")

    @pytest.mark.parametrize("end", ["void_invoice", "mark_uncollectible"])
    def test_forgiving_the_latest_invoice_makes_it_active_again(self, play: Play, end: str) -> None:
        _, subscription, invoice = play.failed_invoice()
        act: Callable[[str, str], object] = getattr(play.actions, end)
        act(play.account, invoice["id"])
        assert subscription["status"] == "active"
        play.pass_time(days=20)
        assert invoice["attempt_count"] == 1, "nothing is tried any more"


class TestOrigins:
    def test_the_api_counts_its_requests(self, play: Play) -> None:
        play.client().v1.customers.list()
        assert isinstance(play.api, Api)
        assert play.api.by_route == {"GET /v1/customers": 1}
