"""The health card in a real browser: calm, or what is wrong with what to do; and the question about Stripe's mails."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from rq import Worker
from rq.serializers import JSONSerializer
from sqlalchemy import text, update

from core import clock, db, queue
from core.locks import lock_key
from core.queue import announce_change
from models.identity import Membership, Role
from models.merchant import Merchant, MerchantState, StripeMails
from services.audit import unreadable
from services.audit.unreadable import Unreadable
from services.tasks.schedules import SENTINEL_LOCK
from tests.phantom_app.served import Person, Served
from tests.phantom_app.test_screens import complaints, fits, signed_in
from tests.services.operations.test_signs import hunted

pytestmark = pytest.mark.browser
assert complaints
assert signed_in


def connect(person: Person, **values: Any) -> None:
    """The person's merchant has an account, a hunt that ran, and whatever else is given."""
    with db.tenant_session(person.merchant_id) as session:
        merchant = session.get(Merchant, person.merchant_id)
        assert merchant is not None
        merchant.stripe_user_id, merchant.connected_at = f"acct_{person.merchant_id[-12:]}", clock.now()
        merchant.state, merchant.stripe_mails = MerchantState.ACTIVE, StripeMails.NO
        for name, value in values.items():
            setattr(merchant, name, value)
    hunted(person.merchant_id, "hu_well", "done", 1)


def refusal(code: str) -> dict[str, str]:
    now = clock.now().isoformat()
    return {"code": code, "since": now, "last": now}


def trouble(person: Person) -> None:
    """The card may not be charged, the portal is not set up, and an invoice could not be read."""
    refusals = {"pay": refusal("not_permitted"), "portal": refusal("not_configured")}
    connect(person, stripe_refusals=refusals, policy={"paused": False})
    with db.tenant_session(person.merchant_id) as session:
        unreadable.note_of_webhook(session, person.merchant_id, Unreadable("no_currency", "acacia", "in_odd"))


@contextlib.contextmanager
def working() -> Iterator[None]:
    """A Sentinel leads and a worker has just been heard of."""
    worker = Worker([queue.TASK_QUEUE], connection=queue.connection(), serializer=JSONSerializer)
    worker.register_birth()
    with db.system_engine().connect() as leader:
        leader.execute(text("select pg_advisory_lock(:key)"), {"key": lock_key(SENTINEL_LOCK)})
        try:
            yield
        finally:
            leader.execute(text("select pg_advisory_unlock_all()"))
            worker.register_death()


