"""The Messages screen: who may do what over a socket, and a person who edits, errs, previews, sends and goes back."""

import re

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import update
from sqlmodel import col, select

from core import clock, db
from models.identity import Membership, Role, User
from models.merchant import Merchant
from models.messaging import Message, MessageState
from models.templates import MessageTemplate
from phantom_app.state.message_views import KINDS, PASSED_OVER, flaw, rows
from services.messaging.lint import Source, Target
from services.messaging.markup import Problem
from services.messaging.wording import TEMPLATE_OF_GROUP, Moment
from tests.phantom_app.served import Person, Served

pytestmark = pytest.mark.browser


@pytest.fixture
def signed_in(browser_context: BrowserContext, served: Served, ada: Person) -> Person:
    """The browser holds Ada's cookie; she is the owner."""
    browser_context.add_cookies([{"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}])
    return ada


@pytest.fixture
def editing(page: Page, served: Served, signed_in: Person) -> Page:
    """The screen, opened by an owner."""
    page.goto(served.url + "/settings/messages")
    expect(page.get_by_test_id("overview")).to_be_visible()
    return page


def stored(ada: Person) -> list[MessageTemplate]:
    with db.tenant_session(ada.merchant_id) as session:
        return list(session.exec(select(MessageTemplate).order_by(col(MessageTemplate.version))))


class TestEditing:
    def test_a_mistake_is_pointed_at_and_nothing_is_saved(self, editing: Page, ada: Person):
        editing.get_by_test_id("slot-funds-first").click()
        expect(editing.get_by_test_id("editor-panel")).to_contain_text("PHANTOM’s words. What you save")
        editing.get_by_test_id("field-body").fill("Grüße 🙂\nIt is {{ amout }}.")
        expect(editing.get_by_test_id("flaw")).to_contain_text("Text, line 2, column 10: There is no “amout” here.")
        editing.get_by_test_id("save-message").click()
        expect(editing.get_by_test_id("message-note")).to_have_text("Not saved: see what is marked.")
        assert stored(ada) == []

    def test_own_words_are_previewed_saved_and_given_up_again(self, editing: Page, ada: Person):
        editing.get_by_test_id("slot-card_data-last").click()
        expect(editing.get_by_test_id("field-button")).to_have_value("Update card")
        editing.get_by_test_id("field-body").fill("Please look at your card.\n\nThank you!")
        preview = editing.frame_locator("[data-testid=look]")
        expect(preview.get_by_text("Please look at your card.").last).to_be_visible()
        editing.get_by_test_id("field-subject").fill("{{ merchant }}, one last word")
        editing.get_by_test_id("save-message").click()  # before what was typed last is looked at
        expect(editing.get_by_test_id("slot-card_data-last")).to_have_text("Yours, v1")
        assert stored(ada)[0].subject == "{{ merchant }}, one last word"
        editing.get_by_test_id("reset-message").click()
        expect(editing.get_by_test_id("slot-card_data-last")).to_have_text("PHANTOM’s")
        expect(preview.get_by_text("This is our last message about it.").last).to_be_visible()
        assert [(row.version, row.retired) for row in stored(ada)] == [(1, False), (2, True)]

    def test_an_old_version_is_put_back(self, editing: Page, ada: Person):
        editing.get_by_test_id("slot-card_data-last").click()
        expect(editing.get_by_test_id("field-button")).to_have_value("Update card")
        for version, text in enumerate(("The first words.", "The second words."), start=1):
            editing.get_by_test_id("field-body").fill(text)
            editing.get_by_test_id("save-message").click()
            expect(editing.get_by_test_id("slot-card_data-last")).to_have_text(f"Yours, v{version}")
        editing.get_by_test_id("versions").click()
        expect(editing.get_by_test_id("edition")).to_have_count(2)
        expect(editing.get_by_test_id("put-back")).to_have_count(1)
        editing.get_by_role("button", name="Put Version 1 back").click()
        expect(editing.get_by_test_id("message-note")).to_have_text("Version 1 is said again, as a new version.")
        expect(editing.get_by_test_id("field-body")).to_have_value("The first words.")
        expect(editing.get_by_test_id("slot-card_data-last")).to_have_text("Yours, v3")
        assert [row.body for row in stored(ada)] == ["The first words.", "The second words.", "The first words."]

    def test_html_in_names_and_words_is_text(self, editing: Page, ada: Person):
        dialogs: list[str] = []
        editing.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        editing.get_by_test_id("brand-name").fill("<img src=x onerror=alert(1)>")
        editing.get_by_test_id("save-brand").click()
        expect(editing.get_by_test_id("brand-note")).to_contain_text("Saved.")
        preview = editing.frame_locator("[data-testid=look]")
        expect(preview.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
        editing.get_by_test_id("field-body").fill("<script>alert(2)</script>")
        expect(editing.get_by_test_id("flaw").first).to_contain_text("HTML is not used here")
        assert editing.get_by_test_id("look").get_attribute("sandbox") == ""
        assert dialogs == []

    def test_a_test_goes_to_oneself_and_what_came_of_it_is_said(self, editing: Page, ada: Person):
        """The sender of this run answers to nobody; `test_trials.py` has the other endings."""
        editing.get_by_test_id("send-test").click()
        expect(editing.get_by_test_id("message-note")).to_contain_text("address is not confirmed yet")
        with db.user_session() as session:
            session.execute(update(User).values(email_verified_at=clock.now()))
        editing.reload()
        expect(editing.get_by_test_id("overview")).to_be_visible()
        editing.get_by_test_id("send-test").click()
        expect(editing.get_by_test_id("message-note")).to_contain_text("it may or may not arrive")
        with db.tenant_session(ada.merchant_id) as session:
            [message] = session.exec(select(Message)).all()
        assert (message.state, message.step) == (MessageState.UNCERTAIN, 0)
        assert message.recipient == f"{ada.merchant_id}@example.com"
        assert "This is a test message" in message.plain
        assert "This is a test message" in message.html

    def test_text_messages_say_what_they_cost(self, editing: Page):
        editing.get_by_role("button", name="Text message").click()
        expect(editing.get_by_test_id("sms-cost")).to_contain_text(re.compile(r"[12] segments?, \d+ GSM-7"))
        editing.get_by_test_id("language").select_option("fr")
        expect(editing.get_by_test_id("look-plain")).to_contain_text("STOP")
        expect(editing.get_by_test_id("send-test")).to_have_count(0)

    def test_a_text_is_tried_on_a_number_that_is_given(self, editing: Page, ada: Person):
        editing.get_by_role("button", name="Text message").click()
        number = editing.get_by_test_id("test-number")
        number.fill("12")
        editing.get_by_test_id("send-test-text").click()
        expect(editing.get_by_test_id("message-note")).to_contain_text("Not sent: the telephone number cannot be read")
        number.fill("+1 (202) 555-0143")
        number.press("Enter")
        expect(editing.get_by_test_id("message-note")).to_contain_text(re.compile("outbox|may or may not arrive"))
        with db.tenant_session(ada.merchant_id) as session:
            [message] = session.exec(select(Message)).all()
        assert (message.channel, message.recipient, message.html) == ("sms", "+12025550143", "")
        assert "This is a test message" in message.plain

    def test_light_dark_wide_narrow_and_plain(self, editing: Page):
        frame = editing.frame_locator("[data-testid=look]")
        expect(frame.locator("body")).to_have_css("background-color", "rgb(246, 246, 246)")
        editing.get_by_test_id("scheme").get_by_text("Dark").click()
        expect(frame.locator("body")).to_have_css("background-color", "rgb(17, 17, 17)")
        editing.get_by_test_id("width").get_by_text("Narrow").click()
        expect(editing.get_by_test_id("look")).to_have_class(re.compile("narrow"))
        editing.get_by_test_id("part").get_by_text("Plain").click()
        expect(editing.get_by_test_id("look-plain")).to_contain_text("/u/")


class TestBrand:
    def test_what_is_wrong_is_said_beside_its_field(self, editing: Page, ada: Person):
        editing.get_by_test_id("brand-accent").fill("blue")
        editing.get_by_test_id("brand-logo_url").fill("http://x.example/logo.png")
        editing.get_by_test_id("brand-reply_to").fill("nobody")
        editing.get_by_test_id("save-brand").click()
        for field in ("accent", "logo_url", "reply_to"):
            expect(editing.get_by_test_id(f"wrong-{field}")).to_be_visible()
        with db.tenant_session(ada.merchant_id) as session:
            assert session.exec(select(Merchant.brand)).one() == {}

    def test_a_saved_brand_is_on_every_message(self, editing: Page, ada: Person):
        for field, text in {
            "name": "Aurora", "accent": "#0b7a4b", "reply_to": "Help@Aurora.example", "signature": "Yours\nAda",
            "address": "Street 1, Town",
        }.items():  # fmt: skip
            editing.get_by_test_id(f"brand-{field}").fill(text)
        editing.get_by_test_id("save-brand").click()
        expect(editing.get_by_test_id("brand-note")).to_contain_text("Saved.")
        frame = editing.frame_locator("[data-testid=look]")
        expect(frame.get_by_text("Street 1, Town")).to_be_visible()
        with db.tenant_session(ada.merchant_id) as session:
            merchant = session.exec(select(Merchant)).one()
        assert (merchant.brand["name"], merchant.reply_to) == ("Aurora", "help@aurora.example")


class TestRoles:
    def be(self, person: Person, role: Role) -> None:
        with db.tenant_session(person.merchant_id) as session:
            session.execute(update(Membership).values(role=role))

    def test_a_member_looks_and_changes_nothing(self, page: Page, served: Served, signed_in: Person):
        self.be(signed_in, Role.MEMBER)
        page.goto(served.url + "/settings/messages")
        expect(page.get_by_test_id("overview")).to_contain_text(PASSED_OVER)
        expect(page.get_by_test_id("field-body")).to_be_disabled()
        for absent in ("save-message", "reset-message", "send-test", "save-brand"):
            expect(page.get_by_test_id(absent)).to_have_count(0)

    def test_an_analyst_is_told_who_may(self, page: Page, served: Served, signed_in: Person):
        self.be(signed_in, Role.ANALYST)
        page.goto(served.url + "/settings/messages")
        expect(page.get_by_text("Messages are not shown to your role")).to_be_visible()
        expect(page.get_by_test_id("look")).to_have_count(0)

    def test_settings_lead_here(self, page: Page, served: Served, signed_in: Person):
        page.goto(served.url + "/settings")
        page.get_by_test_id("edit-messages").click()
        expect(page.get_by_role("heading", name="Messages", exact=True)).to_be_visible()

    @pytest.mark.parametrize("width", [390, 1440])
    def test_it_fits(self, page: Page, served: Served, signed_in: Person, width: int):
        page.set_viewport_size({"width": width, "height": 844})
        page.goto(served.url + "/settings/messages")
        expect(page.get_by_test_id("look")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


class TestWords:
    def test_every_kind_of_message_has_a_name(self):
        assert set(KINDS) == {"*", *TEMPLATE_OF_GROUP}
        assert all(KINDS.values())

    def test_the_overview_says_whose_words_they_are(self):
        own = {Target("funds", Moment.LAST, "email", "de"): 4}
        found = {row.group: [slot.label for slot in row.slots] for row in rows(own, "email", "de")}
        assert found["funds"] == ["PHANTOM’s", "PHANTOM’s", "Yours, v4"]
        assert found["*"] == ["Not used", "Not used", "Not used"]
        assert found["customer_stopped"] == ["PHANTOM’s", "", ""]

    def test_a_flaw_shows_its_line(self):
        shown = flaw(Problem(2, 4, "x", "why", "body"), Source(body="one\ntwo three"))
        assert (shown.before, shown.here, shown.after) == ("two", " ", "three")
