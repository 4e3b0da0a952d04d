"""The hosted invoice page: what is owed, paying it once, 3-D Secure, and every ending."""

import zlib
from typing import Any

import pytest

from sandbox.pages.cards import CHOICES
from sandbox.stripe.lookups import intent_of
from sandbox.stripe.store import Json
from tests.sandbox.conftest import Play
from tests.sandbox.visiting import Visitor, location, text_of

NASTY = "<script>alert(1)</script>"


@pytest.fixture
def visitor(play: Play) -> Visitor:
    return Visitor(play.world)


def invoice_of(play: Play, amount: int = 4900, currency: str = "usd", **customer: Any) -> Json:
    given = {"name": "Ada", "email": "ada@example.com"} | customer
    made = play.actions.create_customer(play.account, **given)
    return play.actions.create_invoice(play.account, made["id"], amount, currency)


def charges(play: Play, status: str) -> list[Json]:
    return [charge for charge in play.space.table("charge").objects.values() if charge["status"] == status]


class TestLooking:
    @pytest.mark.parametrize(
        ("amount", "currency", "shown"),
        [
            (4900, "usd", "$49.00"),
            (123456, "eur", "€1,234.56"),
            (4900, "jpy", "¥4,900"),
            (4900, "kwd", "KWD 4.900"),
            (50, "usd", "$0.50"),
        ],
    )
    def test_amounts_in_their_currency(
        self, play: Play, visitor: Visitor, amount: int, currency: str, shown: str
    ) -> None:
        page = visitor.get(invoice_of(play, amount, currency)["hosted_invoice_url"])
        said = text_of(page).replace("\xa0", " ")
        assert f"Pay {shown}" in said
        assert "not Stripe" in said

    def test_a_customer_without_a_name_or_address(self, play: Play, visitor: Visitor) -> None:
        invoice = invoice_of(play, name=None, email=None)
        assert visitor.get(invoice["hosted_invoice_url"]).status_code == 200

    def test_everything_is_escaped(self, play: Play, visitor: Visitor) -> None:
        play.actions.update_customer(play.account, invoice_of(play)["customer"], name=NASTY)
        invoice = invoice_of(play, name=NASTY)
        page = visitor.get(invoice["hosted_invoice_url"], attempt=NASTY, s=NASTY)
        assert "<script" not in page.text
        assert "&lt;script&gt;" in page.text
        assert "script-src" not in page.headers["content-security-policy"]  # default-src 'none' holds

    @pytest.mark.parametrize("path", ["/i/acct_unknown/x", "/i/{account}/x", "/receipts/ch_x", "/3ds/pi_x"])
    def test_unknown_addresses_are_404(self, play: Play, visitor: Visitor, path: str) -> None:
        assert visitor.get(path.format(account=play.account)).status_code == 404

    def test_an_unknown_invoice_cannot_be_paid(self, play: Play, visitor: Visitor) -> None:
        for what in ("pay", "authenticate"):
            assert visitor.post(f"/i/{play.account}/x/{what}", payment_method="new:visa").status_code == 404

    def test_void_says_so_and_cannot_be_paid(self, play: Play, visitor: Visitor) -> None:
        invoice = invoice_of(play)
        play.actions.void_invoice(play.account, invoice["id"])
        page = visitor.get(invoice["hosted_invoice_url"])
        assert "This invoice was voided" in text_of(page)
        assert "<button" not in page.text
        visitor.post(invoice["hosted_invoice_url"] + "/pay", payment_method="new:visa")
        assert invoice["status"] == "void"
        assert charges(play, "succeeded") == []

    def test_uncollectible_says_so_and_can_still_be_paid(self, play: Play, visitor: Visitor) -> None:
        invoice = invoice_of(play)
        play.actions.mark_uncollectible(play.account, invoice["id"])
        assert "marked this invoice as uncollectible" in text_of(visitor.get(invoice["hosted_invoice_url"]))
        visitor.post(invoice["hosted_invoice_url"] + "/pay", payment_method="new:visa")
        assert invoice["status"] == "paid"


