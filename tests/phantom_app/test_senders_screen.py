"""Setting an own sender: refused in plain words, kept without being shown again, taken away after a question."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from core import db
from models.messaging import Channel
from services.messaging.senders import service
from services.messaging.senders.given import OwnMail
from tests.phantom_app.served import Person, Served

pytestmark = pytest.mark.browser

KEY = "re_aurora_0123456789wxyz"


@pytest.fixture
def settings_page(page: Page, browser_context: BrowserContext, served: Served, ada: Person) -> Page:
    browser_context.add_cookies([{"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}])
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(served.url + "/settings")
    expect(page.get_by_test_id("mail-sender-panel")).to_contain_text("Who sends for you")
    return page


def fill(page: Page, key: str, address: str) -> None:
    page.get_by_test_id("mail-open").click()
    page.get_by_label("Resend API key").fill(key)
    page.get_by_test_id("mail-address").fill(address)
    page.get_by_test_id("mail-save").click()


def test_what_is_no_key_is_refused_before_anybody_is_asked(settings_page: Page) -> None:
    fill(settings_page, "sk_live_123456789", "billing@aurora.example")
    expect(settings_page.get_by_test_id("mail-wrong")).to_contain_text("A Resend API key begins with re_.")


def test_a_provider_that_does_not_answer_keeps_nothing(settings_page: Page, ada: Person) -> None:
    fill(settings_page, KEY, "billing@aurora.example")
    expect(settings_page.get_by_test_id("mail-wrong")).to_contain_text("does not answer just now")
    with db.tenant_session(ada.merchant_id) as session:
        assert service.senders_of(session, ada.merchant_id) == []


def test_an_own_sender_shows_its_last_characters_and_goes_after_a_question(settings_page: Page, ada: Person) -> None:
    with db.tenant_session(ada.merchant_id) as session:
        service.set_mail(session, ada.merchant_id, OwnMail.read(KEY, "billing@aurora.example"), "usr_1")
        carrier = service.sender_for(session, ada.merchant_id, Channel.EMAIL)
        assert carrier is not None
        service.pause(session, ada.merchant_id, Channel.EMAIL, carrier, "API key is invalid.")
    settings_page.reload()
    expect(settings_page.get_by_test_id("mail-own")).to_contain_text("wxyz")
    expect(settings_page.get_by_test_id("mail-paused")).to_contain_text("API key is invalid.")
    assert KEY not in settings_page.content()
    assert settings_page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    settings_page.get_by_test_id("mail-remove").click()
    settings_page.get_by_test_id("mail-remove-yes").click()
    expect(settings_page.get_by_test_id("mail-note")).to_have_text("Removed, with its secrets.")
    expect(settings_page.get_by_test_id("mail-own")).to_have_count(0)
