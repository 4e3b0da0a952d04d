"""The System page in a real browser: what gave up is seen, run again and deleted; parts, schedules, webhooks."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import text, update
from sqlmodel import select

from core import clock, db
from core.queue import announce_change
from jobs import runner
from models.audit import AuditLog
from models.identity import Membership, Role
from services.tasks import service as tasks
from tests.jobs import probe
from tests.phantom_app.served import Person, Served, sign_up
from tests.phantom_app.test_screens import fits
from tests.services.tasks.support import put, row

pytestmark = pytest.mark.browser


@pytest.fixture
def signed_in(browser_context: BrowserContext, served: Served, ada: Person) -> Person:
    """The browser holds Ada's cookie."""
    browser_context.add_cookies([{"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}])
    return ada


@pytest.fixture
def probed() -> Iterator[None]:
    with probe.registered():
        yield


def open_tab(page: Page, served: Served, name: str) -> None:
    page.goto(served.url + "/system")
    expect(page.get_by_test_id("loading")).to_have_count(0)
    page.get_by_role("tab", name=name).click()


def bury(merchant_id: str, kind: str = "send_message", error: str = "StripeUnavailableError: x") -> int:
    """A task that gave up."""
    number = put(kind, merchant_id=merchant_id)
    with db.system_session() as session:
        session.execute(
            text(
                "update scheduled_tasks set state = 'dead', attempts = 5, last_error = :error, finished_at = :now"
                " where id = :id"
            ),
            {"id": number, "error": error, "now": clock.now()},
        )
    assert number is not None
    return number


def audited(merchant_id: str) -> list[tuple[str, str]]:
    with db.tenant_session(merchant_id) as session:
        return [(entry.action, entry.target) for entry in session.exec(select(AuditLog))]


class TestDeadLetters:
    def test_a_task_dies_is_seen_runs_again_and_is_gone(
        self, page: Page, served: Served, signed_in: Person, probed: None
    ) -> None:
        open_tab(page, served, "Dead letters")
        expect(page.get_by_test_id("no-dead-letters")).to_be_visible()
        with db.tenant_session(signed_in.merchant_id) as session:
            number = tasks.schedule(
                session, kind="probe", merchant_id=signed_in.merchant_id, payload={"do": "fail"}, max_attempts=1
            )
        runner.run_due()
        assert row(number)["state"] == "dead"

        expect(page.get_by_test_id("dead-letter")).to_contain_text(f"#{number}")  # live, without a reload
        expect(page.get_by_test_id("dead-letter")).to_contain_text("nobody foresaw")
        expect(page.get_by_test_id("dead-letter")).to_contain_text("1 attempt")
        with db.system_session() as session:
            session.execute(text("update scheduled_tasks set payload = '{}' where id = :id"), {"id": number})
        page.get_by_role("button", name=f"Run task {number} again").click()
        expect(page.get_by_test_id("dead-note")).to_have_text(f"Task #{number} runs again.")
        expect(page.get_by_test_id("no-dead-letters")).to_be_visible()
        runner.run_due()
        assert row(number)["state"] == "done"
        assert audited(signed_in.merchant_id) == [("task.replayed", f"task:{number}")]

    def test_all_run_again_once_a_person_said_yes(self, page: Page, served: Served, signed_in: Person) -> None:
        numbers = [bury(signed_in.merchant_id) for _ in range(23)]
        open_tab(page, served, "Dead letters")
        page.get_by_role("button", name="Run all again").click()
        page.get_by_test_id("run-every-no").click()
        page.get_by_test_id("run-every").press("Enter")
        expect(page.get_by_test_id("run-every-yes")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("dead-note")).to_have_text("23 tasks run again.")
        expect(page.get_by_test_id("no-dead-letters")).to_be_visible()
        assert {row(number)["state"] for number in numbers} == {"pending"}

    def test_deleting_is_asked_for_twice(self, page: Page, served: Served, signed_in: Person) -> None:
        number = bury(signed_in.merchant_id)
        open_tab(page, served, "Dead letters")
        expect(page.get_by_test_id("dead-letter")).to_contain_text("Stripe did not answer.")
        page.get_by_test_id("delete").click()
        page.get_by_test_id("delete-no").click()
        assert row(number)["state"] == "dead"
        page.get_by_test_id("delete").press("Enter")  # a keyboard is enough
        expect(page.get_by_test_id("delete-yes")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("no-dead-letters")).to_be_visible()
        assert row(number)["state"] == "done"
        assert audited(signed_in.merchant_id) == [("task.deleted", f"task:{number}")]

    def test_twenty_a_page(self, page: Page, served: Served, signed_in: Person) -> None:
        numbers = [bury(signed_in.merchant_id) for _ in range(23)]
        open_tab(page, served, "Dead letters")
        expect(page.get_by_test_id("dead-letter")).to_have_count(20)
        expect(page.get_by_test_id("dead-letter").first).to_contain_text(f"#{numbers[-1]}")
        page.get_by_role("button", name="Next").click()
        expect(page.get_by_test_id("dead-letter")).to_have_count(3)
        expect(page.get_by_test_id("range")).to_have_text("21–23")
        page.get_by_role("button", name="Previous").click()
        expect(page.get_by_test_id("dead-letter")).to_have_count(20)

    def test_an_analyst_sees_and_touches_nothing(self, page: Page, served: Served, signed_in: Person) -> None:
        bury(signed_in.merchant_id)
        with db.tenant_session(signed_in.merchant_id) as session:
            session.execute(update(Membership).values(role=Role.ANALYST))
        open_tab(page, served, "Dead letters")
        expect(page.get_by_test_id("dead-letter")).to_be_visible()
        expect(page.get_by_test_id("run-again")).to_have_count(0)
        expect(page.get_by_test_id("delete")).to_have_count(0)

    def test_another_merchants_are_not_there(self, page: Page, served: Served, signed_in: Person) -> None:
        bury(sign_up("Borealis").merchant_id)
        open_tab(page, served, "Dead letters")
        expect(page.get_by_test_id("no-dead-letters")).to_be_visible()


def received(merchant_id: str, name: str, *, handled_after: float | None, outcome: str = "") -> None:
    """A stored webhook with its task."""
    at = clock.now() - timedelta(minutes=5)
    done = None if handled_after is None else at + timedelta(seconds=handled_after)
    with db.system_session() as session:
        session.execute(
            text(
                "insert into processed_events"
                " (id, source, type, merchant_id, livemode, received_at, handled_at, outcome)"
                " values (:id, 'stripe', 'invoice.payment_failed', :merchant, false, :at, :done, :outcome)"
            ),
            {"id": name, "merchant": merchant_id, "at": at, "done": done, "outcome": outcome},
        )
    put("handle_event", merchant_id=merchant_id, key=f"event:{name}", run_at=at)


class TestMachinery:
    def test_webhooks(self, page: Page, served: Served, signed_in: Person) -> None:
        received(signed_in.merchant_id, "evt_mine", handled_after=0.25, outcome="ghost_found")
        received(signed_in.merchant_id, "evt_waits", handled_after=None)
        received(sign_up("Borealis").merchant_id, "evt_theirs", handled_after=1, outcome="ghost_found")
        open_tab(page, served, "Webhooks")
        expect(page.get_by_test_id("intake-received")).to_contain_text("2")
        expect(page.get_by_test_id("intake-waiting")).to_contain_text("1")
        expect(page.get_by_test_id("intake-delay")).to_contain_text("250 ms")
        expect(page.get_by_test_id("intake-events")).to_contain_text("evt_mine")
        expect(page.get_by_test_id("intake-events")).not_to_contain_text("evt_theirs")
        expect(page.get_by_test_id("intake-types")).to_contain_text("Ghost found")

    def test_schedules(self, page: Page, served: Served, signed_in: Person) -> None:
        open_tab(page, served, "Schedules")
        expect(page.get_by_test_id("schedule-hunt")).to_contain_text("every 12 hours")
        expect(page.get_by_test_id("schedule-pulse")).to_contain_text("every hour")
        expect(page.get_by_test_id("schedule-hunt")).to_contain_text("Not connected")

    def test_health(self, page: Page, served: Served, signed_in: Person) -> None:
        open_tab(page, served, "Health")
        expect(page.get_by_test_id("part-postgresql")).to_contain_text("Working")
        expect(page.get_by_test_id("part-redis")).to_contain_text("Working")
        expect(page.get_by_test_id("part-workers")).to_contain_text("Away")
        expect(page.get_by_test_id("part-sentinel")).to_contain_text("Away")
        expect(page.get_by_test_id("part-stripe")).to_contain_text("Not set up")

    @pytest.mark.parametrize("width", [390, 1440])
    def test_every_tab_fits(self, page: Page, served: Served, signed_in: Person, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 844})
        bury(signed_in.merchant_id, error="ValueError: " + "x" * 300)
        received(signed_in.merchant_id, "evt_" + "y" * 150, handled_after=0.2, outcome="unchanged")
        page.goto(served.url + "/system")
        for tab in page.get_by_role("tab").all():
            tab.click()
            expect(tab).to_have_attribute("aria-selected", "true")
            expect(page.get_by_role("tabpanel")).to_be_visible()
            announce_change(signed_in.merchant_id)
            assert fits(page), tab.inner_text()
            assert tab.evaluate("tab => tab.getBoundingClientRect().right") <= width, tab.inner_text()