class TestPaying:
    def test_with_a_new_card_that_is_kept(self, play: Play, visitor: Visitor) -> None:
        customer, subscription, invoice = play.failed_invoice()
        own = play.actions.create_card(play.account, "visa", decline_code="insufficient_funds")
        play.actions.attach_payment_method(play.account, own["id"], customer["id"])
        play.actions.set_default_payment_method(
            play.account, customer["id"], own["id"], subscription=subscription["id"]
        )
        url = invoice["hosted_invoice_url"]
        assert location(visitor.post(f"{url}/pay", payment_method="new:mastercard", save="yes")) in url
        page = text_of(visitor.get(url))
        assert "Invoice paid" in page
        assert "Mastercard •••• 4444" in page
        assert subscription["status"] == "active"
        default = customer["invoice_settings"]["default_payment_method"]
        assert default == subscription["default_payment_method"]
        method = play.space.table("payment_method").objects[default]
        assert (method["customer"], method["card"]["last4"]) == (customer["id"], "4444")
        assert play.events("invoice.paid", "payment_method.attached")[-2:] == [
            "invoice.paid",
            "payment_method.attached",
        ]

    def test_with_a_new_card_that_is_not_kept(self, play: Play, visitor: Visitor) -> None:
        customer, _, invoice = play.failed_invoice()
        before = customer["invoice_settings"]["default_payment_method"]
        visitor.post(invoice["hosted_invoice_url"] + "/pay", payment_method="new:visa")
        assert invoice["status"] == "paid"
        assert customer["invoice_settings"]["default_payment_method"] == before

    def test_with_the_saved_card(self, play: Play, visitor: Visitor) -> None:
        customer, _, invoice = play.failed_invoice()
        saved = customer["invoice_settings"]["default_payment_method"]
        url = invoice["hosted_invoice_url"]
        assert f'<option value="{saved}" selected>' in visitor.get(url).text
        again = location(visitor.post(f"{url}/pay", payment_method=saved))
        assert "Your card has insufficient funds. Nothing was charged" in text_of(visitor.get(again))
        play.actions.set_card_behaviour(play.account, saved, decline_code=None)
        visitor.post(f"{url}/pay", payment_method=saved)
        assert invoice["status"] == "paid"

    def test_an_earlier_failure_is_not_held_against_a_visitor(self, play: Play, visitor: Visitor) -> None:
        _, _, invoice = play.failed_invoice()
        assert "insufficient funds." not in text_of(visitor.get(invoice["hosted_invoice_url"]))

    @pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.token)
    def test_every_card_of_the_list_does_what_it_says(self, play: Play, visitor: Visitor, choice: Any) -> None:
        invoice = invoice_of(play)
        answer = visitor.post(invoice["hosted_invoice_url"] + "/pay", payment_method=f"new:{choice.token}")
        if "succeeds" in choice.label:
            assert invoice["status"] == "paid"
        elif "3-D Secure" in choice.label:
            assert location(answer).endswith("/authenticate")
        else:
            assert location(answer).endswith("?attempt=failed")
            assert "Nothing was charged" in text_of(visitor.get(location(answer)))
            assert invoice["status"] == "open"

    @pytest.mark.parametrize("given", ["", "pm_unknown", "new:", "new:unknown", "new:4242424242424242", "foreign"])
    def test_a_card_that_is_not_offered_pays_nothing(self, play: Play, visitor: Visitor, given: str) -> None:
        if given == "foreign":
            other = play.customer()
            given = other["invoice_settings"]["default_payment_method"]
        invoice = invoice_of(play)
        visitor.post(invoice["hosted_invoice_url"] + "/pay", payment_method=given)
        assert invoice["status"] == "open"
        assert charges(play, "succeeded") == []

    def test_submitting_twice_pays_once(self, play: Play, visitor: Visitor) -> None:
        invoice = invoice_of(play)
        url = invoice["hosted_invoice_url"]
        answers = visitor.post_together(f"{url}/pay", 5, payment_method="new:visa", save="yes")
        assert {answer.status_code for answer in answers} == {303}
        assert {location(answer) for answer in answers} == {url.removeprefix(play.world.settings.public_url)}
        assert len(charges(play, "succeeded")) == 1
        assert play.events("invoice.paid") == ["invoice.paid"]

    def test_the_download(self, play: Play, visitor: Visitor) -> None:
        invoice = invoice_of(play, name="Ada (née Ω) \\ <b>")
        answer = visitor.get(invoice["invoice_pdf"])
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.content.startswith(b"%PDF-1.4")
        assert int(answer.content.split()[-2]) == answer.content.rindex(b"xref\n0")
        stream = zlib.decompress(answer.content.partition(b"stream\n")[2].partition(b"\nendstream")[0])
        assert b"To: Ada \\(n\xe9e ?\\) \\\\ <b>" in stream
        assert b"Total: $49.00" in stream
        assert visitor.get(f"/i/{play.account}/x/pdf").status_code == 404

    def test_the_receipt(self, play: Play, visitor: Visitor) -> None:
        invoice = invoice_of(play)
        visitor.post(invoice["hosted_invoice_url"] + "/pay", payment_method="new:visa")
        charge = charges(play, "succeeded")[0]
        assert "$49.00" in text_of(visitor.get(charge["receipt_url"]))
        play.actions.refund(play.account, charge["id"], 900)
        assert "Partly refunded" in text_of(visitor.get(charge["receipt_url"]))


