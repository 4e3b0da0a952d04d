"""Invoices of both shapes, and what cannot be read."""

from typing import Any

import pytest

from services.integrations.stripe.parsing import UnreadableInvoiceError, monthly_value, parse_invoice
from tests.support.factories import raw_acacia_invoice, raw_intent, raw_invoice, raw_subscription

PAID: dict[str, Any] = {"status": "paid", "amount_paid": 4900, "amount_remaining": 0}


class TestShapes:
    def test_both_shapes_tell_the_same(self):
        basil, acacia = parse_invoice(raw_invoice()), parse_invoice(raw_acacia_invoice())
        assert (basil.shape, acacia.shape) == ("basil", "acacia")
        for name in ("subscription_id", "subscription_status", "payment_intent_id", "decline", "card", "monthly_value"):
            assert getattr(basil, name) == getattr(acacia, name), name

    def test_payments_listed_apart_are_joined(self):
        invoice = raw_invoice()
        payments = invoice.pop("payments")["data"]
        assert parse_invoice(invoice, payments=payments).decline.decline_code == "insufficient_funds"

    def test_the_default_payment_speaks_for_the_invoice(self):
        payments = [
            {"is_default": False, "created": 9, "payment": {"payment_intent": raw_intent("lost_card")}},
            {"is_default": True, "created": 1, "payment": {"payment_intent": raw_intent("expired_card")}},
        ]
        assert parse_invoice(raw_invoice(), payments=payments).decline.decline_code == "expired_card"

    def test_a_subscription_from_another_sweep_fills_in(self):
        invoice = raw_invoice(parent={"subscription_details": {"subscription": "sub_9"}})
        facts = parse_invoice(invoice, subscription=raw_subscription(id="sub_9", status="unpaid"))
        assert (facts.subscription_id, facts.subscription_status) == ("sub_9", "unpaid")

    def test_3d_secure_is_seen_in_status_and_code(self):
        waiting = parse_invoice(raw_invoice(intent=raw_intent("", status="requires_action")))
        refused = parse_invoice(raw_invoice(intent=raw_intent("authentication_required")))
        assert waiting.decline.requires_3ds
        assert refused.decline.requires_3ds

    def test_a_confirmation_that_failed_is_3d_secure_too(self):
        """There is no charge and no bank's code: Stripe's own says it, and no other charge of the card would pass."""
        intent = raw_intent("")
        intent["last_payment_error"]["code"] = "payment_intent_authentication_failure"
        assert parse_invoice(raw_invoice(intent=intent)).decline.requires_3ds

    def test_codes_and_brands_are_lower_case(self):
        intent = raw_intent("INSUFFICIENT_FUNDS")
        intent["last_payment_error"]["payment_method"]["card"]["brand"] = "Visa"
        facts = parse_invoice(raw_invoice(intent=intent, currency="USD"))
        assert (facts.decline.decline_code, facts.card.brand, facts.card.country, facts.currency) == (
            "insufficient_funds",
            "visa",
            "us",
            "usd",
        )


