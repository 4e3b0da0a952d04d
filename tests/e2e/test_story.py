"""The whole of PHANTOM once, in a real browser: connect, hunt, message, click, pay, and the dashboard counts it live.

Two people play: the merchant, who never reloads a page, and the customer, who has no login and only a mail.
"""

import json
import re
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect

from tests.support.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), pytest.mark.xdist_group("stack")]

ADA, BEN, EVE = "ada+billing@example.com", "o'brien.ben@example.org", "eve@example.net"
NASTY = "<img src=x onerror=alert(1)>"
SOON = 20_000


@dataclass(frozen=True)
class Business:
    """The account at Stripe, and when its next renewal is due (Unix seconds)."""

    account: str
    next_renewal: int


@pytest.fixture(scope="module")
def business(stage: Stage) -> Business:
    """A business whose renewals of this month have just failed; one more is to come within hours."""
    account = stage.open_account("Northwind Analytics")
    ada = stage.subscriber(account, "Ada Example", ADA)
    ben = stage.subscriber(account, NASTY, BEN, amount=12_900)
    stage.wait(6 * 3600)
    eve = stage.subscriber(account, "Eve Example", EVE, amount=2_000)
    stage.spoil_card(account, ada, "insufficient_funds")
    stage.spoil_card(account, ben, "expired_card")
    stage.spoil_card(account, eve, "do_not_honor")
    stage.advance_past(ada["renews_at"])
    return Business(account, eve["renews_at"])


@dataclass
class Ears:
    """Hears what a page does that nobody should notice it doing: dialogs, and errors in its console."""

    dialogs: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @classmethod
    def on(cls, page: Page) -> "Ears":
        ears = cls()

        def dialog(opened: Dialog) -> None:
            ears.dialogs.append(opened.message)
            opened.dismiss()

        page.on("dialog", dialog)
        page.on("pageerror", lambda error: ears.errors.append(str(error)))
        page.on("console", lambda line: ears.errors.append(line.text) if line.type == "error" else None)
        return ears


@pytest.fixture
def customer(browser: Browser) -> Page:
    """The merchant's customer: another person, with a browser of their own."""
    context: BrowserContext = browser.new_context(locale="en-US", timezone_id="UTC")
    context.set_default_timeout(15_000)
    return context.new_page()


def connect(page: Page, stage: Stage, business: Business) -> None:
    page.goto(stage.url)
    page.get_by_test_id("connect-stripe").first.click()
    page.get_by_label("Account to connect").select_option(value=business.account)
    page.get_by_role("button", name="Connect my Stripe account").click()
    page.wait_for_url(re.compile(r"/welcome"))


def test_from_connect_stripe_to_the_first_recovered_invoice(
    stage: Stage, business: Business, page: Page, customer: Page
) -> None:
    connect(page, stage, business)
    expect(page.get_by_test_id("hunt-found")).to_contain_text("2", timeout=SOON)
    expect(page.get_by_test_id("hunt-state")).to_contain_text("done")

    # Nobody is written to before the merchant says so.
    customer.goto(stage.mailbox(ADA))
    expect(customer.get_by_role("link", name=re.compile("payment", re.IGNORECASE))).to_have_count(0)
    page.get_by_test_id("start-messages").click()
    page.get_by_role("link", name="Go to the dashboard").click()
    page.wait_for_url(re.compile(r"/dashboard"))
    expect(page.get_by_test_id("funnel-messaged")).to_contain_text("2", timeout=SOON)
    expect(page.get_by_test_id("figure-recovered-value")).to_contain_text("$0")

    # The customer opens the mail, follows its one link, and pays on Stripe's own page.
    customer.goto(stage.mailbox(ADA))
    customer.get_by_role("link", name=re.compile("did not go through")).first.click()
    customer.wait_for_url(re.compile("/outbox/"), wait_until="load")  # a letter still loading takes a click to nowhere
    letter = customer.frame_locator("iframe")
    with customer.context.expect_page() as opened:
        letter.get_by_role("link", name="See payment options").click()
    paying = opened.value
    paying.get_by_role("button", name="Continue to the secure page").click()
    paying.wait_for_url(re.compile(re.escape(stage.sandbox)))
    paying.get_by_label("Payment method").select_option(value="new:visa")
    paying.get_by_role("button", name=re.compile("Pay")).click()
    expect(paying.get_by_role("heading", name="Invoice paid")).to_be_visible()

    # The merchant's open page counts it, without a reload.
    expect(page.get_by_test_id("figure-recovered-value")).to_contain_text("$49", timeout=SOON)
    expect(page.get_by_test_id("funnel-clicked")).to_contain_text("1")
    expect(page.get_by_test_id("funnel-recovered")).to_contain_text("1")


def test_a_new_card_pays_the_open_invoice_and_the_link_says_so(
    stage: Stage, business: Business, page: Page, customer: Page
) -> None:
    connect(page, stage, business)
    customer.goto(stage.mailbox(BEN))
    customer.get_by_role("link", name=re.compile("update your card")).first.click()
    customer.wait_for_url(re.compile("/outbox/"), wait_until="load")  # a letter still loading takes a click to nowhere
    letter = customer.frame_locator("iframe")
    with customer.context.expect_page() as opened:
        letter.get_by_role("link", name="Update card").click()
    portal = opened.value
    portal.get_by_role("button", name="Continue to the secure page").click()
    portal.wait_for_url(re.compile(re.escape(stage.sandbox)))
    portal.get_by_role("combobox").first.select_option(value="visa")
    portal.get_by_role("button", name=re.compile("card", re.IGNORECASE)).first.click()
    portal.wait_for_url(re.compile(r"/r/.*/done"))

    page.goto(f"{stage.url}/recoveries")
    row = page.get_by_test_id("ghost-row").filter(has_text=NASTY)
    expect(row).to_contain_text("Recovered", timeout=SOON)
    portal.goto(portal.url.removesuffix("/done"))
    expect(portal.get_by_role("heading", name="This is paid. Thank you.")).to_be_visible()


