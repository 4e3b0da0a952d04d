"""The customer's side: safe to prefetch, one press to pay, one press to hear no more; nonsense gets a calm page."""

import html
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select, update
from starlette.testclient import TestClient

from core import db, queue
from core.clock import ManualClock
from models.ghost import GhostEvent, GhostState, GhostTarget
from models.merchant import Merchant
from models.messaging import Click, LinkPurpose, LinkToken, Message, MessageState, Suppression
from models.money import Recovery
from phantom_app.api import guessing
from phantom_app.api.customer_words import page_words
from sandbox.stripe.faults import Fault
from sandbox.stripe.resources.portal import default_configuration
from services.integrations.stripe.client import ScopedStripe
from services.messaging import attribution_cookie, links
from services.recovery import purge
from services.recovery.messages import clicks
from tests.support import environment
from tests.support.shop import Shop

Browse = Callable[..., TestClient]


class Customer:
    """A customer with a failed payment and the links of a message."""

    def __init__(self, shop: Shop, browser: TestClient, decline_code: str, message: str = "msg_1") -> None:
        self.shop, self.browser = shop, browser
        self.subscription = shop.subscriber(decline_code=decline_code, email=f"{message}@example.com")
        shop.pass_time(days=31, hours=2)
        with db.tenant_session(shop.merchant) as session:
            ghost = session.exec(select(GhostTarget).order_by(GhostTarget.id.desc())).first()  # type: ignore[attr-defined]
            assert ghost is not None
            self.ghost_id = ghost.id
            urls = [links.create(session, shop.merchant, ghost.id, message, purpose) for purpose in LinkPurpose]
        self.pay, self.stop = ("/" + url.split("/", 3)[-1] for url in urls)

    @property
    def ghost(self) -> GhostTarget:
        return next(ghost for ghost in self.shop.ghosts if ghost.id == self.ghost_id)

    def was_written_to(self, clock: ManualClock) -> None:
        """The message that the links stand in is kept."""
        now = clock.now()
        with db.tenant_session(self.shop.merchant) as session:
            session.add(Message(
                merchant_id=self.shop.merchant, id="msg_1", ghost_id=self.ghost_id, customer_id=self.ghost.customer_id,
                step=1, state=MessageState.SENT, idempotency_key="key", recipient="msg_1@example.com", due_at=now,
                intent_at=now, sent_at=now, created_at=now,
            ))  # fmt: skip

    def pays(self, **how: Any) -> None:
        """At Stripe, on its own page; PHANTOM has not heard of it."""
        card = self.shop.actions.create_card(self.shop.account, "visa")
        self.shop.actions.pay_invoice(self.shop.account, self.shop.invoice(self.subscription)["id"], card["id"], **how)

    def is_credited(self) -> None:
        """The merchant issues a credit note for all of it: the invoice is paid, with nothing."""
        shop = self.shop
        owed = shop.invoice(self.subscription)
        paid = {"status": "paid", "amount_due": 0, "amount_remaining": 0}
        shop.actions.edit_object(shop.account, "invoice", owed["id"], paid)
        shop.actions.send_event(shop.account, "invoice.paid", shop.invoice(self.subscription))
        shop.deliver()

    def of_merchant(self, **fields: Any) -> None:
        with db.tenant_session(self.shop.merchant) as session:
            merchant = session.get(Merchant, self.shop.merchant)
            assert merchant is not None
            for name, value in fields.items():
                setattr(merchant, name, value)

    def change(self, **fields: Any) -> None:
        with db.tenant_session(self.shop.merchant) as session:
            ghost = session.get(GhostTarget, (self.shop.merchant, self.ghost_id))
            assert ghost is not None
            for name, value in fields.items():
                setattr(ghost, name, value)

    def events(self, name: str) -> list[GhostEvent]:
        return [event for event in self.shop.rows(GhostEvent) if event.name == name]

    def at_stripe(self) -> int:
        """How much there is at Stripe; a portal session would add to it."""
        return sum(len(table.objects) for table in self.shop.world.space(self.shop.account).tables.values())


