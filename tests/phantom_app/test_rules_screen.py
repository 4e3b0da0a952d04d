"""The rules as a person reads and changes them."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import update

from core import db
from models.identity import Membership, Role
from services.merchants import service as merchants
from services.merchants.policies import RecoveryPolicy
from services.merchants.policy_fields import Edit
from services.recovery.plans import rules
from tests.phantom_app.served import Person, Served

pytestmark = pytest.mark.browser


@pytest.fixture
def signed_in(browser_context: BrowserContext, served: Served, ada: Person) -> Person:
    browser_context.add_cookies([{"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}])
    return ada


@pytest.fixture
def rules_page(page: Page, served: Served, signed_in: Person) -> Page:
    page.goto(served.url + "/settings")
    page.get_by_test_id("edit-rules").click()
    expect(page.get_by_test_id("save-rules")).to_be_visible()
    return page


def policy(person: Person) -> RecoveryPolicy:
    with db.tenant_session(person.merchant_id) as session:
        return merchants.get_policy(session, person.merchant_id)


def test_what_is_changed_is_saved_and_stands_there_again(rules_page: Page, signed_in: Person) -> None:
    rules_page.get_by_label("Funds and limits").fill("48")
    rules_page.get_by_label("Hours between two messages").fill("96")
    rules_page.get_by_label("From", exact=True).select_option(label="09:00")
    rules_page.get_by_label("Text messages", exact=True).check()
    rules_page.get_by_label("Between Stripe's attempts").check()
    rules_page.get_by_test_id("rule-alert_lines.usd").fill("1,500.50")
    rules_page.get_by_test_id("add-currency").select_option(value="kwd")
    rules_page.get_by_test_id("rule-high_value_lines.kwd").fill("3.25")
    rules_page.get_by_test_id("rule-never.usd").check()
    rules_page.get_by_test_id("save-rules").click()
    expect(rules_page.get_by_test_id("rules-note")).to_have_text("Saved.")
    expect(rules_page.get_by_test_id("rule-alert_lines.usd")).to_have_value("1500.50")
    expect(rules_page.get_by_test_id("rule-high_value_lines.kwd")).to_have_value("3.250")
    found = policy(signed_in)
    assert (found.grace_hours["funds"], found.cooldown_hours, found.quiet_until_hour) == (48, 96, 9)
    assert (found.sms, found.own_retries, found.alert_lines) == (True, "with_stripe", {"usd": 150_050})
    assert found.high_value_lines == {"usd": None, "kwd": 3250}
    rules_page.reload()
    expect(rules_page.get_by_test_id("rule-own_retries-with_stripe")).to_be_checked()
    expect(rules_page.get_by_test_id("rule-never.usd")).to_be_checked()


def test_a_mistake_is_explained_beside_its_field_and_nothing_typed_is_lost(rules_page: Page, signed_in: Person) -> None:
    rules_page.get_by_test_id("rule-window_days").fill("soon")
    rules_page.get_by_test_id("rule-alert_lines.usd").fill("12.345")
    rules_page.get_by_test_id("rule-cooldown_hours").fill("24")
    rules_page.keyboard.press("Enter")
    expect(rules_page.get_by_test_id("wrong-window_days")).to_have_text("A whole number from 1 to 60.")
    expect(rules_page.get_by_test_id("wrong-alert_lines.usd")).to_have_text("USD has 2 decimals.")
    expect(rules_page.get_by_test_id("rules-wrong")).to_contain_text("Days until PHANTOM stops asking, Warning in USD")
    expect(rules_page.get_by_test_id("rule-cooldown_hours")).to_have_value("24")
    assert policy(signed_in).cooldown_hours == 72


def test_two_people_at_the_same_time(rules_page: Page, signed_in: Person) -> None:
    rules_page.get_by_test_id("rule-cooldown_hours").fill("24")
    with db.tenant_session(signed_in.merchant_id) as session:
        edits = [Edit("cooldown_hours", 72, 96), Edit("window_days", 28, 14)]
        rules.change(session, signed_in.merchant_id, edits, actor_id="usr_other")
    rules_page.get_by_test_id("save-rules").click()
    expect(rules_page.get_by_test_id("wrong-cooldown_hours")).to_contain_text("just set this to 96")
    rules_page.get_by_test_id("save-rules").click()
    expect(rules_page.get_by_test_id("rules-note")).to_have_text("Saved.")
    expect(rules_page.get_by_test_id("rule-window_days")).to_have_value("14")
    assert (policy(signed_in).cooldown_hours, policy(signed_in).window_days) == (24, 14)


def test_a_member_reads_and_changes_nothing(page: Page, served: Served, signed_in: Person) -> None:
    with db.tenant_session(signed_in.merchant_id) as session:
        session.execute(update(Membership).values(role=Role.MEMBER))
    page.goto(served.url + "/settings/rules")
    expect(page.get_by_test_id("rules-read-only")).to_be_visible()
    expect(page.get_by_test_id("rule-cooldown_hours")).to_have_value("72")
    expect(page.get_by_test_id("rule-cooldown_hours")).to_be_disabled()
    for absent in ("save-rules", "add-currency", "start-messages"):
        expect(page.get_by_test_id(absent)).to_have_count(0)


def test_messages_are_switched_on_here_too(rules_page: Page, signed_in: Person) -> None:
    rules_page.get_by_test_id("start-messages").click()
    expect(rules_page.get_by_test_id("stop-messages")).to_be_visible()
    assert not policy(signed_in).paused


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits(page: Page, served: Served, signed_in: Person, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(served.url + "/settings/rules")
    page.get_by_test_id("rule-window_days").fill("x")
    page.get_by_test_id("save-rules").click()
    expect(page.get_by_test_id("wrong-window_days")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
