"""The screens in a real browser: they fit, they complain about nothing, a keyboard is enough, and they change live."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlmodel import select

from core import clock, db
from core.config import settings
from core.queue import announce_change
from models.ghost import FoundVia, GhostState, GhostTarget, Strategy
from services.audit import service as audit
from services.integrations.stripe.parsing import parse_invoice
from services.recovery.observe import observe
from services.recovery.work import merchant_context
from tests.phantom_app.served import Person, Served
from tests.support.factories import raw_invoice
from tests.support.risks import made_safe

pytestmark = pytest.mark.browser

INSIDE = (
    "/dashboard",
    "/dry-run",
    "/recoveries",
    "/recoveries/gh_unknown",
    "/system",
    "/settings",
    "/settings/messages",
    "/settings/rules",
    "/settings/consents",
    "/welcome",
)
OUTSIDE = ("/", "/sign-in")


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What the browser's console had to complain about: a blocked script, a failed request, an exception."""
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    return heard


@pytest.fixture
def demo_file() -> Iterator[Path]:
    """The file that says there is a demo account."""
    path = settings().phantom_demo_file
    assert path is not None
    path.write_text("{}")
    yield path
    path.unlink()


@pytest.fixture
def signed_in(browser_context: BrowserContext, served: Served, ada: Person) -> Person:
    """The browser holds Ada's cookie."""
    browser_context.add_cookies([{"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}])
    return ada


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


class TestEveryPage:
    @pytest.mark.parametrize("width", [390, 1440])
    @pytest.mark.parametrize("path", INSIDE)
    def test_inside(
        self, page: Page, served: Served, signed_in: Person, complaints: list[str], path: str, width: int
    ) -> None:
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(served.url + path)
        expect(page.get_by_test_id("loading")).to_have_count(0)
        expect(page.get_by_role("main")).to_be_visible()
        expect(page.get_by_test_id("merchant-name")).to_have_text("Aurora Analytics")
        assert fits(page)
        assert complaints == []

    @pytest.mark.parametrize("width", [390, 1440])
    @pytest.mark.parametrize("path", OUTSIDE)
    def test_outside(
        self, page: Page, served: Served, demo_file: Path, complaints: list[str], path: str, width: int
    ) -> None:
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(served.url + path)
        expect(page.get_by_test_id("open-demo")).to_be_visible()
        assert fits(page)
        assert complaints == []

    @pytest.mark.parametrize("path", OUTSIDE)
    def test_offers_no_demo_where_there_is_none(self, page: Page, served: Served, path: str) -> None:
        page.goto(served.url + path)
        expect(page.get_by_test_id("connect-stripe")).to_be_visible()
        page.wait_for_timeout(500)  # for the answer to the page's first event, which would show it
        expect(page.get_by_test_id("open-demo")).to_have_count(0)

    @pytest.mark.parametrize("width", [390, 1440])
    def test_an_unknown_address_is_calm(self, page: Page, served: Served, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(served.url + "/nope")
        expect(page.get_by_role("heading", name="There is nothing here")).to_be_visible()
        assert fits(page)
        page.get_by_test_id("home").click()
        expect(page).to_have_url(served.url + "/")

    @pytest.mark.parametrize("amount", ["$1,000,055.99", "CA$123,456,789.99"])
    def test_an_amount_never_breaks_nor_leaves_its_tile(
        self, page: Page, served: Served, signed_in: Person, amount: str
    ) -> None:
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(served.url + "/dashboard")
        expect(page.get_by_test_id("loading")).to_have_count(0)
        size = "longest" if len(amount) > 15 else "long"
        within = page.evaluate(
            """([amount, size]) => [...document.querySelectorAll(".figure-value")].every((value) => {
                value.textContent = amount
                value.classList.add(size)
                const range = document.createRange()
                range.selectNodeContents(value)
                return range.getClientRects().length === 1 && value.scrollWidth <= value.clientWidth
            })""",
            [amount, size],
        )
        assert within


class TestVisitor:
    def test_a_page_behind_the_sign_in_asks_and_remembers_where(self, page: Page, served: Served) -> None:
        page.goto(served.url + "/recoveries")
        page.wait_for_url("**/sign-in?next=**")
        expect(page.get_by_label("Email")).to_be_visible()
        expect(page.locator("input[name=next]")).to_have_value("/recoveries")

    def test_the_first_tab_skips_to_the_content(self, page: Page, served: Served, demo_file: Path) -> None:
        page.goto(served.url + "/")
        expect(page.get_by_test_id("open-demo")).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()


class TestMember:
    def test_a_ghost_of_nobody_says_so(self, page: Page, served: Served, signed_in: Person) -> None:
        page.goto(served.url + "/recoveries/gh_of_somebody_else")
        expect(page.get_by_test_id("not-found")).to_be_visible()

    def test_what_came_back_says_by_what_and_that_this_proves_no_cause(
        self, page: Page, served: Served, signed_in: Person
    ) -> None:
        failed, merchant = parse_invoice(raw_invoice()), signed_in.merchant_id
        for facts in (failed, replace(failed, status="paid", amount_paid=4900, amount_remaining=0)):
            with db.tenant_session(merchant) as session:
                observe(session, merchant_context(session, merchant), [facts], FoundVia.HUNT, clock.now())
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 844})
            page.goto(served.url + "/dashboard")
            expect(page.get_by_test_id("merits").get_by_role("listitem")).to_contain_text(["On its own$49.001 payment"])
            expect(page.get_by_test_id("merits-caveat")).to_contain_text("not what caused it")
            assert fits(page)

    def test_what_was_made_safe_says_by_what_on_the_dashboard_and_on_its_own_page(
        self, page: Page, served: Served, signed_in: Person
    ) -> None:
        with db.tenant_session(signed_in.merchant_id) as session:
            merchant = merchant_context(session, signed_in.merchant_id)
            observe(session, merchant, [parse_invoice(raw_invoice())], FoundVia.HUNT, clock.now())
        page.goto(served.url + "/dashboard")
        expect(page.get_by_test_id("merits-panel")).to_contain_text("Nothing came back yet")
        expect(page.get_by_test_id("made-safe-panel")).to_have_count(0)
        ghost_id = made_safe(signed_in.merchant_id)
        for width in (390, 1440):
            page.set_viewport_size({"width": width, "height": 844})
            page.goto(served.url + "/dashboard")
            expect(page.get_by_test_id("made-safe").get_by_role("listitem")).to_contain_text(
                ["On its own$49.001 charge"]
            )
            expect(page.get_by_test_id("made-safe-said")).to_contain_text("not what caused it")
            assert fits(page)
        page.goto(f"{served.url}/recoveries/{ghost_id}")
        expect(page.get_by_test_id("ghost-outcome")).to_contain_text("$49.00 made safe on ")
        expect(page.get_by_test_id("ghost-outcome")).to_contain_text("Merit: On its own.")

    @pytest.mark.parametrize("width", [390, 880, 1024, 1200, 1440])
    def test_the_list_of_ghosts_has_no_scrollbar_of_its_own(
        self, page: Page, served: Served, signed_in: Person, width: int
    ) -> None:
        """What must be narrow drops columns, which the ghost's own page has, too; with the longest of everything."""
        facts = [parse_invoice(raw_invoice(number)) for number in (1, 2)]
        with db.tenant_session(signed_in.merchant_id) as session:
            merchant = merchant_context(session, signed_in.merchant_id)
            observe(session, merchant, facts, FoundVia.HUNT, clock.now())
            for ghost in session.exec(select(GhostTarget)).all():
                ghost.customer_name, ghost.customer_email = "Bartholomew Featherstonehaugh", f"{'b' * 40}@example.com"
                ghost.amount_cents, ghost.currency, ghost.state = 12_345_678_999, "cad", GhostState.EXHAUSTED
                ghost.last_action, ghost.last_action_at = "text message 2 of 3 sent", clock.now()
                ghost.last_presence_at, ghost.strategy = clock.now(), Strategy.HIGH_VALUE_MANUAL
                session.add(ghost)
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(served.url + "/recoveries")
        expect(page.get_by_test_id("ghost-row")).to_have_count(2)
        assert page.get_by_test_id("ghosts").evaluate("list => list.scrollWidth <= list.clientWidth")

    @pytest.mark.parametrize("width", [390, 1440])
    def test_what_is_said_of_the_funnel_stands_within_its_panel(
        self, page: Page, served: Served, signed_in: Person, width: int
    ) -> None:
        made_safe(signed_in.merchant_id)
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(served.url + "/dashboard")
        expect(page.get_by_test_id("funnel-said")).to_be_visible()
        steps, said, panel = (
            page.get_by_test_id(name).bounding_box() for name in ("funnel", "funnel-said", "funnel-panel")
        )
        assert steps is not None
        assert said is not None
        assert panel is not None
        assert said["y"] >= steps["y"] + steps["height"] + 8
        assert said["y"] + said["height"] <= panel["y"] + panel["height"]

    def test_light_and_dark(self, page: Page, served: Served, signed_in: Person) -> None:
        page.emulate_media(color_scheme="dark")
        page.goto(served.url + "/dashboard")
        expect(page.locator("html")).to_contain_class("dark")
        page.get_by_test_id("theme-switch").first.click()
        expect(page.locator("html")).to_contain_class("light")

    def test_a_change_appears_without_a_reload(self, page: Page, served: Served, signed_in: Person) -> None:
        page.goto(served.url + "/system")
        expect(page.get_by_test_id("empty")).to_be_visible()
        with db.tenant_session(signed_in.merchant_id) as session:
            audit.log_event(session, signed_in.merchant_id, "test.happened", "Something came back.")
        announce_change(signed_in.merchant_id)
        expect(page.get_by_text("Something came back.")).to_be_visible(timeout=2_000)

    def test_signing_out_ends_it(self, page: Page, served: Served, signed_in: Person) -> None:
        page.goto(served.url + "/settings")
        page.get_by_test_id("sign-out").first.click()
        page.wait_for_url(served.url + "/")
        page.goto(served.url + "/dashboard")
        page.wait_for_url("**/sign-in**")

    def test_messages_start_when_a_person_says_so(self, page: Page, served: Served, signed_in: Person) -> None:
        page.goto(served.url + "/dashboard")
        expect(page.get_by_test_id("messages-off")).to_be_visible()
        page.get_by_role("link", name="Review and start").click()
        page.get_by_test_id("start-messages").click()
        expect(page.get_by_test_id("stop-messages")).to_be_visible()
