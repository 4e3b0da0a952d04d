"""The pages in a real browser: by role and label, on a phone too, with nothing refused by their own policies."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.sandbox.process import SandboxProcess

pytestmark = pytest.mark.browser

BACK = "http://localhost:9/back"  # nobody listens there: only where the browser goes matters


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess(options=("--pull",)) as process:
        yield process


@pytest.fixture(scope="module")
def account(sandbox: SandboxProcess) -> str:
    return str(sandbox.act("create_account", name="Northwind", email="owner@northwind.test")["id"])


@pytest.fixture(params=[1280, 390])
def visitor(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A desktop and a phone; whatever the browser's console reports is an error."""
    context = browser.new_context(viewport={"width": request.param, "height": 800}, color_scheme="dark")
    context.set_default_timeout(15_000)
    context.route(
        "http://localhost:9/**", lambda route: route.fulfill(body="<h1>Merchant</h1>", content_type="text/html")
    )
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []
    context.close()


def fits(page: Page) -> None:
    """Nothing sticks out sideways, once its style sheets are there."""
    page.wait_for_load_state()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.fixture
def customer(sandbox: SandboxProcess, account: str) -> Any:
    made = sandbox.act("create_customer", account=account, name="Ada <b>" + "long" * 20, email="ada@example.com")
    card = sandbox.act("create_card", account=account, token="visa")
    sandbox.act("attach_payment_method", account=account, payment_method=card["id"], customer=made["id"], default=True)
    return made


def test_an_owner_connects_and_is_sent_back(sandbox: SandboxProcess, account: str, visitor: Page) -> None:
    query = f"client_id=ca_phantom_sandbox&redirect_uri={BACK}&response_type=code&scope=read_write&state=s"
    visitor.goto(f"{sandbox.base}/oauth/authorize?{query}")
    fits(visitor)
    visitor.get_by_label("Account to connect").select_option(value=account)
    visitor.get_by_role("button", name="Connect my Stripe account").click()
    expect(visitor.get_by_role("heading", name="Merchant")).to_be_visible()
    assert "code=ac_" in visitor.url
    visitor.goto(f"{sandbox.base}/oauth/authorize?{query}")
    visitor.get_by_role("button", name="Cancel").click()
    expect(visitor.get_by_role("heading", name="Merchant")).to_be_visible()
    assert "error=access_denied" in visitor.url


def test_a_customer_pays_from_the_mailbox(sandbox: SandboxProcess, account: str, customer: Any, visitor: Page) -> None:
    invoice = sandbox.act("create_invoice", account=account, customer=customer["id"], amount=4900, currency="usd")
    mail = {
        "from": "Northwind <billing@northwind.test>",
        "to": customer["email"],
        "subject": f"Invoice {invoice['number']}",
        "html": f'<p>Hello</p><a href="{invoice["hosted_invoice_url"]}" target="_top">Pay now</a>',
    }
    headers = {"Authorization": "Bearer re_northwind"}
    httpx.post(f"{sandbox.base}/emails", json=mail, headers=headers, trust_env=False).raise_for_status()
    visitor.goto(f"{sandbox.base}/outbox")
    visitor.get_by_role("searchbox", name="Recipient").fill("ada@example.com")
    visitor.get_by_role("button", name="Search").click()
    visitor.get_by_role("link", name=mail["subject"]).click()
    fits(visitor)
    with visitor.context.expect_page() as opened:
        visitor.frame_locator("iframe[title='Mail body']").get_by_role("link", name="Pay now").click()
    paying = opened.value
    fits(paying)
    assert paying.evaluate("window.opener") is None
    paying.get_by_label("Payment method").select_option("new:chargeDeclinedInsufficientFunds")
    paying.get_by_role("button", name="Pay $49.00").click()
    expect(paying.get_by_role("alert")).to_contain_text("insufficient funds")
    paying.get_by_label("Payment method").select_option("new:threeDSecure2Required")
    paying.get_by_label("Save a new card").uncheck()
    paying.get_by_role("button", name="Pay $49.00").click()
    paying.get_by_role("button", name="Complete authentication").click()
    expect(paying.get_by_role("heading", name="Invoice paid")).to_be_visible()
    fits(paying)


def test_a_customer_adds_a_card_in_the_portal_and_returns(
    sandbox: SandboxProcess, account: str, customer: Any, visitor: Page
) -> None:
    told = {"account": account, "customer": customer["id"], "return_url": BACK}
    visitor.goto(sandbox.act("create_portal_session", **told)["url"])
    fits(visitor)
    visitor.get_by_role("link", name="Add payment method").click()
    visitor.get_by_label("Card", exact=True).select_option("mastercard")
    visitor.get_by_role("button", name="Add card").click()
    expect(visitor.get_by_role("status")).to_contain_text("Your card was saved")
    visitor.get_by_role("button", name="Make Visa •••• 4242 the default").click()
    expect(visitor.get_by_role("status")).to_contain_text("default card was changed")
    fits(visitor)
    visitor.get_by_role("link", name="Return to merchant").click()
    expect(visitor.get_by_role("heading", name="Merchant")).to_be_visible()


def test_a_flow_returns_by_itself(sandbox: SandboxProcess, account: str, customer: Any, visitor: Page) -> None:
    form = {
        "customer": customer["id"],
        "return_url": BACK,
        "flow_data[type]": "payment_method_update",
        "flow_data[after_completion][type]": "redirect",
        "flow_data[after_completion][redirect][return_url]": BACK,
    }
    key = f"sk_test_{account.removeprefix('acct_')}"
    answer = httpx.post(f"{sandbox.base}/v1/billing_portal/sessions", data=form, auth=(key, ""), trust_env=False)
    visitor.goto(answer.json()["url"])
    visitor.get_by_label("Card", exact=True).select_option("threeDSecure2Required")
    visitor.get_by_role("button", name="Add card").click()
    visitor.get_by_role("button", name="Complete authentication").click()
    expect(visitor.get_by_role("heading", name="Merchant")).to_be_visible()