@pytest.fixture
def shop(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop.open(clock, monkeypatch)


@pytest.fixture
def customer(shop: Shop, browse: Browse) -> Customer:
    return Customer(shop, browse(), "insufficient_funds")


class TestLooking:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_scanner_leaves_no_trace(self, customer: Customer, method: str):
        before = len(customer.shop.world.space(customer.shop.account).table("event").objects)
        for _ in range(5):
            assert customer.browser.request(method, customer.pay).status_code == 200
        assert (customer.ghost.click_count, customer.ghost.state) == (0, GhostState.OPEN)
        assert len(customer.shop.world.space(customer.shop.account).table("event").objects) == before

    def test_all_links_of_a_mail_at_once_do_nothing(self, customer: Customer):
        """As filters do seconds after delivery: every link, HEAD and GET, in parallel, no assets and no script."""
        before, state = customer.at_stripe(), customer.ghost.model_dump(warnings=False)
        paths = (customer.pay, customer.stop, f"{customer.pay}/done")
        asked = [(method, path) for method in ("HEAD", "GET") for path in paths] * 3
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda each: customer.browser.request(*each), asked))
        assert {answer.status_code for answer in answers} == {200}
        assert not any("set-cookie" in answer.headers for answer in answers)
        assert (customer.shop.rows(Click), customer.shop.rows(Suppression)) == ([], [])
        assert customer.ghost.model_dump(warnings=False) == state
        assert customer.at_stripe() == before

    def test_the_page_names_merchant_and_amount_and_leaks_no_token(self, customer: Customer):
        page = customer.browser.get(customer.pay)
        assert "$49.00" in page.text
        assert "Northwind Analytics" in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]

    def test_a_merchants_name_is_escaped(self, customer: Customer):
        from models.merchant import Merchant

        with db.tenant_session(customer.shop.merchant) as session:
            merchant = session.get(Merchant, customer.shop.merchant)
            assert merchant is not None
            merchant.brand = {"name": "<script>alert(1)</script>"}
        assert "<script>alert(1)" not in customer.browser.get(customer.pay).text