class TestAbsence:
    @pytest.mark.parametrize(
        ("changes", "field", "expected"),
        [
            ({"customer": None}, "customer.id", None),
            ({"customer": "cus_9"}, "customer.id", "cus_9"),
            ({"customer": {"id": "cus_9", "deleted": True}}, "customer.email", None),
            ({"customer": {"id": "cus_9", "email": ""}}, "customer.email", None),
            (
                {"customer": {"id": "cus_9"}, "customer_email": "snapshot@example.com"},
                "customer.email",
                "snapshot@example.com",
            ),
            ({"parent": None}, "subscription_id", None),
            ({"payments": {"data": []}}, "payment_intent_id", None),
            ({"payments": None}, "decline.decline_code", ""),
            ({"next_payment_attempt": None}, "next_payment_attempt", None),
            ({"attempt_count": None}, "attempt_count", 0),
        ],
    )
    def test_what_is_missing_is_a_fact(self, changes: dict[str, Any], field: str, expected: object):
        value: Any = parse_invoice(raw_invoice(**changes))
        for part in field.split("."):
            value = getattr(value, part)
        assert value == expected

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"id": None}, "no_id"),
            ({"status": None}, "no_status"),
            ({"currency": None}, "no_currency"),
            ({"currency": "dollars"}, "no_currency"),
            ({"created": "yesterday"}, "no_created"),
            ({"amount_due": None}, "no_amount_due"),
            ({"amount_remaining": "4900"}, "no_amount_remaining"),
            ({"amount_paid": True}, "no_amount_paid"),
        ],
    )
    def test_what_cannot_be_read_is_said(self, changes: dict[str, Any], reason: str):
        with pytest.raises(UnreadableInvoiceError) as raised:
            parse_invoice(raw_invoice(**changes))
        assert raised.value.reason == reason

    @pytest.mark.parametrize(
        ("invoice", "outside"),
        [
            (raw_invoice(intent=raw_intent(status="succeeded"), **PAID), False),
            (raw_invoice(intent=raw_intent(status="canceled"), **PAID), True),
            (raw_invoice(intent=raw_intent(status="canceled"), **(PAID | {"amount_paid": 0})), False),
            (raw_invoice(intent=raw_intent(status="canceled")), False),
            (raw_invoice(**(PAID | {"payments": {"data": []}})), False),
            (raw_acacia_invoice(**PAID, paid_out_of_band=False), False),
            (raw_acacia_invoice(**(PAID | {"amount_paid": 0, "amount_remaining": 4900}), paid_out_of_band=True), True),
        ],
        ids=["a charge", "marked as paid", "a credit", "still open", "payments unread", "older", "older, marked"],
    )
    def test_money_outside_stripe(self, invoice: dict[str, Any], outside: bool):
        facts = parse_invoice(invoice)
        assert facts.paid_out_of_band is outside
        assert facts.amount_paid == (4900 if invoice["amount_paid"] or outside else 0)

    def test_of_a_paid_invoice_the_payment_that_paid_it_speaks(self):
        """A payment put to an invoice by hand leaves its own one cancelled, which still speaks for an open one."""
        paid, left = raw_intent(id="pi_paid", status="succeeded"), raw_intent(id="pi_left", status="canceled")
        payments = [
            {"is_default": True, "status": "canceled", "payment": {"type": "payment_intent", "payment_intent": left}},
            {"is_default": False, "status": "paid", "payment": {"type": "payment_intent", "payment_intent": paid}},
        ]
        facts = parse_invoice(raw_invoice(**PAID, payments={"data": payments}))
        assert (facts.payment_intent_id, facts.paid_out_of_band) == ("pi_paid", False)
        assert parse_invoice(raw_invoice(payments={"data": payments})).payment_intent_id == "pi_left"

    @pytest.mark.parametrize(
        ("by", "outside"),
        [({"type": "charge", "charge": "ch_1"}, False), ({"type": "payment_record", "payment_record": "pyr_1"}, True)],
        ids=["a charge of Stripe's without a payment", "a record of money from elsewhere"],
    )
    def test_what_paid_it_beside_a_payment_that_failed(self, by: dict[str, Any], outside: bool):
        left = raw_intent(id="pi_left", status="requires_payment_method")
        payments = [
            {"is_default": True, "status": "open", "payment": {"type": "payment_intent", "payment_intent": left}},
            {"is_default": False, "status": "paid", "payment": by},
        ]
        assert parse_invoice(raw_invoice(**PAID, payments={"data": payments})).paid_out_of_band is outside

    def test_a_nul_in_a_name_does_not_reach_the_database(self):
        facts = parse_invoice(raw_invoice(customer={"id": "cus_1", "name": "A\x00da"}))
        assert facts.customer.name == "Ada"


class TestMonthlyValue:
    @pytest.mark.parametrize(
        ("interval", "count", "unit", "quantity", "expected"),
        [
            ("month", 1, 4900, 1, 4900),
            ("month", 3, 4900, 2, 3267),
            ("year", 1, 12_000, 1, 1000),
            ("week", 1, 1200, 1, 5200),
            ("day", 1, 100, 1, 3042),
            ("fortnight", 1, 100, 1, 0),
        ],
    )
    def test_is_price_times_quantity_a_month(self, interval: str, count: int, unit: int, quantity: int, expected: int):
        price = {"unit_amount": unit, "recurring": {"interval": interval, "interval_count": count}}
        assert monthly_value({"items": {"data": [{"quantity": quantity, "price": price}]}}) == expected
