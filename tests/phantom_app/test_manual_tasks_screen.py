"""The tasks' screen in a real browser, and what a socket may do with tasks: only who may, and only one's own."""

from datetime import timedelta

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import update
from sqlmodel import select

from core import clock, db, ids
from models.ghost import GhostState, GhostTarget, ManualTask, ManualTaskState, Strategy
from models.merchant import Merchant
from services.manual_tasks import service
from tests.phantom_app.served import Person, Served


def put(merchant_id: str, number: int = 1, *, name: str = "Grace Hopper") -> list[str]:
    """So many ghosts of a connected merchant above the line, each with its task; the tasks' ids."""
    now, made = clock.now(), []
    with db.tenant_session(merchant_id) as session:
        session.execute(update(Merchant).values(stripe_user_id=f"acct_{merchant_id[-12:]}"))
        for index in range(number):
            ghost = GhostTarget(
                merchant_id=merchant_id,
                id=ids.new_id("gh"),
                invoice_id=f"in_{index}",
                customer_id=f"cus_{index}",
                customer_name=f"{name} {index}" if index else name,
                customer_email=f"grace{index}@example.com",
                customer_phone="+1 202 555 0143",
                decline_group="funds",
                decline_code="insufficient_funds",
                card_brand="visa",
                card_last4="4242",
                payment_method_id=f"pm_{index}",
                strategy=Strategy.HIGH_VALUE_MANUAL,
                strategy_reason="Not enough funds. It is above your high-value line, so a person decides.",
                amount_cents=250_000 + index,
                found_cents=250_000 + index,
                currency="usd",
                original_invoice_date=now - timedelta(days=2),
                found_at=now - timedelta(days=1),
                found_on=now.date(),
                updated_at=now,
            )
            task = ManualTask(
                merchant_id=merchant_id,
                id=ids.new_id("mt"),
                ghost_id=ghost.id,
                reason=ghost.strategy_reason,
                created_at=now - timedelta(days=1) + timedelta(seconds=index),
            )
            session.add(ghost)
            session.add(task)
            made.append(task.id)
    return made


def start_messages(merchant_id: str) -> None:
    with db.tenant_session(merchant_id) as session:
        session.execute(update(Merchant).values(policy={"paused": False}))


def task(merchant_id: str, task_id: str) -> ManualTask:
    with db.tenant_session(merchant_id) as session:
        found = session.get(ManualTask, (merchant_id, task_id))
        assert found is not None
        session.expunge(found)
        return found


