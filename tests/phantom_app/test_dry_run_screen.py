"""The preview and the next hour in a browser: read, opened, small, and on from there to the start."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from core import clock, db
from models.ghost import FoundVia
from services.integrations.stripe.parsing import parse_invoice
from services.recovery import service as recovery
from services.recovery.messages import outreach
from services.recovery.observe import observe
from services.recovery.plans import ahead
from services.recovery.work import merchant_context
from tests.phantom_app.served import Person, Served
from tests.phantom_app.test_dry_run import connect
from tests.support.factories import raw_invoice

pytestmark = pytest.mark.browser


@pytest.fixture
def member(browser_context: BrowserContext, served: Served, ada: Person) -> Person:
    """Ada, signed in, with 30 ghosts, messages off and a connected account."""
    browser_context.add_cookies([{"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}])
    connect(ada.merchant_id)
    now = int(clock.now().timestamp())
    facts = [parse_invoice(raw_invoice(number, created=now)) for number in range(1, 31)]
    with db.tenant_session(ada.merchant_id) as session:
        observe(session, merchant_context(session, ada.merchant_id), facts, FoundVia.HUNT, clock.now())
    return ada


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_message_is_seen_before_any_is_sent(
    page: Page, served: Served, member: Person, width: int, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(served.url + "/dry-run")
    expect(page.get_by_test_id("outlook")).to_have_count(20)
    expect(page.get_by_text("90 messages until")).to_be_visible()
    first = page.get_by_test_id("coming").first
    expect(first).to_contain_text("customer")
    first.get_by_role("button").press("Enter")  # a keyboard is enough
    frame = page.get_by_test_id("mail-preview")
    expect(frame).to_have_attribute("sandbox", "")
    expect(page.frame_locator("[data-testid=mail-preview]").get_by_text("Aurora Analytics").first).to_be_visible()
    assert fits(page)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_test_id("range")).to_have_text("21–30 of 30")


def test_from_the_preview_to_the_start_and_the_next_hour(page: Page, served: Served, member: Person) -> None:
    page.goto(served.url + "/dashboard")
    expect(page.get_by_test_id("next-hour-panel")).to_contain_text("Nothing goes out within the hour")
    page.get_by_test_id("next-hour-panel").get_by_role("link", name="Preview").click()
    page.get_by_test_id("start-messages").click()
    expect(page.get_by_test_id("start-messages")).to_have_count(0)
    page.goto(served.url + "/dashboard")
    expect(page.get_by_test_id("next-hour-panel")).to_contain_text("30 messages planned")
    expect(page.get_by_test_id("next-message")).to_have_count(5)
    page.goto(served.url + "/recoveries")
    expect(page.get_by_test_id("ghost-row").first).to_contain_text("Golden Hour")


def test_what_waits_says_so_instead_of_looking_due(page: Page, served: Served, member: Person) -> None:
    with db.tenant_session(member.merchant_id) as session:
        first, second = ahead.dry_run(session, member.merchant_id).outlooks[:2]
    with db.tenant_session(member.merchant_id) as session:
        recovery.start_messages(session, member.merchant_id, "usr_1")
        recovery.pause(session, member.merchant_id, [first.ghost_id], "usr_1")
    with db.tenant_session(member.merchant_id) as session:
        outreach.hold(session, member.merchant_id, second.ghost_id, 1, "the payment is still under way at the bank")
    page.goto(served.url + "/dry-run")
    rows = page.get_by_test_id("outlook")
    expect(rows.nth(0).get_by_test_id("standing")).to_have_text("Paused")
    expect(rows.nth(0)).to_contain_text("Paused by a person.")
    expect(rows.nth(1).get_by_test_id("standing")).to_have_text("Held")
    expect(rows.nth(1)).to_contain_text("Held: the payment is still under way at the bank.")
    expect(rows.nth(2).get_by_test_id("standing")).to_have_count(0)