def test_a_failure_appears_by_webhook_in_an_open_page(stage: Stage, business: Business, page: Page) -> None:
    connect(page, stage, business)
    page.goto(f"{stage.url}/recoveries")
    expect(page.get_by_test_id("ghost-row").first).to_be_visible()
    expect(page.get_by_text(EVE)).to_have_count(0)
    stage.advance_past(business.next_renewal)
    expect(page.get_by_text(EVE)).to_be_visible(timeout=SOON)


def test_a_ghosts_own_page_tells_its_whole_story(stage: Stage, business: Business, page: Page) -> None:
    connect(page, stage, business)
    page.goto(f"{stage.url}/recoveries")
    page.get_by_test_id("ghost-row").filter(has_text="Ada Example").get_by_role("link").first.click()
    expect(page.get_by_test_id("ghost-name")).to_contain_text("Ada Example")
    for part in ("insufficient", "Paid", "did not go through"):
        expect(page.get_by_text(re.compile(part, re.IGNORECASE)).first).to_be_visible()


def test_html_in_a_name_is_words_and_nothing_else(stage: Stage, business: Business, page: Page, customer: Page) -> None:
    merchants, customers = Ears.on(page), Ears.on(customer)
    connect(page, stage, business)
    page.goto(f"{stage.url}/recoveries")
    row = page.get_by_test_id("ghost-row").filter(has_text=NASTY)
    expect(row).to_be_visible()
    row.get_by_role("link").first.click()
    expect(page.get_by_test_id("ghost-name")).to_contain_text(NASTY)
    expect(page.locator("img[src=x]")).to_have_count(0)
    assert merchants == Ears()

    customer.goto(stage.mailbox(BEN))
    customer.get_by_role("link", name=re.compile("update your card")).first.click()
    customer.wait_for_url(re.compile("/outbox/"), wait_until="load")  # a letter still loading takes a click to nowhere
    letter = customer.frame_locator("iframe")
    expect(letter.get_by_text(f"Hello {NASTY},")).to_be_visible()
    expect(letter.locator("img")).to_have_count(0)
    assert customers == Ears()


def test_a_hunt_from_the_command_line_reaches_an_open_page(stage: Stage, page: Page) -> None:
    account = stage.open_account("Quillfeather Press", "quill@example.com")
    connect(page, stage, Business(account, 0))
    expect(page.get_by_test_id("hunt-state")).to_contain_text("done", timeout=SOON)
    page.goto(f"{stage.url}/recoveries")
    expect(page.get_by_role("heading", name="Recoveries")).to_be_visible()
    expect(page.get_by_test_id("ghost-row")).to_have_count(0)
    stage.control("/_sandbox/seed", {"account": account, "customers": 3})  # no webhook tells of these

    first, second = hunt(stage, account), hunt(stage, account)
    expect(page.get_by_test_id("ghost-row")).to_have_count(3, timeout=SOON)
    assert list(first) == list(second) == ["listed", "found", "updated", "unreadable", "requests", "seconds"]
    assert (first["listed"], first["found"], first["updated"], first["unreadable"]) == (9, 3, 0, 0)
    assert (second["listed"], second["found"], second["updated"], second["unreadable"]) == (9, 0, 0, 0)
    assert first["requests"] <= 1.05 * first["listed"] / 100 + 10


def hunt(stage: Stage, account: str) -> dict[str, float]:
    """What `phantom hunt --json` prints, which is all that it prints."""
    outcome = stage.home.run("hunt", "--merchant", stage.merchant_of(account) or "", "--json")
    assert (outcome.returncode, outcome.stderr) == (0, ""), outcome
    figures: dict[str, float] = json.loads(outcome.stdout)
    return figures


def test_consent_denied_stores_nothing_and_says_what_to_do(stage: Stage, page: Page) -> None:
    account = stage.open_account("Umbra Coffee", "umbra@example.com")
    choice = page.get_by_label("Account to connect")
    page.goto(stage.url)
    page.get_by_test_id("connect-stripe").first.click()
    choice.select_option(value=account)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading")).to_have_text("You did not allow the connection")
    expect(page.get_by_text("Nothing was stored.")).to_be_visible()
    assert stage.merchant_of(account) is None
    assert "phantom_session" not in {cookie.get("name") for cookie in page.context.cookies()}
    page.goto(f"{stage.url}/dashboard")
    page.wait_for_url(re.compile("/sign-in"))

    # The page's own way on leads to another try, where Stripe still offers the account as a new one.
    page.goto(stage.url)
    page.get_by_test_id("connect-stripe").first.click()
    expect(choice.locator(f"> option[value={account}]")).to_have_count(1)
    expect(choice.locator(f"optgroup option[value={account}]")).to_have_count(0)