class TestAuthentication:
    @pytest.fixture
    def invoice(self, play: Play, visitor: Visitor) -> Json:
        """Waiting for the customer's answer to the bank."""
        made = invoice_of(play)
        location(visitor.post(made["hosted_invoice_url"] + "/pay", payment_method="new:threeDSecure2Required"))
        return made

    def test_complete_pays(self, play: Play, visitor: Visitor, invoice: Json) -> None:
        url = invoice["hosted_invoice_url"] + "/authenticate"
        assert "3-D Secure" in text_of(visitor.get(url))
        location(visitor.post(url, answer="complete", save="yes"))
        assert invoice["status"] == "paid"
        method = play.space.table("payment_method").where("customer", invoice["customer"])
        assert [one["card"]["last4"] for one in method] == ["3220"]

    def test_fail_leaves_it_open(self, visitor: Visitor, invoice: Json) -> None:
        url = invoice["hosted_invoice_url"]
        back = location(visitor.post(f"{url}/authenticate", answer="fail"))
        assert "failed authentication" in text_of(visitor.get(back))
        assert invoice["status"] == "open"
        visitor.post(f"{url}/pay", payment_method="new:visa")
        assert invoice["status"] == "paid"

    def test_completing_twice_pays_once(self, play: Play, visitor: Visitor, invoice: Json) -> None:
        answers = visitor.post_together(invoice["hosted_invoice_url"] + "/authenticate", 4, answer="complete")
        assert {answer.status_code for answer in answers} == {303}
        assert len(charges(play, "succeeded")) == 1

    def test_with_nothing_to_confirm_it_leads_to_the_invoice(self, play: Play, visitor: Visitor) -> None:
        url = invoice_of(play)["hosted_invoice_url"]
        for answer in (visitor.get(f"{url}/authenticate"), visitor.post(f"{url}/authenticate", answer="complete")):
            assert location(answer) in url

    def test_a_ghost_that_waits_for_its_bank_makes_no_new_attempt(self, play: Play, visitor: Visitor) -> None:
        customer, _, invoice = play.failed_invoice(requires_action=True)
        failures = len(play.events("invoice.payment_failed"))
        url = invoice["hosted_invoice_url"]
        saved = customer["invoice_settings"]["default_payment_method"]
        assert location(visitor.post(f"{url}/pay", payment_method=saved)).endswith("/authenticate")
        assert len(play.events("invoice.payment_failed")) == failures
        intent = intent_of(play.space, invoice)
        assert intent is not None
        assert location(visitor.get(f"/3ds/{intent['id']}")) in f"{url}/authenticate"
        visitor.post(f"{url}/authenticate", answer="complete")
        assert invoice["status"] == "paid"

    def test_a_bank_that_declines_the_absent_asks_the_present(self, play: Play, visitor: Visitor) -> None:
        customer, _, invoice = play.failed_invoice(decline_code="authentication_required")
        url, saved = invoice["hosted_invoice_url"], customer["invoice_settings"]["default_payment_method"]
        assert location(visitor.post(f"{url}/pay", payment_method=saved)).endswith("/authenticate")
        visitor.post(f"{url}/authenticate", answer="complete")
        assert invoice["status"] == "paid"

    def test_the_bank_may_still_decline(self, play: Play, visitor: Visitor) -> None:
        invoice = invoice_of(play)
        token = "new:authenticationRequiredChargeDeclinedInsufficientFunds"
        url = invoice["hosted_invoice_url"]
        visitor.post(f"{url}/pay", payment_method=token)
        back = location(visitor.post(f"{url}/authenticate", answer="complete"))
        assert "insufficient funds" in text_of(visitor.get(back))


def test_a_subscriptions_live_invoice_is_found_too(play: Play, visitor: Visitor) -> None:
    live = play.world.space(play.account, live=True)
    customer = play.actions.create_customer(live, name="Ada", email="ada@example.com")
    invoice = play.actions.create_invoice(live, customer["id"], 4900, "usd")
    visitor.post(invoice["hosted_invoice_url"] + "/pay", payment_method="new:visa")
    assert invoice["status"] == "paid"
