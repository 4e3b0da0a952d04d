"""A customer who asks to be forgotten: an owner does it on the ghost's page, after two questions."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlmodel import select

from core import db
from models.ghost import GhostTarget
from tests.phantom_app.served import Person, Served
from tests.phantom_app.test_manual_tasks_screen import put


def ghost_of(merchant_id: str) -> GhostTarget:
    with db.tenant_session(merchant_id) as session:
        found = session.exec(select(GhostTarget)).one()
        session.expunge(found)
        return found


@pytest.mark.browser
class TestScreen:
    @pytest.fixture
    def ghost_page(self, page: Page, browser_context: BrowserContext, served: Served, ada: Person) -> Page:
        cookie = {"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}
        browser_context.add_cookies([cookie])  # type: ignore[list-item]
        put(ada.merchant_id)
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(f"{served.url}/recoveries/{ghost_of(ada.merchant_id).id}")
        expect(page.get_by_test_id("erasure-panel")).to_be_visible()
        return page

    def test_an_owner_is_asked_twice_and_then_nothing_is_left(self, ghost_page: Page, ada: Person) -> None:
        ghost_page.get_by_test_id("erase").click()
        expect(ghost_page.get_by_test_id("erase-first-yes")).to_be_focused()
        ghost_page.get_by_test_id("erase-first-no").click()
        ghost_page.get_by_test_id("erase").click()
        ghost_page.get_by_test_id("erase-first-yes").click()
        expect(ghost_page.get_by_test_id("erase-second-yes")).to_be_focused()
        assert ghost_page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert ghost_of(ada.merchant_id).customer_name
        ghost_page.get_by_test_id("erase-second-yes").click()
        expect(ghost_page.get_by_test_id("erasure-note")).to_have_text(
            "Erased. 1 ghost of this customer keeps amounts and dates alone."
        )
        expect(ghost_page.get_by_test_id("ghost-name")).not_to_contain_text("Grace")
        assert (ghost_of(ada.merchant_id).customer_name, ghost_of(ada.merchant_id).customer_email) == (None, None)
        ghost_page.reload()
        expect(ghost_page.get_by_test_id("erasure-panel")).to_contain_text("removed on request")
        expect(ghost_page.get_by_test_id("erase")).to_have_count(0)
