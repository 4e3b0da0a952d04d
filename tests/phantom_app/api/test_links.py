"""The customer's side: safe to prefetch, one press to pay, one press to hear no more; nonsense gets a calm page."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from core import db
from core.clock import ManualClock
from models.ghost import GhostState, GhostTarget
from models.messaging import LinkPurpose, Suppression
from sandbox.stripe.faults import Fault
from services.messaging import links
from tests.support.shop import Shop

Browse = Callable[..., TestClient]


class Customer:
    """A customer with a failed payment and the links of a message."""

    def __init__(self, shop: Shop, browser: TestClient, decline_code: str) -> None:
        self.shop, self.browser = shop, browser
        self.subscription = shop.subscriber(decline_code=decline_code)
        shop.pass_time(days=31, hours=2)
        with db.tenant_session(shop.merchant) as session:
            ghost = session.exec(select(GhostTarget)).one()
            urls = [links.create(session, shop.merchant, ghost.id, "msg_1", purpose) for purpose in LinkPurpose]
        self.pay, self.stop = ("/" + url.split("/", 3)[-1] for url in urls)

    @property
    def ghost(self) -> GhostTarget:
        return self.shop.ghosts[0]


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

    def test_paid_in_the_meantime_it_says_so(self, customer: Customer):
        card = customer.shop.actions.create_card(customer.shop.account, "visa")
        invoice = customer.shop.invoice(customer.subscription)
        customer.shop.actions.pay_invoice(customer.shop.account, invoice["id"], card["id"])
        assert customer.browser.post(customer.pay).headers["location"].endswith("/done")
        customer.shop.deliver()
        for page in (customer.browser.get(customer.pay), customer.browser.post(customer.pay)):
            assert "This is paid" in page.text

    def test_with_stripe_away_the_customer_can_try_again(self, customer: Customer, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("services.integrations.stripe.transport.wait_before", lambda *_args: 0.0)
        customer.shop.world.faults.add(Fault("rate_limit", times=50))
        answer = customer.browser.post(customer.pay)
        assert (answer.status_code, "Try again" in answer.text) == (503, True)

    def test_the_return_page_thanks(self, customer: Customer):
        assert "Thank you" in customer.browser.get(customer.pay + "/done").text


class TestUnsubscribing:
    def test_a_visit_changes_nothing(self, customer: Customer):
        assert customer.browser.get(customer.stop).status_code == 200
        assert customer.shop.rows(Suppression) == []

    def test_a_mail_programs_post_is_honoured_at_once(self, customer: Customer):
        answer = customer.browser.post(
            customer.stop, data={"List-Unsubscribe": "One-Click"}, headers={"sec-fetch-site": "none"}
        )
        assert answer.status_code == 200
        assert len(customer.shop.rows(Suppression)) == 1
        assert customer.ghost.next_action == "exhaust"

    def test_twice_is_once(self, customer: Customer):
        assert [customer.browser.post(customer.stop).status_code for _ in range(2)] == [200, 200]
        assert len(customer.shop.rows(Suppression)) == 1


class TestNonsense:
    @pytest.mark.parametrize("path", ["/r/x", "/r/" + "A" * 43, "/u/" + "A" * 43, "/r/" + "a" * 3000, "/r/%00", "/r/é"])
    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_gets_a_calm_404(self, database: object, browse: Browse, path: str, method: str):
        answer = browse().request(method, path)
        assert answer.status_code == 404

    def test_a_payment_token_does_not_unsubscribe(self, customer: Customer):
        token: Any = customer.pay.rsplit("/", 1)[-1]
        assert customer.browser.post(f"/u/{token}").status_code == 404
        assert customer.shop.rows(Suppression) == []
