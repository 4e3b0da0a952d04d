"""Consents as a person sees, finds, withdraws and imports them."""

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import update

from core import db
from models.identity import Membership, Role
from tests.phantom_app.served import Person, Served
from tests.phantom_app.test_consents import agreed, put

pytestmark = pytest.mark.browser


@pytest.fixture
def signed_in(browser_context: BrowserContext, served: Served, ada: Person) -> Person:
    browser_context.add_cookies([{"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}])
    return ada


@pytest.fixture
def consents_page(page: Page, served: Served, signed_in: Person) -> Page:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(served.url + "/settings")
    page.get_by_test_id("see-consents").click()
    expect(page.get_by_test_id("consents-import")).to_be_visible()
    return page


def test_says_what_to_do_where_nobody_agreed(consents_page: Page) -> None:
    expect(consents_page.get_by_role("heading", name="Nobody has agreed yet")).to_be_visible()


def test_one_is_found_by_number_and_withdrawn_after_a_question(page: Page, served: Served, signed_in: Person) -> None:
    given = put(signed_in.merchant_id, 30)
    page.goto(served.url + "/settings/consents")
    expect(page.get_by_test_id("consent")).to_have_count(25)
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_test_id("range")).to_have_text("26–30")
    page.get_by_test_id("consents-search").fill("+1 202 555 0107")
    expect(page.get_by_test_id("consent")).to_have_count(1)
    expect(page.get_by_test_id("consent")).to_contain_text("cus_7")
    expect(page.get_by_test_id("consent")).to_contain_text("checkout")
    page.get_by_test_id("withdraw").click()
    page.get_by_test_id("withdraw-no").click()
    assert agreed(signed_in.merchant_id, given[7])
    page.get_by_test_id("withdraw").click()
    expect(page.get_by_test_id("withdraw-yes")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("consents-note")).to_contain_text("no text message goes to this number")
    expect(page.get_by_test_id("consent")).to_have_count(2)
    expect(page.get_by_test_id("consent").first).to_contain_text("Withdrawn")
    assert not agreed(signed_in.merchant_id, given[7])


def test_what_cannot_be_looked_for_is_said(consents_page: Page) -> None:
    consents_page.get_by_test_id("consents-search").fill("0151")
    expect(consents_page.get_by_test_id("consents-wrong")).to_contain_text("Not looked for")
    consents_page.get_by_test_id("consents-search").fill("+1 202 555 0107")
    expect(consents_page.get_by_role("heading", name="Nothing was found")).to_be_visible()


def test_a_file_is_imported_and_its_bad_rows_named(consents_page: Page, tmp_path: Path) -> None:
    file = tmp_path / "consents.csv"
    file.write_text("phone,date\n+12025550143,2026-01-15\n+12025550144,2026-02-30\n")
    consents_page.get_by_test_id("consents-file").set_input_files(file)
    consents_page.get_by_test_id("consents-import").click()
    expect(consents_page.get_by_role("heading", name="Consents imported")).to_be_visible()
    expect(consents_page.get_by_role("main")).to_contain_text("1 recorded, 0 known before, 1 rows left out.")
    expect(consents_page.get_by_role("main")).to_contain_text("Line 3: there is no date 2026-02-30")
    consents_page.get_by_role("link", name="Back to Consents").click()
    expect(consents_page.get_by_test_id("consent")).to_have_count(1)
    assert consents_page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_an_analyst_is_told_who_may(page: Page, served: Served, signed_in: Person) -> None:
    put(signed_in.merchant_id)
    with db.tenant_session(signed_in.merchant_id) as session:
        session.execute(update(Membership).values(role=Role.ANALYST))
    page.goto(served.url + "/settings/consents")
    expect(page.get_by_text("Consents are not shown to your role")).to_be_visible()
    expect(page.get_by_test_id("consent")).to_have_count(0)
