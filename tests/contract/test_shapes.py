"""What the sandbox answers has the shape that the vendor's SDK types declare."""

from typing import Any

import pytest
import stripe

from tests.contract.annotations import check, object_classes
from tests.sandbox.conftest import Play

# path -> the class its list holds
LISTS: dict[str, type[stripe.StripeObject]] = {
    "/v1/customers": stripe.Customer,
    "/v1/payment_methods": stripe.PaymentMethod,
    "/v1/products": stripe.Product,
    "/v1/prices": stripe.Price,
    "/v1/subscriptions?status=all": stripe.Subscription,
    "/v1/invoices": stripe.Invoice,
    "/v1/invoice_payments": stripe.InvoicePayment,
    "/v1/invoiceitems": stripe.InvoiceItem,
    "/v1/payment_intents": stripe.PaymentIntent,
    "/v1/setup_intents": stripe.SetupIntent,
    "/v1/charges": stripe.Charge,
    "/v1/refunds": stripe.Refund,
    "/v1/disputes": stripe.Dispute,
    "/v1/events": stripe.Event,
    "/v1/webhook_endpoints": stripe.WebhookEndpoint,
    "/v1/billing_portal/configurations": stripe.billing_portal.Configuration,
    "/v1/billing/meters": stripe.billing.Meter,
}
EXPANDED = [
    ("/v1/invoices?expand[]=data.customer&expand[]=data.payments&expand[]=data.confirmation_secret", stripe.Invoice),
    ("/v1/invoices?expand[]=data.payments.data.payment&expand[]=data.parent.subscription_details", stripe.Invoice),
    ("/v1/invoice_payments?expand[]=data.payment.payment_intent&expand[]=data.invoice", stripe.InvoicePayment),
    ("/v1/subscriptions?status=all&expand[]=data.latest_invoice.payments&expand[]=data.customer", stripe.Subscription),
    (
        "/v1/subscriptions?status=active&expand[]=data.default_payment_method"
        "&expand[]=data.customer.invoice_settings.default_payment_method",
        stripe.Subscription,
    ),
    ("/v1/charges?expand[]=data.payment_intent.latest_charge&expand[]=data.refunds", stripe.Charge),
    ("/v1/refunds?expand[]=data.charge", stripe.Refund),
    (
        "/v1/customers?expand[]=data.subscriptions&expand[]=data.invoice_settings.default_payment_method",
        stripe.Customer,
    ),
]


def live_through_much(play: Play) -> None:
    """One object of every kind in every state a merchant meets."""
    actions, account = play.actions, play.account
    customer, _, invoice = play.failed_invoice(decline_code="insufficient_funds")
    play.failed_invoice(token="threeDSecureRequired")
    _, _, voided = play.failed_invoice(decline_code="lost_card")
    actions.void_invoice(account, voided["id"])
    _, leaving = play.subscriber()
    actions.cancel_subscription(account, leaving["id"], at_period_end=True)
    _, gone = play.subscriber()
    actions.cancel_subscription(account, gone["id"])
    good = actions.create_card(account, "mastercard", country="DE", exp_month=2, exp_year=2027)
    actions.attach_payment_method(account, good["id"], customer["id"])
    actions.pay_invoice(account, invoice["id"], good["id"])
    charges = [charge for charge in play.space.table("charge").objects.values() if charge["paid"]]
    actions.refund(account, charges[0]["id"], 100)
    actions.open_dispute(account, charges[1]["id"])
    actions.create_portal_session(account, customer["id"], "https://example.com/back")
    actions.create_webhook_endpoint(account, "http://127.0.0.1:9/hook")
    uncollectible = actions.create_invoice(account, customer["id"], 1200, "usd")
    actions.mark_uncollectible(account, uncollectible["id"])
    actions.create_invoice(account, customer["id"], 500, "usd")
    client = play.client()
    client.v1.setup_intents.create({"customer": customer["id"], "payment_method": "pm_card_visa", "confirm": True})
    client.v1.invoice_items.create({"customer": customer["id"], "amount": 300, "currency": "usd"})
    price = next(iter(play.space.table("price").objects))
    client.v1.subscriptions.create(
        {"customer": customer["id"], "items": [{"price": price}], "trial_period_days": 14, "description": "trial"}
    )
    client.v1.billing.meters.create(
        {"display_name": "Recovered", "event_name": "recovered", "default_aggregation": {"formula": "sum"}}
    )


def complaints(play: Play, path: str, cls: type[stripe.StripeObject]) -> list[str]:
    answer = play.client().raw_request("get", path).data
    assert answer["object"] == "list"
    assert answer["data"], f"{path} answered nothing to check"
    return [text for item in answer["data"] for text in check(item, cls, cls.__name__)]


class TestLists:
    @pytest.mark.parametrize("path", LISTS)
    def test_every_object_has_the_declared_shape(self, play: Play, path: str) -> None:
        live_through_much(play)
        separator = "&" if "?" in path else "?"
        assert sorted(set(complaints(play, f"{path}{separator}limit=100", LISTS[path]))) == []

    @pytest.mark.parametrize(("path", "cls"), EXPANDED)
    def test_expanded_objects_too(self, play: Play, path: str, cls: type[stripe.StripeObject]) -> None:
        live_through_much(play)
        assert sorted(set(complaints(play, f"{path}&limit=100", cls))) == []


class TestSingleObjects:
    def test_account_and_balance(self, play: Play) -> None:
        live_through_much(play)
        client = play.client()
        assert check(client.raw_request("get", "/v1/account").data, stripe.Account, "Account") == []
        assert check(client.raw_request("get", "/v1/balance").data, stripe.Balance, "Balance") == []

    def test_portal_session_and_meter_event(self, play: Play) -> None:
        live_through_much(play)
        client = play.client()
        customer = next(iter(play.space.table("customer").objects))
        flow = {"type": "payment_method_update", "after_completion": {"type": "hosted_confirmation"}}
        session = client.raw_request("post", "/v1/billing_portal/sessions", customer=customer, flow_data=flow).data
        assert check(session, stripe.billing_portal.Session, "Session") == []
        payload = {"value": "25", "stripe_customer_id": customer}
        event = client.raw_request("post", "/v1/billing/meter_events", event_name="recovered", payload=payload).data
        assert check(event, stripe.billing.MeterEvent, "MeterEvent") == []

    def test_deleted_objects_are_stubs(self, play: Play) -> None:
        customer = play.customer()
        deleted = play.client().v1.customers.delete(customer["id"])
        assert deleted.deleted is True


class TestEvents:
    def test_every_event_has_a_known_type_and_a_well_formed_object(self, play: Play) -> None:
        live_through_much(play)
        play.pass_time(days=40)
        answer: dict[str, Any] = play.client().raw_request("get", "/v1/events", limit=100).data
        found: list[str] = []
        for event in answer["data"]:
            inner = event["data"]["object"]
            cls = object_classes()[inner["object"]]
            found += [f"{event['type']}: {text}" for text in check(inner, cls, cls.__name__)]
        assert sorted(set(found)) == []
