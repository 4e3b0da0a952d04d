"""Many ghosts at once, and one on its own page: paused, resumed, written off in a real browser, and asked first."""

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import update
from sqlmodel import col, select

from core import db
from models.audit import AuditLog
from models.ghost import GhostState, GhostTarget, ManualTask, ManualTaskState
from models.identity import Membership, Role
from phantom_app.state.selection import DEEDS, outcome
from tests.phantom_app.served import Person, Served
from tests.phantom_app.test_manual_tasks_screen import put


@pytest.fixture
def signed_in(browser_context: BrowserContext, served: Served, ada: Person) -> Person:
    browser_context.add_cookies([{"name": "phantom_session", "value": ada.cookie, "url": served.url, "httpOnly": True}])
    return ada


def ghosts(merchant_id: str) -> dict[str, str]:
    """The merchant's ghosts: their states by id, in the order in which they were made."""
    with db.tenant_session(merchant_id) as session:
        rows = session.exec(select(GhostTarget.id, GhostTarget.state).order_by(col(GhostTarget.id)))
        return {ghost_id: str(state) for ghost_id, state in rows}


class TestOutcome:
    def test_what_had_moved_on_meanwhile_is_said(self) -> None:
        assert outcome(DEEDS["pause"], 3, 3) == "Paused 3 ghosts."
        assert outcome(DEEDS["pause"], 3, 1) == "Paused 1 ghost. 2 ghosts had nothing to pause."
        assert outcome(DEEDS["resume"], 2, 1) == "Resumed 1 ghost. 1 ghost was not paused."
        assert outcome(DEEDS["write_off"], 2, 0) == "Nothing was changed. 2 ghosts were over already."


@pytest.mark.browser
class TestList:
    def test_many_are_written_off_after_a_question(self, page: Page, served: Served, signed_in: Person) -> None:
        put(signed_in.merchant_id, 3)
        page.goto(served.url + "/recoveries")
        page.get_by_role("checkbox", name="Choose Grace Hopper 1").click()
        page.get_by_role("checkbox", name="Choose Grace Hopper 2").click()
        expect(page.get_by_test_id("counted")).to_have_text("2 chosen")
        page.get_by_test_id("many-write_off").click()
        expect(page.get_by_text("Write off 2 ghosts? They count as lost")).to_be_visible()
        assert set(ghosts(signed_in.merchant_id).values()) == {GhostState.OPEN}
        page.get_by_test_id("many-yes").click()
        expect(page.get_by_test_id("told")).to_have_text("Wrote off 2 ghosts.")
        assert list(ghosts(signed_in.merchant_id).values()) == [GhostState.OPEN, GhostState.LOST, GhostState.LOST]
        with db.tenant_session(signed_in.merchant_id) as session:
            tasks = session.exec(select(ManualTask.state).order_by(col(ManualTask.id))).all()
            acts = session.exec(select(AuditLog.action).where(col(AuditLog.action).startswith("ghosts."))).all()
        assert tasks == [ManualTaskState.OPEN, ManualTaskState.DONE, ManualTaskState.DONE]
        assert acts == ["ghosts.lost"]

    def test_a_whole_page_is_paused_and_resumed(self, page: Page, served: Served, signed_in: Person) -> None:
        put(signed_in.merchant_id, 3)
        page.goto(served.url + "/recoveries")
        for deed, state, told in (
            ("pause", GhostState.PAUSED, "Paused 3 ghosts."),
            ("resume", GhostState.OPEN, "Resumed 3 ghosts."),
        ):
            page.get_by_test_id("choose-page").click()
            expect(page.get_by_test_id("counted")).to_have_text("3 chosen")
            page.get_by_test_id(f"many-{deed}").click()
            page.get_by_test_id("many-yes").click()
            expect(page.get_by_test_id("told")).to_have_text(told)
            assert set(ghosts(signed_in.merchant_id).values()) == {state}

    def test_a_tick_does_not_open_the_ghost_and_keep_keeps(self, page: Page, served: Served, signed_in: Person) -> None:
        put(signed_in.merchant_id)
        page.set_viewport_size({"width": 390, "height": 844})
        page.goto(served.url + "/recoveries")
        page.get_by_test_id("choose").click()
        page.get_by_test_id("many-write_off").click()
        page.get_by_test_id("many-no").click()
        expect(page.get_by_test_id("counted")).to_have_text("1 chosen")
        assert page.url.rstrip("/").endswith("/recoveries")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        edge = "document.querySelector('{}').getBoundingClientRect().{}"
        tick, name = edge.format("[data-testid=choose]", "right"), edge.format(".row-link", "left")
        assert page.evaluate(f"{tick} <= {name}")  # it stands beside the name, not on it
        assert set(ghosts(signed_in.merchant_id).values()) == {GhostState.OPEN}

    def test_who_may_only_look_chooses_nothing(self, page: Page, served: Served, signed_in: Person) -> None:
        put(signed_in.merchant_id)
        with db.tenant_session(signed_in.merchant_id) as session:
            session.execute(update(Membership).values(role=Role.ANALYST))
        page.goto(served.url + "/recoveries")
        expect(page.get_by_test_id("ghost-row")).to_be_visible()
        expect(page.get_by_test_id("choose")).to_have_count(0)


@pytest.mark.browser
class TestGhostPage:
    def test_one_is_written_off_after_a_question(self, page: Page, served: Served, signed_in: Person) -> None:
        put(signed_in.merchant_id)
        (ghost_id,) = ghosts(signed_in.merchant_id)
        page.goto(f"{served.url}/recoveries/{ghost_id}")
        expect(page.get_by_test_id("ghost-phone")).to_have_text("+1 202 555 0143")
        expect(page.get_by_test_id("at-stripe")).to_have_count(0)  # the sandbox has no Dashboard
        page.get_by_test_id("write-off").click()
        page.get_by_test_id("write-off-yes").click()
        expect(page.get_by_test_id("ghost-state")).to_have_text("Lost")
        expect(page.get_by_test_id("write-off")).to_have_count(0)
        assert ghosts(signed_in.merchant_id) == {ghost_id: GhostState.LOST}