class TestCard:
    def test_one_calm_line_where_nothing_is_wrong(self, page: Page, served: Served, signed_in: Person) -> None:
        connect(signed_in)
        page.goto(served.url + "/dashboard")
        expect(page.get_by_test_id("loading")).to_have_count(0)
        expect(page.get_by_test_id("health-notice")).to_have_count(0)
        page.goto(served.url + "/system?tab=health")
        expect(page.get_by_test_id("all-well")).to_contain_text("A part of PHANTOM itself is away")
        with working():
            page.reload()
            expect(page.get_by_test_id("all-well")).to_have_text("Everything PHANTOM needs is in place.")
        expect(page.get_by_test_id("seen-invoice.payment_failed")).to_contain_text("Never")
        expect(page.get_by_test_id("health-parts")).to_be_visible()

    @pytest.mark.parametrize("width", [390, 1440])
    def test_from_the_dashboard_to_what_to_do(
        self, page: Page, served: Served, signed_in: Person, complaints: list[str], width: int
    ) -> None:
        trouble(signed_in)
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(served.url + "/dashboard")
        notice = page.get_by_test_id("health-notice")
        expect(notice).to_contain_text("3 things need attention: PHANTOM may not charge invoices.")
        expect(notice).to_contain_text("And 1 more.")
        assert fits(page)
        notice.get_by_role("link", name="See what to do").click()
        expect(page).to_have_url(served.url + "/system?tab=health")
        expect(page.get_by_test_id("finding-denied_pay")).to_contain_text("Invoices: Write")
        portal = page.get_by_test_id("finding-portal_not_configured").get_by_role("link")
        expect(portal).to_have_attribute("href", "https://dashboard.stripe.com/test/settings/billing/portal")
        expect(portal).to_have_attribute("rel", "noopener noreferrer")
        expect(page.get_by_test_id("finding-unreadable")).to_contain_text("no currency, in the acacia form")
        expect(page.get_by_test_id("finding-unreadable")).to_contain_text("in_odd")
        assert fits(page)
        assert complaints == []

    def test_what_works_again_goes_without_a_reload(self, page: Page, served: Served, signed_in: Person) -> None:
        trouble(signed_in)
        page.goto(served.url + "/system?tab=health")
        expect(page.get_by_test_id("finding-denied_pay")).to_be_visible()
        with db.tenant_session(signed_in.merchant_id) as session:
            session.execute(update(Merchant).values(stripe_refusals={}))
        announce_change(signed_in.merchant_id)
        expect(page.get_by_test_id("finding-denied_pay")).to_have_count(0)
        expect(page.get_by_test_id("finding-unreadable")).to_be_visible()

    def test_without_an_account_it_says_to_connect_one(self, page: Page, served: Served, signed_in: Person) -> None:
        page.goto(served.url + "/system?tab=health")
        finding = page.get_by_test_id("finding-not_connected")
        expect(finding).to_be_visible()
        expect(page.get_by_test_id("webhooks-seen")).to_have_count(0)
        finding.get_by_role("link", name="Open Settings").click()
        expect(page).to_have_url(served.url + "/settings")

    def test_a_tab_that_does_not_exist_is_the_first(self, page: Page, served: Served, signed_in: Person) -> None:
        page.goto(served.url + "/system?tab=nope")
        expect(page.get_by_role("tab", name="Live log")).to_have_attribute("aria-selected", "true")


class TestQuestion:
    def test_is_answered_in_settings_and_the_warning_goes(self, page: Page, served: Served, signed_in: Person) -> None:
        connect(signed_in, stripe_mails=StripeMails.NOT_ASKED, policy={"paused": False})
        page.goto(served.url + "/settings")
        panel = page.get_by_test_id("stripe-mails-panel")
        panel.get_by_role("button", name="Yes").click()
        expect(panel.get_by_test_id("stripe-mails-warning")).to_contain_text("Customers may get two mails")
        page.goto(served.url + "/system?tab=health")
        expect(page.get_by_test_id("finding-double_mails")).to_be_visible()
        page.goto(served.url + "/settings")
        panel.get_by_role("button", name="No", exact=True).press("Enter")  # a keyboard is enough
        expect(panel.get_by_test_id("stripe-mails-warning")).to_have_count(0)
        expect(panel.get_by_role("button", name="No", exact=True)).to_have_attribute("aria-pressed", "true")
        page.goto(served.url + "/system?tab=health")
        expect(page.get_by_test_id("all-well")).to_be_visible()

    def test_is_asked_when_the_first_hunt_is_done(self, page: Page, served: Served, signed_in: Person) -> None:
        connect(signed_in, stripe_mails=StripeMails.NOT_ASKED)
        page.goto(served.url + "/welcome")
        page.get_by_test_id("stripe-mails").get_by_role("button", name="I don't know").click()
        expect(page.get_by_test_id("stripe-mails-warning")).to_be_visible()

    def test_an_analyst_sees_the_answer_and_gives_none(self, page: Page, served: Served, signed_in: Person) -> None:
        connect(signed_in, stripe_mails=StripeMails.YES)
        with db.tenant_session(signed_in.merchant_id) as session:
            session.execute(update(Membership).values(role=Role.ANALYST))
        page.goto(served.url + "/settings")
        expect(page.get_by_test_id("stripe-mails-said")).to_contain_text("Answered: Yes.")
        expect(page.get_by_test_id("stripe-mails-answer")).to_have_count(0)
