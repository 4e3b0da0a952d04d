"""Where a person finds an invoice at Stripe: in their account and its mode, and nowhere in the sandbox."""

from types import SimpleNamespace

import pytest

from core import config
from services.integrations.stripe.dashboard import invoice_address


def behind(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setattr(config, "settings", lambda: SimpleNamespace(stripe_api_base=base))


class TestInvoiceAddress:
    @pytest.fixture(autouse=True)
    def at_stripe(self, monkeypatch: pytest.MonkeyPatch) -> None:
        behind(monkeypatch, "https://api.stripe.com")

    def test_names_account_and_mode(self) -> None:
        found = "https://dashboard.stripe.com/acct_1/invoices/in_1"
        assert invoice_address("acct_1", "in_1", livemode=True) == found
        assert invoice_address("acct_1", "in_1", livemode=False) == found.replace("acct_1/", "acct_1/test/")

    @pytest.mark.parametrize(("account", "invoice"), [("", "in_1"), ("acct_1", "upcoming:sub_1:1"), ("acct_1", "")])
    def test_what_stripe_has_no_page_for_has_none(self, account: str, invoice: str) -> None:
        assert invoice_address(account, invoice, livemode=True) == ""

    def test_an_odd_id_leads_nowhere_else(self) -> None:
        odd = invoice_address("acct_1", "in_1/../../x?y#z", livemode=True)
        assert odd.endswith("/invoices/in_1%2F..%2F..%2Fx%3Fy%23z")


def test_the_sandbox_has_no_dashboard(monkeypatch: pytest.MonkeyPatch) -> None:
    behind(monkeypatch, "http://127.0.0.1:4242")
    assert invoice_address("acct_1", "in_1", livemode=False) == ""