class TestFollowing:
    def test_a_press_leads_to_the_hosted_invoice_and_counts(self, customer: Customer):
        answer = customer.browser.post(customer.pay)
        assert answer.status_code == 303
        assert answer.headers["location"] == customer.shop.invoice(customer.subscription)["hosted_invoice_url"]
        assert (customer.ghost.click_count, customer.ghost.state) == (1, GhostState.CLICKED)

    def test_a_dead_card_leads_to_the_portal(self, shop: Shop, browse: Browse):
        customer = Customer(shop, browse(), "expired_card")
        answer = customer.browser.post(customer.pay)
        assert answer.status_code == 303
        assert "hosted" not in answer.headers["location"]
        assert customer.ghost.click_count == 1

    def test_a_press_and_the_pages_own_are_told_apart(self, customer: Customer):
        customer.browser.post(customer.pay + "?by=page")
        assert [click.confirmed_by for click in customer.shop.rows(Click)] == ["page"]

    def test_a_double_press_is_one_click_and_leads_on_twice(self, customer: Customer):
        answers = [customer.browser.post(customer.pay) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [303, 303]
        assert answers[0].headers["location"] == answers[1].headers["location"]
        assert (len(customer.shop.rows(Click)), customer.ghost.click_count) == (1, 1)

    def test_who_presses_on_and_on_is_told_to_wait_and_stripe_is_asked_no_more(
        self, shop: Shop, browse: Browse, clock: ManualClock
    ):
        """Each press asks Stripe for the invoice and has a portal session made."""
        customer = Customer(shop, browse(), "expired_card")
        assert [customer.browser.post(customer.pay).status_code for _ in range(5)] == [303] * 5
        before = customer.at_stripe()
        answers = [customer.browser.post(customer.pay) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [429] * 7
        assert customer.at_stripe() == before
        assert (answers[-1].headers["retry-after"], customer.ghost.click_count) == ("10", 1)
        assert page_words("often").heading in answers[-1].text
        assert page_words("often").button in answers[-1].text
        other = Customer(shop, customer.browser, "insufficient_funds", "msg_2")
        assert other.browser.post(other.pay).status_code == 303  # another link has an allowance of its own
        for _ in range(5):
            customer.browser.post(customer.pay)
        clock.advance(timedelta(seconds=10))
        passed = [customer.browser.post(customer.pay).status_code for _ in range(2)]
        assert passed == [303, 429]

    def test_so_many_clicks_a_day_are_counted_and_all_lead_on(self, customer: Customer, clock: ManualClock):
        def press(times: int) -> set[int]:
            clock.advance(timedelta(minutes=1))
            codes = set()
            for _ in range(times):
                codes.add(customer.browser.post(customer.pay).status_code)
                clock.advance(timedelta(seconds=11))
            return codes

        def counted() -> tuple[int, int, int]:
            return len(customer.shop.rows(Click)), customer.ghost.click_count, len(customer.events("clicked"))

        assert press(clicks.MOST_A_DAY + 15) == {303}
        assert counted() == (clicks.MOST_A_DAY,) * 3
        clock.advance(timedelta(days=1))
        assert press(1) == {303}
        assert counted() == (clicks.MOST_A_DAY + 1,) * 3

    def test_paid_in_the_meantime_who_pressed_too_often_reads_that(self, customer: Customer):
        for _ in range(6):
            customer.browser.post(customer.pay)
        customer.pays()
        customer.shop.deliver()
        answer = customer.browser.post(customer.pay)
        assert (answer.status_code, page_words("paid").heading in answer.text) == (200, True)

    def test_the_link_goes_on_working_until_it_is_paid(self, customer: Customer, clock: ManualClock):
        for _ in range(3):
            assert customer.browser.post(customer.pay).status_code == 303
            clock.advance(timedelta(days=2))
        assert (len(customer.shop.rows(Click)), customer.ghost.click_count) == (3, 3)

    def test_a_dead_link_at_click_is_none(self, shop: Shop, browse: Browse, clock: ManualClock):
        """A portal session lives for minutes: each press gets its own, also the second of one click."""
        customer = Customer(shop, browse(), "expired_card")
        first, second = (customer.browser.post(customer.pay).headers["location"] for _ in range(2))
        assert "/p/session/" in first
        assert "/p/session/" in second
        assert first != second

    def test_a_new_card_comes_back_to_our_page(self, shop: Shop, browse: Browse):
        customer = Customer(shop, browse(), "expired_card")
        address = customer.browser.post(customer.pay).headers["location"]
        session = shop.actions.find_portal_session(shop.account, address.rsplit("/", 1)[-1])
        assert session is not None
        assert session["flow"]["after_completion"]["redirect"]["return_url"].endswith(f"{customer.pay}/done")

    def test_paid_in_the_meantime_it_says_so(self, customer: Customer):
        customer.pays()
        assert customer.browser.post(customer.pay).headers["location"].endswith("/done")
        customer.shop.deliver()
        for page in (customer.browser.get(customer.pay), customer.browser.post(customer.pay)):
            assert (page.status_code, "This is paid" in page.text) == (200, True)
            assert "$49.00 arrived on " in page.text
            assert re.search(r"on \w+ \d+, 20\d\d", page.text)

    def test_it_says_what_was_paid_and_not_what_a_refund_left(self, customer: Customer):
        customer.pays()
        customer.shop.deliver()
        charges = customer.shop.world.space(customer.shop.account).table("charge").objects.values()
        paid = [each["id"] for each in charges if each["paid"]][-1]
        customer.shop.actions.refund(customer.shop.account, paid, 1000)
        customer.shop.deliver()
        assert (customer.ghost.state, customer.ghost.recovered_cents) == (GhostState.RECOVERED, 3900)
        page = customer.browser.get(customer.pay).text
        assert "$49.00 arrived on " in page
        assert "$39.00" not in page

    @pytest.mark.parametrize("language", ["en", "de", "es", "fr", "pt"])
    def test_where_a_credit_note_settled_it_nothing_arrived_and_nothing_is_owed(
        self, customer: Customer, language: str
    ):
        customer.is_credited()
        customer.change(customer_language=language)
        assert (customer.ghost.state, customer.ghost.recovered_cents) == (GhostState.RECOVERED, 0)
        said = page_words("settled", language, at=customer.ghost.closed_at)
        for page in (customer.browser.get(customer.pay), customer.browser.post(customer.pay)):
            assert page.status_code == 200
            assert said.heading in html.unescape(page.text)
            assert said.lines[0] in html.unescape(page.text)
            assert "<form" not in page.text
            assert "0.00" not in page.text
            assert "0,00" not in page.text

    def test_a_payment_that_nobody_told_of_is_found_by_the_press_itself(self, customer: Customer):
        customer.pays()
        back = customer.browser.post(customer.pay).headers["location"].split("/", 3)[-1]
        assert "This is paid" in customer.browser.get(f"/{back}").text
        assert customer.ghost.state == GhostState.RECOVERED

    @pytest.mark.parametrize("decline_code", ["revocation_of_authorization", "stop_payment_order"])
    def test_who_told_the_bank_to_stop_is_asked_for_nothing(self, shop: Shop, browse: Browse, decline_code: str):
        customer = Customer(shop, browse(), decline_code)
        assert customer.ghost.state == GhostState.STOPPED
        for page in (customer.browser.get(customer.pay), customer.browser.post(customer.pay)):
            assert (page.status_code, "Nothing more is asked of you" in page.text) == (200, True)
            assert "<form" not in page.text
            assert "bank" not in page.text.lower()
        assert customer.shop.rows(Click) == []

    def test_a_charge_to_come_leads_to_the_portal_and_asks_for_no_invoice(self, customer: Customer):
        customer.change(state=GhostState.IMPENDING, invoice_id="upcoming_1")
        assert "Update your card" in customer.browser.get(customer.pay).text
        assert "/p/session/" in customer.browser.post(customer.pay).headers["location"]
        assert len(customer.events("clicked")) == 1
        customer.change(state=GhostState.PROTECTED)
        assert "Your card is up to date" in customer.browser.get(customer.pay).text

    def test_a_merchants_colour_and_language_are_the_customers(self, customer: Customer):
        customer.change(customer_language="de-AT")
        customer.of_merchant(brand={"name": "Nordwind", "accent": "#aa0011"}, reply_to="hilfe@nordwind.example")
        page = customer.browser.get(customer.pay).text
        for expected in ('lang="de"', "--accent: #aa0011", "Zahlung abschließen", "mailto:hilfe@nordwind.example"):
            assert expected in page


class TestTrouble:
    """Whatever Stripe or the merchant's account does at the click: a page that says what to do, never a 500."""

    def test_with_stripe_away_the_customer_can_try_again(self, customer: Customer, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("services.integrations.stripe.transport.wait_before", lambda *_args: 0.0)
        customer.of_merchant(reply_to="help@northwind.example")
        for kind in ("rate_limit", "unavailable", "cut"):
            customer.shop.world.faults.add(Fault(kind, times=50))
            answer = customer.browser.post(customer.pay)
            assert (answer.status_code, "Try again" in answer.text) == (503, True), kind
            assert "help@northwind.example" in answer.text
            customer.shop.world.faults.clear()
        assert customer.browser.post(customer.pay).status_code == 303

    @pytest.mark.parametrize("how", ["never set up", "card update off", "portal away"])
    def test_without_a_portal_it_is_the_hosted_invoice(
        self, shop: Shop, browse: Browse, how: str, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr("services.integrations.stripe.transport.wait_before", lambda *_args: 0.0)
        customer = Customer(shop, browse(), "expired_card")
        portal = default_configuration(shop.world, shop.world.space(shop.account))
        fields: dict[str, Any] = {"never set up": {"active": False}}.get(how, {})
        if how == "card update off":
            fields = {"features": {**portal["features"], "payment_method_update": {"enabled": False}}}
        if how == "portal away":
            shop.world.faults.add(Fault("unavailable", path="billing_portal", times=50))
        shop.actions.edit_object(shop.account, "billing_portal.configuration", portal["id"], fields)
        answer = customer.browser.post(customer.pay)
        assert answer.status_code == 303
        assert answer.headers["location"] == shop.invoice(customer.subscription)["hosted_invoice_url"]

    def test_without_portal_and_invoice_page_it_says_whom_to_ask(self, shop: Shop, browse: Browse):
        customer = Customer(shop, browse(), "expired_card")
        customer.of_merchant(reply_to="help@northwind.example")
        portal = default_configuration(shop.world, shop.world.space(shop.account))
        shop.actions.edit_object(shop.account, "billing_portal.configuration", portal["id"], {"active": False})
        invoice = shop.invoice(customer.subscription)["id"]
        shop.actions.edit_object(shop.account, "invoice", invoice, {"hosted_invoice_url": None})
        answer = customer.browser.post(customer.pay)
        assert (answer.status_code, "help@northwind.example" in answer.text) == (503, True)
        assert "cannot be paid here just now" in answer.text

    def test_a_merchant_who_left_cannot_be_paid_here(self, customer: Customer):
        customer.of_merchant(state="disconnected", reply_to="help@northwind.example")
        answer = customer.browser.post(customer.pay)
        assert (answer.status_code, "Please ask Northwind Analytics" in answer.text) == (503, True)

    def test_an_invoice_deleted_at_stripe_is_no_error(self, customer: Customer):
        customer.change(invoice_id="in_gone")
        answer = customer.browser.post(customer.pay)
        assert answer.headers["location"].endswith("/done")
        assert customer.browser.get(customer.pay + "/done").status_code == 200

    @pytest.mark.parametrize("reply_to", ["", "javascript:alert(1)", '"><script>@x'])
    def test_what_is_no_address_is_not_shown(self, customer: Customer, reply_to: str):
        customer.of_merchant(reply_to=reply_to)
        assert "mailto:" not in customer.browser.get(customer.pay).text


class TestReturning:
    """Our own page after Stripe's: it knows by the cookie of the click whom it sees."""

    @staticmethod
    def cookie_of(customer: Customer) -> str:
        return customer.browser.post(customer.pay).headers["set-cookie"]

    def test_a_click_leaves_a_cookie_for_this_link_alone(self, customer: Customer):
        cookie = self.cookie_of(customer).lower()
        assert cookie.startswith("phantom_attribution=")
        for part in ("httponly", "samesite=lax", f"path={customer.pay.lower()}", f"max-age={30 * 86400}"):
            assert part in cookie
        assert "msg_1" not in cookie

    @pytest.mark.parametrize(
        ("public_url", "secure"), [("https://pay.example", True), ("http://localhost:3000", False)]
    )
    def test_it_is_secure_where_the_site_is(self, customer: Customer, public_url: str, secure: bool):
        with environment.changed(PUBLIC_URL=public_url):
            assert ("secure" in self.cookie_of(customer).lower()) is secure

    def test_looking_leaves_none(self, customer: Customer):
        assert "set-cookie" not in customer.browser.get(customer.pay).headers

    def test_paid_it_thanks_before_the_webhook_comes(self, customer: Customer):
        self.cookie_of(customer)
        customer.pays()
        assert "This is paid. Thank you." in customer.browser.get(customer.pay + "/done").text
        assert (customer.ghost.state, customer.ghost.mechanism) == (GhostState.RECOVERED, "click")
        (row,) = customer.shop.rows(Recovery)
        assert (row.message_id, row.mechanism) == ("msg_1", "click")
        customer.shop.deliver()  # the webhooks of the same payment
        assert len(customer.shop.rows(Recovery)) == 1

    def test_the_return_is_kept_once_as_evidence(self, customer: Customer, clock: ManualClock):
        self.cookie_of(customer)
        first = clock.now()
        for _ in range(3):
            customer.browser.get(customer.pay + "/done")
            clock.advance(timedelta(seconds=5))
        assert len(customer.events("customer_returned")) == 1
        assert [click.returned_at for click in customer.shop.rows(Click)] == [first]
        customer.pays()
        customer.shop.deliver()
        (paid,) = customer.events("paid")
        assert (paid.facts["message_id"], paid.facts["came_back"]) == ("msg_1", True)

    def test_not_paid_yet_it_looks_again_for_a_minute(self, customer: Customer, clock: ManualClock):
        self.cookie_of(customer)
        page = customer.browser.get(customer.pay + "/done").text
        assert "One moment" in page
        assert 'http-equiv="refresh"' in page
        clock.advance(timedelta(seconds=61))
        page = customer.browser.get(customer.pay + "/done").text
        assert "has not arrived yet" in page
        assert 'http-equiv="refresh"' not in page
        assert f'href="{customer.pay}"' in page

    def test_who_comes_again_and_again_uses_up_nobodys_share_of_stripe(
        self, customer: Customer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ):
        """With the cookie of one press: each look asks Stripe, whose rate the merchant's mails and hunts share."""
        asked, told = self.heard(monkeypatch)
        self.cookie_of(customer)
        asked.clear()
        told.clear()
        pages = [customer.browser.get(customer.pay + "/done") for _ in range(60)]
        assert len(asked) == 20
        assert len(told) == 1  # of the return; who owes as before is no news
        assert {page.status_code for page in pages} == {200}
        assert all("One moment" in page.text for page in pages)  # nor does the page know less than before
        clock.advance(timedelta(days=1))
        customer.pays()
        assert "This is paid" in customer.browser.get(customer.pay + "/done").text
        assert len(told) == 2

    def test_a_minute_of_our_own_pages_looks_asks_each_time(
        self, customer: Customer, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ):
        asked, _ = self.heard(monkeypatch)
        self.cookie_of(customer)
        asked.clear()
        looks = 0
        while 'http-equiv="refresh"' in customer.browser.get(customer.pay + "/done").text:
            looks += 1
            assert len(asked) == looks
            clock.advance(timedelta(seconds=4))

    @staticmethod
    def heard(monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
        """The invoices that Stripe is asked for from now on, and the merchants whose open pages are told."""
        asked: list[str] = []
        told: list[str] = []
        ask, tell = ScopedStripe.retrieve_invoice, queue.announce_change

        def asking(self: ScopedStripe, invoice_id: str, *rest: Any) -> Any:
            asked.append(invoice_id)
            return ask(self, invoice_id, *rest)

        def telling(merchant_id: str) -> bool:
            told.append(merchant_id)
            return tell(merchant_id)

        monkeypatch.setattr(ScopedStripe, "retrieve_invoice", asking)
        monkeypatch.setattr(queue, "announce_change", telling)
        return asked, told

    def test_with_stripe_away_it_says_what_is_known(self, customer: Customer, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("services.integrations.stripe.transport.wait_before", lambda *_args: 0.0)
        self.cookie_of(customer)
        customer.shop.world.faults.add(Fault("unavailable", times=50))
        assert customer.browser.get(customer.pay + "/done").status_code == 200

    def test_without_the_cookie_it_thanks_and_asks_nobody(self, customer: Customer):
        customer.pays()
        for method in ("GET", "HEAD"):
            assert customer.browser.request(method, customer.pay + "/done").status_code == 200
        assert customer.events("customer_returned") == []
        assert customer.ghost.state == GhostState.OPEN

    @pytest.mark.parametrize(
        "kind", ["other ghost", "other merchant", "forged", "cut", "too old", "of tomorrow", "junk"]
    )
    def test_a_cookie_that_is_not_this_clicks_counts_for_nothing(
        self, customer: Customer, browse: Browse, clock: ManualClock, kind: str, monkeypatch: pytest.MonkeyPatch
    ):
        """Of a click that there was: without one there is no return to keep, whatever the cookie."""
        token = customer.pay.rsplit("/", 1)[-1]
        value = attribution_cookie.made(token, clock.now())
        if kind == "other ghost":
            value = attribution_cookie.made(
                Customer(customer.shop, browse(), "expired_card", "msg_2").pay.rsplit("/", 1)[-1], clock.now()
            )
        elif kind == "other merchant":
            with db.tenant_session("mer_other") as session:
                url = links.create(session, "mer_other", "gh_other", "msg_other", LinkPurpose.PAY)
            value = attribution_cookie.made(url.rsplit("/", 1)[-1], clock.now())
        elif kind == "forged":
            value = ("A" if value[0] != "A" else "B") + value[1:]
        elif kind == "cut":
            value = value[:-4]
        elif kind == "too old":
            value = attribution_cookie.made(token, clock.now() - timedelta(days=30, seconds=1))
        elif kind == "of tomorrow":
            value = attribution_cookie.made(token, clock.now() + timedelta(days=1))
        elif kind == "junk":
            value = "é" * 20
        assert customer.browser.post(customer.pay).status_code == 303
        asked, told = self.heard(monkeypatch)
        browser = browse(cookie=f"phantom_attribution={value}".encode())  # bytes, as anybody may send
        page = browser.get(customer.pay + "/done").text
        assert ("Thank you" in page, "One moment" in page, 'http-equiv="refresh"' in page) == (True, False, False)
        assert (asked, told) == ([], [])
        assert customer.events("customer_returned") == []
        assert [click.returned_at for click in customer.shop.rows(Click)] == [None]

    def test_a_cookie_outlives_a_key_rotation(self, customer: Customer, clock: ManualClock):
        token = customer.pay.rsplit("/", 1)[-1]
        value = attribution_cookie.made(token, clock.now())
        old = os.environ["ENCRYPTION_KEY"]
        with environment.changed(
            ENCRYPTION_KEY="ab" * 32, ENCRYPTION_KEY_VERSION="2", ENCRYPTION_KEYS=f'{{"1": "{old}"}}'
        ):
            assert attribution_cookie.clicked_at(value, token, clock.now()) == clock.now().replace(microsecond=0)

    def test_the_second_look_after_paying_takes_no_merit_away(self, customer: Customer, clock: ManualClock):
        """They pay, nobody tells us, and days later they open the link again to see whether it arrived."""
        customer.browser.post(customer.pay)
        clock.advance(timedelta(minutes=5))
        customer.pays()
        clock.advance(timedelta(days=3))
        customer.browser.post(customer.pay)
        customer.shop.deliver()
        assert customer.ghost.mechanism == "click"


class TestUnsubscribing:
    def test_a_visit_changes_nothing(self, customer: Customer):
        assert customer.browser.get(customer.stop).status_code == 200
        assert customer.shop.rows(Suppression) == []

    def test_a_mail_programs_post_is_honoured_at_once(self, customer: Customer):
        answer = customer.browser.post(
            customer.stop, data={"List-Unsubscribe": "One-Click"}, headers={"sec-fetch-site": "none"}
        )
        assert answer.status_code == 200
        assert len(customer.shop.rows(Suppression)) == 2  # the address, and the person at any other
        assert customer.ghost.next_action == "exhaust"

    def test_twice_is_once(self, customer: Customer, monkeypatch: pytest.MonkeyPatch):
        _, told = TestReturning.heard(monkeypatch)
        assert [customer.browser.post(customer.stop).status_code for _ in range(2)] == [200, 200]
        assert told == [customer.shop.merchant]
        assert len(customer.shop.rows(Suppression)) == 2  # the address, and the person at any other


class TestNonsense:
    """Unknown, tampered, too old, of another kind: one page, one shape."""

    @pytest.fixture(autouse=True)
    def _nobody_guessed_yet(self) -> Iterator[None]:
        guessing.misses.forget()
        yield
        guessing.misses.forget()

    @pytest.mark.parametrize("path", ["/r/x", "/r/" + "A" * 43, "/u/" + "A" * 43, "/r/" + "a" * 3000, "/r/%00", "/r/é"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_gets_a_calm_404(self, database: object, browse: Browse, path: str, method: str):
        answer = browse().request(method, path)
        assert answer.status_code == 404

    def test_a_payment_token_does_not_unsubscribe(self, customer: Customer):
        token: Any = customer.pay.rsplit("/", 1)[-1]
        assert customer.browser.post(f"/u/{token}").status_code == 404
        assert customer.shop.rows(Suppression) == []

    def test_all_of_it_gets_one_and_the_same_page(self, customer: Customer):
        token = customer.pay.rsplit("/", 1)[-1]
        tampered = ("A" if token[0] != "A" else "B") + token[1:]
        with db.tenant_session("mer_other") as session:
            nobodys = links.create(session, "mer_other", "gh_none", "msg_none", LinkPurpose.PAY).rsplit("/", 1)[-1]
        with db.tenant_session(customer.shop.merchant) as session:
            forgotten = links.create(session, customer.shop.merchant, customer.ghost_id, "msg_9", LinkPurpose.PAY)
        with db.system_session() as session:
            session.delete(session.get(LinkToken, links.identity_of(forgotten.rsplit("/", 1)[-1], LinkPurpose.PAY)))
        paths = ("x", tampered, nobodys, forgotten.rsplit("/", 1)[-1], customer.stop.rsplit("/", 1)[-1])
        answers = [
            customer.browser.request(method, f"/r/{path}{end}")
            for path in paths
            for method, end in (("GET", ""), ("POST", ""), ("GET", "/done"))
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.text for answer in answers}) == 1
        assert len({tuple(sorted(answer.headers)) for answer in answers}) == 1

    def test_who_asked_to_be_forgotten_has_links_as_unknown_as_any(self, customer: Customer, clock: ManualClock):
        customer.was_written_to(clock)
        with db.tenant_session(customer.shop.merchant) as session:
            assert customer.ghost.customer_id is not None
            purge.erase_customer(session, customer.shop.merchant, customer.ghost.customer_id, clock.now())
        for path in (customer.pay, customer.stop):
            assert [customer.browser.request(way, path).status_code for way in ("GET", "POST")] == [404, 404]

    def test_after_the_90_days_the_mail_of_yesterday_still_leads_to_paying_and_to_no_more(
        self, customer: Customer, clock: ManualClock
    ):
        """The merchant said go late, or it was owed again: a ghost's days begin then, and its person's end earlier."""
        clock.advance(timedelta(days=89))
        with db.tenant_session(customer.shop.merchant) as session:
            session.exec(update(LinkToken).values(created_at=clock.now()))
        customer.was_written_to(clock)
        clock.advance(timedelta(days=1, hours=1))
        with db.tenant_session(customer.shop.merchant) as session:
            assert purge.purge_due(session, customer.shop.merchant, clock.now()) == 1
        assert customer.ghost.customer_email is None
        assert "$49.00" in customer.browser.get(customer.pay).text
        assert customer.browser.post(customer.pay).status_code == 303
        assert customer.browser.post(customer.stop).status_code == 200
        assert [row.reason for row in customer.shop.rows(Suppression)] == ["unsubscribed"]  # the person, at any address

    def test_made_with_a_key_that_is_gone_it_is_unknown(self, customer: Customer):
        with environment.changed(ENCRYPTION_KEY="cd" * 32):
            assert customer.browser.get(customer.pay).status_code == 404

    def test_the_page_speaks_the_browsers_language(self, database: object, browse: Browse):
        german = browse(**{"accept-language": "de-CH,fr;q=0.8"}).get("/r/x").text
        assert page_words("unknown", "de").heading in german
        assert page_words("unknown", "en").heading in browse(**{"accept-language": "tlh"}).get("/r/x").text

    def test_who_guesses_is_told_to_wait_and_genuine_links_go_on(self, customer: Customer):
        answers = [customer.browser.get(f"/r/{number}") for number in range(guessing.MISSES + 5)]
        assert [answer.status_code for answer in answers[: guessing.MISSES]] == [404] * guessing.MISSES
        assert {answer.status_code for answer in answers[-4:]} == {429}
        assert answers[-1].headers["retry-after"] == "60"
        assert answers[-1].text == answers[0].text
        assert customer.browser.get(customer.pay).status_code == 200


class TestWords:
    @pytest.mark.parametrize("language", ["de", "es", "fr", "pt"])
    def test_every_page_is_written_in_every_language(self, language: str):
        from phantom_app.api.customer_words import _read

        english, other = _read("en"), _read(language)
        assert {name: set(page) for name, page in english.items() if isinstance(page, dict)} == {
            name: set(page) for name, page in other.items() if isinstance(page, dict)
        }
        for name in english:
            if isinstance(english[name], dict):
                words = page_words(name, language, "Nordwind")
                assert words.heading
                assert "{" not in " ".join((words.title, words.heading, *words.lines, words.button, words.soft))

    def test_no_line_of_a_french_page_can_begin_with_a_mark(self):
        assert (
            page_words("unsubscribe", "fr", "Nordwind").heading
            == "Ne plus recevoir de messages sur les paiements\u00a0?"
        )

    @pytest.mark.parametrize(
        ("language", "begins"),
        [
            ("en", "Your provider will not write"),
            ("de", "Das Unternehmen schreibt Ihnen"),
            ("es", "Su proveedor ya no"),
            ("fr", "Votre prestataire ne vous écrira plus"),
            ("pt", "O seu fornecedor não vai mais"),
        ],
    )
    def test_a_merchant_without_a_name_begins_a_sentence_as_one(self, language: str, begins: str):
        assert page_words("unsubscribe", language).lines[0].startswith(begins)
        assert page_words("unsubscribe", language, "eBay").lines[0].startswith("eBay ")
