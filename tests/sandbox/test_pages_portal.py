"""The Customer Portal: sessions that end, cards, plans, flows, and where a customer is sent afterwards."""

from datetime import timedelta
from typing import Any

import pytest

from core import clock
from sandbox.pages.portal_visit import UNUSED_SECONDS, USED_SECONDS
from sandbox.stripe.store import Json
from tests.sandbox.conftest import Play
from tests.sandbox.visiting import Visitor, location, text_of

BACK = "http://127.0.0.1:3000/back?x=1&y=2"
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def visitor(play: Play) -> Visitor:
    return Visitor(play.world)


@pytest.fixture
def customer(play: Play) -> Json:
    return play.failed_invoice()[0]


def portal(play: Play, customer: Json, return_url: str | None = BACK) -> str:
    return str(play.actions.create_portal_session(play.account, customer["id"], return_url)["url"])


def flow(play: Play, customer: Json, kind: str = "payment_method_update", **data: Any) -> str:
    params: Any = {"customer": customer["id"], "return_url": BACK, "flow_data": {"type": kind} | data}
    return str(play.client().v1.billing_portal.sessions.create(params).url)


def default_card(play: Play, customer: Json) -> Json:
    method: Json = play.space.table("payment_method").objects[customer["invoice_settings"]["default_payment_method"]]
    return method


class TestSession:
    def test_the_overview(self, play: Play, visitor: Visitor, customer: Json) -> None:
        page = visitor.get(portal(play, customer))
        said = text_of(page)
        for words in ("not Stripe", "Acme", "Ada", "Open invoices", "$49.00 per month", "past due", "Visa •••• 4242"):
            assert words in said
        assert 'href="http://127.0.0.1:3000/back?x=1&amp;y=2"' in page.text
        invoice = play.space.table("invoice").where("customer", customer["id"])[-1]
        assert invoice["hosted_invoice_url"] in page.text

    def test_a_customer_with_nothing(self, play: Play, visitor: Visitor) -> None:
        customer = play.actions.create_customer(play.account)
        said = text_of(visitor.get(portal(play, customer, None)))
        assert "There is no plan." in said
        assert "There is no saved card." in said
        assert "Return to merchant" not in said

    def test_an_address_nobody_opened_ends_soon(
        self, play: Play, visitor: Visitor, customer: Json, manual_clock: clock.ManualClock
    ) -> None:
        url = portal(play, customer)
        manual_clock.advance(timedelta(seconds=UNUSED_SECONDS + 1))
        page = visitor.get(url)
        assert page.status_code == 410
        assert "This session has expired" in text_of(page)
        assert visitor.post(f"{url}/cards/new", card="visa").status_code == 410
        assert default_card(play, customer)["card"]["last4"] == "4242"

    def test_visits_keep_it_alive_for_a_while(
        self, play: Play, visitor: Visitor, customer: Json, manual_clock: clock.ManualClock
    ) -> None:
        url = portal(play, customer)
        for _ in range(3):
            assert visitor.get(url).status_code == 200
            manual_clock.advance(timedelta(seconds=USED_SECONDS))
        manual_clock.advance(timedelta(seconds=1))
        assert visitor.get(url).status_code == 410

    @pytest.mark.parametrize("path", ["/p/session/acct_unknown/bps_1", "/p/session/{account}/bps_1"])
    def test_unknown_addresses(self, play: Play, visitor: Visitor, path: str) -> None:
        assert visitor.get(path.format(account=play.account)).status_code == 404

    def test_a_deleted_customer(self, play: Play, visitor: Visitor, customer: Json) -> None:
        url = portal(play, customer)
        play.client().v1.customers.delete(customer["id"])
        assert visitor.get(url).status_code == 404

    def test_everything_is_escaped(self, play: Play, visitor: Visitor, customer: Json) -> None:
        play.actions.update_customer(play.account, customer["id"], name=NASTY)
        page = visitor.get(portal(play, customer), done=NASTY, attempt=NASTY)
        assert "<script" not in page.text
        assert "&lt;script&gt;" in page.text

    @pytest.mark.parametrize(
        "url", ["javascript:alert(1)", "data:text/html,x", "//evil.example", "http://user@evil.example/", "http://[x"]
    )
    def test_only_web_addresses_are_returned_to(self, play: Play, visitor: Visitor, customer: Json, url: str) -> None:
        assert "Return to merchant" not in visitor.get(portal(play, customer, url)).text


