"""Keys for programs, as a person makes and revokes them."""

import pytest
import redis
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import update

from core import db
from models.identity import Membership, Role
from services.identity import api_keys
from tests.phantom_app.served import Person, Served
from tests.support.wait import wait_until

pytestmark = pytest.mark.browser


@pytest.fixture
def settings_page(page: Page, browser_context: BrowserContext, served: Served, ada: Person) -> Page:
    browser_context.add_cookies([{"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}])
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(served.url + "/settings")
    expect(page.get_by_test_id("key-make")).to_be_visible()
    return page


def test_a_key_is_shown_once_works_and_is_revoked_after_a_question(settings_page: Page, ada: Person) -> None:
    settings_page.get_by_test_id("key-make").click()
    expect(settings_page.get_by_test_id("key-note")).to_contain_text("needs a name")
    settings_page.get_by_test_id("key-name").fill("Shop")
    settings_page.get_by_test_id("key-make").click()
    key = settings_page.get_by_test_id("key-shown").text_content() or ""
    with db.system_session() as session:
        assert api_keys.resolve(session, key).merchant_id == ada.merchant_id
    assert settings_page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    settings_page.reload()
    expect(settings_page.get_by_test_id("api-key")).to_contain_text(key[-4:])
    expect(settings_page.get_by_test_id("key-shown")).to_have_count(0)
    assert key not in settings_page.content()
    settings_page.get_by_test_id("revoke").click()
    settings_page.get_by_test_id("revoke-yes").click()
    expect(settings_page.get_by_test_id("api-key")).to_have_count(0)
    with db.system_session() as session, pytest.raises(api_keys.BadApiKeyError):
        api_keys.resolve(session, key)


def test_a_key_that_is_shown_rests_nowhere(settings_page: Page, redis_url: str) -> None:
    settings_page.get_by_test_id("key-name").fill("Shop")
    settings_page.get_by_test_id("key-make").click()
    key = (settings_page.get_by_test_id("key-shown").text_content() or "").encode()
    with redis.Redis.from_url(redis_url) as client:

        def kept() -> bytes:
            return b"".join(client.get(name) or b"" for name in client.scan_iter() if client.type(name) == b"string")

        wait_until(lambda: b"Copy it now" in kept(), what="the tab's state is kept")
        assert key not in kept()
    settings_page.get_by_test_id("revoke").click()
    settings_page.get_by_test_id("revoke-yes").click()
    expect(settings_page.get_by_test_id("key-shown")).to_have_count(0)


def test_erasing_is_given_to_a_key_on_purpose(settings_page: Page) -> None:
    settings_page.get_by_test_id("key-name").fill("Shop")
    settings_page.get_by_test_id("key-make").click()
    expect(settings_page.get_by_test_id("api-key")).to_contain_text("May read consents, record consents ·")
    settings_page.get_by_label("May erase customers for good").check()
    settings_page.get_by_test_id("key-name").fill("Privacy")
    settings_page.get_by_test_id("key-make").click()
    expect(settings_page.get_by_test_id("api-key").first).to_contain_text("erase customers for good")


def test_an_admin_cannot_give_what_an_owner_alone_may(
    page: Page, browser_context: BrowserContext, served: Served, ada: Person
) -> None:
    with db.tenant_session(ada.merchant_id) as session:
        session.execute(update(Membership).values(role=Role.ADMIN))
    browser_context.add_cookies([{"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}])
    page.goto(served.url + "/settings")
    expect(page.get_by_test_id("key-make")).to_be_visible()
    expect(page.get_by_label("May erase customers for good")).to_have_count(0)