@pytest.fixture
def signed_in(browser_context: BrowserContext, served: Served, ada: Person) -> Person:
    browser_context.add_cookies([{"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}])
    return ada


@pytest.mark.browser
class TestScreen:
    def test_says_what_to_expect_where_nothing_waits(self, page: Page, served: Served, signed_in: Person) -> None:
        page.goto(served.url + "/tasks")
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
        page.get_by_role("button", name="Done", exact=True).click()
        expect(page.get_by_role("heading", name="Nothing is done yet")).to_be_visible()

    def test_assign_review_and_release(self, page: Page, served: Served, signed_in: Person) -> None:
        (waiting,) = put(signed_in.merchant_id)
        start_messages(signed_in.merchant_id)
        page.goto(served.url + "/tasks")
        expect(page.get_by_test_id("task")).to_contain_text("$2,500.00")
        expect(page.get_by_test_id("reach")).to_contain_text("grace0@example.com")
        expect(page.get_by_test_id("reach")).to_contain_text("+1 202 555 0143")
        expect(page.get_by_test_id("open-tasks").first).to_contain_text("1")
        page.get_by_test_id("assignee").select_option(label="Ada")
        expect(page.get_by_test_id("note")).to_have_text("It is with Ada now.")
        page.get_by_role("button", name="Review draft: Grace Hopper").click()
        expect(page.frame_locator("[data-testid=draft]").locator("body")).to_contain_text("2,500.00")
        page.get_by_role("button", name="Send this message: Grace Hopper").click()
        expect(page.get_by_test_id("released")).to_be_visible()
        found = task(signed_in.merchant_id, waiting)
        assert (found.released_at is not None, found.assignee_id is not None) == (True, True)

    def test_close_with_a_reason_and_open_again(self, page: Page, served: Served, signed_in: Person) -> None:
        (waiting,) = put(signed_in.merchant_id)
        page.goto(served.url + "/tasks")
        page.get_by_role("button", name="Close: Grace Hopper").click()
        page.get_by_label("Why is it done?").fill("They pay by wire on Friday")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Nothing waits for you")).to_be_visible()
        page.get_by_role("button", name="Done", exact=True).click()
        expect(page.get_by_test_id("closed")).to_contain_text("by Ada: They pay by wire on Friday")
        page.get_by_role("button", name="Open again: Grace Hopper").click()
        expect(page.get_by_test_id("note")).to_have_text("It waits for a person again.")
        assert task(signed_in.merchant_id, waiting).state == ManualTaskState.OPEN

    def test_close_and_write_off(self, page: Page, served: Served, signed_in: Person) -> None:
        (waiting,) = put(signed_in.merchant_id)
        page.goto(served.url + "/tasks")
        page.get_by_role("button", name="Close: Grace Hopper").click()
        page.get_by_label("Why is it done?").fill("They will not pay")
        page.get_by_test_id("close-write-off").check()
        page.get_by_test_id("close-yes").click()
        expect(page.get_by_test_id("note")).to_have_text("Closed, and written off.")
        assert task(signed_in.merchant_id, waiting).state == ManualTaskState.DONE
        with db.tenant_session(signed_in.merchant_id) as session:
            assert session.exec(select(GhostTarget.state)).one() == GhostState.LOST

    def test_who_was_slower_is_told_and_sees_how_it_is(self, page: Page, served: Served, signed_in: Person) -> None:
        (waiting,) = put(signed_in.merchant_id)
        page.goto(served.url + "/tasks")
        page.get_by_role("button", name="Close: Grace Hopper").click()
        page.get_by_label("Why is it done?").fill("mine")
        with db.tenant_session(signed_in.merchant_id) as session:
            service.close(session, signed_in.merchant_id, waiting, "theirs", actor_id="usr_other")
        page.get_by_test_id("close-yes").click()
        expect(page.get_by_test_id("note")).to_have_text("This task has been closed meanwhile.")
        expect(page.get_by_test_id("task")).to_have_count(0)
        assert task(signed_in.merchant_id, waiting).closed_reason == "theirs"

    def test_pages_on_the_server(self, page: Page, served: Served, signed_in: Person) -> None:
        put(signed_in.merchant_id, service.PAGE_SIZE + 3)
        page.goto(served.url + "/tasks")
        expect(page.get_by_test_id("task")).to_have_count(service.PAGE_SIZE)
        page.get_by_role("button", name="Next").click()
        expect(page.get_by_test_id("task")).to_have_count(3)
        expect(page.get_by_test_id("range")).to_have_text("21–23 of 23")

    def test_the_ghosts_page_leads_here_and_shows_the_cards_budget(
        self, page: Page, served: Served, signed_in: Person
    ) -> None:
        (waiting,) = put(signed_in.merchant_id)
        page.goto(f"{served.url}/recoveries/{task(signed_in.merchant_id, waiting).ghost_id}")
        expect(page.get_by_test_id("ghost-charges")).to_contain_text("0 of 20 in 30 days")
        page.get_by_role("link", name="Open tasks").click()
        expect(page.get_by_test_id("task")).to_have_count(1)

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [390, 1440])
    def test_fits(self, page: Page, served: Served, signed_in: Person, scheme: str, width: int) -> None:
        put(signed_in.merchant_id, 2, name="A customer whose name is a good deal longer than most are")
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(served.url + "/tasks")
        page.get_by_test_id("review").first.click()
        expect(page.get_by_test_id("draft")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