class TestCards:
    def test_a_new_card_becomes_the_customers_default_and_pays_nothing_by_itself(
        self, play: Play, visitor: Visitor, customer: Json
    ) -> None:
        url = portal(play, customer)
        assert "Card" in text_of(visitor.get(f"{url}/cards/new"))
        home = location(visitor.post(f"{url}/cards/new", card="mastercard"))
        assert "Your card was saved" in text_of(visitor.get(home))
        assert default_card(play, customer)["card"]["last4"] == "4444"
        subscription = play.space.table("subscription").where("customer", customer["id"])[0]
        assert subscription["default_payment_method"] is None
        assert play.space.table("invoice").where("customer", customer["id"])[-1]["status"] == "open"
        named = ("setup_intent.succeeded", "payment_method.attached", "customer.updated")
        assert play.events(*named)[-3:] == ["payment_method.attached", "setup_intent.succeeded", "customer.updated"]

    @pytest.mark.parametrize("token", ["chargeDeclined", "chargeDeclinedExpiredCard", "chargeDeclinedLostCard"])
    def test_a_bank_may_refuse_a_card(self, play: Play, visitor: Visitor, customer: Json, token: str) -> None:
        page = visitor.post(f"{portal(play, customer)}/cards/new", card=token)
        assert 'role="alert"' in page.text
        assert "lost" not in text_of(page).partition("Card")[0]
        assert default_card(play, customer)["card"]["last4"] == "4242"

    @pytest.mark.parametrize("given", ["", "unknown", "4242424242424242", "pm_1"])
    def test_only_cards_of_the_list(self, play: Play, visitor: Visitor, customer: Json, given: str) -> None:
        assert "Choose a card." in text_of(visitor.post(f"{portal(play, customer)}/cards/new", card=given))

    @pytest.mark.parametrize(("answer", "last4"), [("complete", "3220"), ("fail", "4242")])
    def test_a_card_that_asks_for_3d_secure(
        self, play: Play, visitor: Visitor, customer: Json, answer: str, last4: str
    ) -> None:
        confirm = location(visitor.post(f"{portal(play, customer)}/cards/new", card="threeDSecure2Required"))
        assert "3-D Secure" in text_of(visitor.get(confirm))
        visitor.post(confirm, answer=answer)
        assert default_card(play, customer)["card"]["last4"] == last4
        assert "/cards/confirm/" not in location(visitor.get(confirm))  # answered is answered
        assert "/cards/confirm/" not in location(visitor.post(confirm, answer="complete"))
        assert default_card(play, customer)["card"]["last4"] == last4

    def test_default_and_remove(self, play: Play, visitor: Visitor, customer: Json) -> None:
        url, former = portal(play, customer), default_card(play, customer)["id"]
        visitor.post(f"{url}/cards/new", card="visa")
        added = default_card(play, customer)["id"]
        assert added != former
        assert "Your default card was changed." in text_of(
            visitor.get(location(visitor.post(f"{url}/cards/{former}/default")))
        )
        assert default_card(play, customer)["id"] == former
        visitor.post(f"{url}/cards/{former}/remove")
        assert customer["invoice_settings"]["default_payment_method"] is None

    def test_somebody_elses_card_is_out_of_reach(self, play: Play, visitor: Visitor, customer: Json) -> None:
        other = play.customer()
        theirs, mine = default_card(play, other)["id"], default_card(play, customer)["id"]
        url = portal(play, customer)
        for what in ("default", "remove"):
            location(visitor.post(f"{url}/cards/{theirs}/{what}"))
        assert default_card(play, other)["id"] == theirs
        assert default_card(play, customer)["id"] == mine


