"""The checker itself complains about what is wrong, else the contract tests would prove nothing."""

from typing import Any

import pytest
import stripe

from tests.contract.annotations import check
from tests.sandbox.conftest import Play


@pytest.fixture
def invoice(play: Play) -> dict[str, Any]:
    customer = play.customer()
    made = play.actions.create_invoice(play.account, customer["id"], 900, "usd")
    return dict(made)


class TestChecker:
    def test_a_good_invoice_passes(self, invoice: dict[str, Any]) -> None:
        assert check(invoice, stripe.Invoice, "Invoice") == []

    def test_a_missing_required_field(self, invoice: dict[str, Any]) -> None:
        del invoice["amount_due"]
        assert check(invoice, stripe.Invoice, "Invoice") == ["Invoice.amount_due: missing, but Invoice requires it"]

    def test_null_where_a_value_is_required(self, invoice: dict[str, Any]) -> None:
        invoice["currency"] = None
        assert "null" in check(invoice, stripe.Invoice, "Invoice")[0]

    def test_an_unknown_field(self, invoice: dict[str, Any]) -> None:
        invoice["payment_intent"] = "pi_1"
        assert check(invoice, stripe.Invoice, "Invoice") == ["Invoice.payment_intent: unknown to Invoice"]

    def test_a_wrong_type_also_deep_inside(self, invoice: dict[str, Any]) -> None:
        invoice["amount_due"] = "900"
        line = dict(invoice["lines"]["data"][0], amount=9.5)
        invoice["lines"] = dict(invoice["lines"], data=[line])
        found = check(invoice, stripe.Invoice, "Invoice")
        assert [text.split(":")[0] for text in found] == ["Invoice.amount_due", "Invoice.lines.data[0].amount"]

    def test_a_value_outside_a_closed_list(self, invoice: dict[str, Any]) -> None:
        invoice["status"] = "opened"
        assert check(invoice, stripe.Invoice, "Invoice")[0].startswith("Invoice.status: 'opened' is none of")
