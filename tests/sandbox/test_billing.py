"""The life of subscriptions and invoices, seen through the real SDK."""

import pytest
import stripe

from tests.sandbox.conftest import Play


class TestFirstPayment:
    def test_a_good_card_makes_an_active_subscription_and_a_paid_invoice(self, play: Play) -> None:
        client = play.client()
        customer = client.v1.customers.create({"name": "Ada", "email": "ada@example.com"})
        client.v1.payment_methods.attach("pm_card_visa", {"customer": customer.id})
        method = client.v1.customers.payment_methods.list(customer.id).data[0]
        client.v1.customers.update(customer.id, {"invoice_settings": {"default_payment_method": method.id}})
        price = client.v1.prices.create(
            {
                "unit_amount": 4900,
                "currency": "usd",
                "recurring": {"interval": "month"},
                "product_data": {"name": "Pro"},
            }
        )
        subscription = client.v1.subscriptions.create(
            {"customer": customer.id, "items": [{"price": price.id}], "expand": ["latest_invoice.payments"]}
        )
        assert subscription.status == "active"
        assert isinstance(subscription.latest_invoice, stripe.Invoice)
        assert subscription.latest_invoice.status == "paid"
        assert subscription.latest_invoice.payments is not None
        assert subscription.latest_invoice.payments.data[0].status == "paid"
        assert subscription.latest_invoice.billing_reason == "subscription_create"

    def test_a_declined_card_leaves_it_incomplete_and_it_expires(self, play: Play) -> None:
        customer = play.customer(decline_code="generic_decline")
        price = play.actions.create_price(play.account, unit_amount=1000, currency="eur")
        subscription = play.actions.create_subscription(play.account, customer["id"], price["id"])
        assert subscription["status"] == "incomplete"
        play.pass_time(days=1)
        assert subscription["status"] == "incomplete_expired"
        assert play.space.table("invoice").objects[subscription["latest_invoice"]]["status"] == "void"


class TestRenewal:
    def test_a_renewal_is_a_draft_for_an_hour_and_then_paid(self, play: Play) -> None:
        _, subscription = play.subscriber()
        first = subscription["latest_invoice"]
        play.pass_time(days=31)
        draft = play.space.table("invoice").objects[subscription["latest_invoice"]]
        assert draft["id"] != first
        assert draft["status"] == "draft"
        play.pass_time(seconds=3600)
        assert draft["status"] == "paid"
        assert draft["billing_reason"] == "subscription_cycle"
        assert play.events("invoice.upcoming") == ["invoice.upcoming"]

    def test_a_failed_renewal_is_retried_on_schedule_and_ends_unpaid(self, play: Play) -> None:
        customer, subscription, invoice = play.failed_invoice(decline_code="insufficient_funds")
        assert subscription["status"] == "past_due"
        assert invoice["attempt_count"] == 1
        assert customer["delinquent"] is True
        assert invoice["next_payment_attempt"] == invoice["status_transitions"]["finalized_at"] + 3 * 86_400
        play.pass_time(days=23)
        assert (invoice["attempt_count"], invoice["next_payment_attempt"]) == (5, None)
        assert subscription["status"] == "unpaid"
        assert len(play.space.table("charge").where("customer", customer["id"])) == 6

    @pytest.mark.parametrize("code", ["lost_card", "authentication_required", "transaction_not_allowed"])
    def test_retries_of_a_hard_decline_are_counted_but_not_made(self, play: Play, code: str) -> None:
        customer, _, invoice = play.failed_invoice(decline_code=code)
        play.pass_time(days=23)
        assert invoice["attempt_count"] == 5
        assert len(play.space.table("charge").where("customer", customer["id"])) == 2

    @pytest.mark.parametrize(("rule", "status"), [("cancel", "canceled"), ("past_due", "past_due")])
    def test_the_account_decides_what_follows_the_last_retry(self, play: Play, rule: str, status: str) -> None:
        play.actions.set_rules(play.account, after_last=rule, retry_days=[1])
        _, subscription, invoice = play.failed_invoice()
        play.pass_time(days=2)
        assert subscription["status"] == status
        assert invoice["status"] == "open"

    def test_the_subscriptions_own_card_comes_before_the_customers(self, play: Play) -> None:
        customer, subscription = play.subscriber()
        bad = play.actions.create_card(play.account, decline_code="lost_card")
        play.actions.attach_payment_method(play.account, bad["id"], customer["id"])
        play.actions.set_default_payment_method(
            play.account, customer["id"], bad["id"], subscription=subscription["id"]
        )
        play.pass_time(days=31, seconds=3600)
        assert subscription["status"] == "past_due"


class TestPaying:
    def test_a_new_card_does_not_pay_by_itself_but_pays_when_asked(self, play: Play) -> None:
        customer, subscription, invoice = play.failed_invoice()
        good = play.actions.create_card(play.account)
        play.actions.attach_payment_method(play.account, good["id"], customer["id"], default=True)
        assert invoice["status"] == "open"
        paid = play.client().v1.invoices.pay(invoice["id"])
        assert paid.status == "paid"
        assert subscription["status"] == "active"
        assert customer["delinquent"] is False
        assert "invoice.paid" in play.events()

    def test_a_refused_payment_is_a_card_error_that_stays(self, play: Play) -> None:
        _, _, invoice = play.failed_invoice(decline_code="insufficient_funds")
        with pytest.raises(stripe.CardError) as caught:
            play.client().v1.invoices.pay(invoice["id"])
        assert caught.value.code == "card_declined"
        assert caught.value.error is not None
        assert caught.value.error.decline_code == "insufficient_funds"
        assert invoice["attempt_count"] == 1, "manual attempts do not count after the first"

    def test_three_d_secure_waits_for_the_customer(self, play: Play) -> None:
        _, subscription, invoice = play.failed_invoice(token="threeDSecureRequired")
        intent = play.space.table("payment_intent").order[-1][2]
        assert play.client().v1.payment_intents.retrieve(intent).status == "requires_action"
        assert "invoice.payment_action_required" in play.events()
        with pytest.raises(stripe.CardError) as caught:
            play.client().v1.invoices.pay(invoice["id"])
        assert caught.value.code == "invoice_payment_intent_requires_action"
        outcome = play.actions.complete_action(play.account, invoice["id"])
        assert outcome is not None
        assert outcome.approved
        assert subscription["status"] == "active"

    def test_paying_twice_and_paying_with_nothing_are_refused_in_words_only(self, play: Play) -> None:
        customer = play.actions.create_customer(play.account, name="Bob")
        invoice = play.actions.create_invoice(play.account, customer["id"], 900, "usd")
        client = play.client()
        with pytest.raises(stripe.InvalidRequestError, match="no `default_payment_method` set") as caught:
            client.v1.invoices.pay(invoice["id"])
        assert caught.value.code is None
        client.v1.invoices.pay(invoice["id"], {"payment_method": "pm_card_visa"})
        with pytest.raises(stripe.InvalidRequestError, match="already paid") as caught:
            client.v1.invoices.pay(invoice["id"])
        assert caught.value.code is None