class TestPlans:
    def test_cancelling_what_is_paid_waits_for_the_end_and_can_be_taken_back(
        self, play: Play, visitor: Visitor
    ) -> None:
        customer, subscription = play.subscriber()
        url = portal(play, customer)
        asked = f"{url}/plans/{subscription['id']}/cancel"
        assert "stays available until 15 February 2026" in text_of(visitor.get(asked))
        assert "Your plan was cancelled." in text_of(visitor.get(location(visitor.post(asked))))
        assert (subscription["status"], subscription["cancel_at_period_end"]) == ("active", True)
        assert "ends on 15 February 2026" in text_of(visitor.get(url))
        visitor.post(f"{url}/plans/{subscription['id']}/keep")
        assert (subscription["cancel_at_period_end"], subscription["cancel_at"]) == (False, None)
        play.pass_time(days=31, seconds=3700)
        assert subscription["status"] == "active"

    def test_cancelling_what_is_unpaid_ends_it(self, play: Play, visitor: Visitor, customer: Json) -> None:
        subscription = play.space.table("subscription").where("customer", customer["id"])[0]
        asked = f"{portal(play, customer)}/plans/{subscription['id']}/cancel"
        assert "ends at once" in text_of(visitor.get(asked))
        visitor.post(asked)
        assert subscription["status"] == "canceled"
        assert subscription["cancellation_details"]["reason"] == "cancellation_requested"
        location(visitor.get(asked))  # nothing is left to cancel

    def test_somebody_elses_plan_is_out_of_reach(self, play: Play, visitor: Visitor, customer: Json) -> None:
        _, theirs = play.subscriber()
        url = portal(play, customer)
        for what in ("cancel", "keep"):
            location(visitor.post(f"{url}/plans/{theirs['id']}/{what}"))
        assert (theirs["status"], theirs["cancel_at_period_end"]) == ("active", False)


class TestFlows:
    def test_it_goes_straight_to_the_card_and_afterwards_home(
        self, play: Play, visitor: Visitor, customer: Json
    ) -> None:
        url = flow(play, customer)
        form = location(visitor.get(url))
        assert form.endswith("/cards/new")
        home = location(visitor.post(form, card="visa"))
        page = visitor.get(home)
        assert "Your card was saved" in text_of(page)
        assert "Return to merchant" in page.text

    @pytest.mark.parametrize("redirect", [BACK, "http://127.0.0.1:3000/elsewhere"])
    def test_with_a_redirect_it_returns_to_the_merchant(
        self, play: Play, visitor: Visitor, customer: Json, redirect: str
    ) -> None:
        url = flow(play, customer, after_completion={"type": "redirect", "redirect": {"return_url": redirect}})
        form = location(visitor.get(url))
        assert "https:" in visitor.get(form).headers["content-security-policy"]
        assert location(visitor.post(form, card="visa")) == redirect
        assert "Payment methods" in text_of(visitor.get(url))  # a finished flow is an ordinary session

    def test_a_redirect_waits_for_the_bank(self, play: Play, visitor: Visitor, customer: Json) -> None:
        after = {"type": "redirect", "redirect": {"return_url": BACK}}
        url = flow(play, customer, after_completion=after)
        confirm = location(visitor.post(f"{url}/cards/new", card="threeDSecure2Required"))
        assert "https:" in visitor.get(confirm).headers["content-security-policy"]
        assert location(visitor.post(confirm, answer="complete")) == BACK

    def test_a_redirect_to_what_is_no_web_address_stays_here(
        self, play: Play, visitor: Visitor, customer: Json
    ) -> None:
        after = {"type": "redirect", "redirect": {"return_url": "javascript:alert(1)"}}
        url = flow(play, customer, after_completion=after)
        assert location(visitor.post(f"{url}/cards/new", card="visa")).startswith("/p/session/")

    def test_a_hosted_confirmation(self, play: Play, visitor: Visitor, customer: Json) -> None:
        after = {"type": "hosted_confirmation", "hosted_confirmation": {"custom_message": f"Cheers {NASTY}"}}
        page = visitor.post(f"{flow(play, customer, after_completion=after)}/cards/new", card="visa")
        assert "Cheers &lt;script&gt;" in page.text
        assert "Return to merchant" in page.text

    def test_cancelling_as_a_flow(self, play: Play, visitor: Visitor, customer: Json) -> None:
        subscription = play.space.table("subscription").where("customer", customer["id"])[0]
        url = flow(play, customer, "subscription_cancel", subscription_cancel={"subscription": subscription["id"]})
        asked = location(visitor.get(url))
        assert asked.endswith(f"/plans/{subscription['id']}/cancel")
        visitor.post(asked)
        assert subscription["status"] == "canceled"
