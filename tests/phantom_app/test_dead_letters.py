"""What a socket may do with dead letters: only a role that may, and only with tasks of its own merchant."""

import pytest
from sqlalchemy import text, update
from sqlmodel import select

from core import clock, db
from models.audit import AuditLog
from models.identity import Membership, Role
from phantom_app import runtime
from phantom_app.state.dead_letters import GONE, DeadLetters, dead_letter, number_of
from phantom_app.state.words import failure
from services.tasks import deadletters
from services.tasks.errors import ResultTooLargeError, UnknownKindError
from tests.phantom_app.served import Person, Served, Tab, sign_up
from tests.phantom_app.test_served import answered
from tests.services.tasks.support import put, row

HANDLERS = [DeadLetters.run_again, DeadLetters.delete]


def bury(merchant_id: str) -> int:
    number = put("send_message", merchant_id=merchant_id)
    assert number is not None
    with db.system_session() as session:
        session.execute(
            text("update scheduled_tasks set state = 'dead', attempts = 5, finished_at = :now where id = :id"),
            {"id": number, "now": clock.now()},
        )
    return number


class TestSocket:
    @pytest.mark.parametrize("handler", HANDLERS)
    @pytest.mark.parametrize("role", [Role.ANALYST, Role.MEMBER])
    async def test_a_role_without_the_permission_changes_nothing(
        self, served: Served, ada: Person, handler: object, role: Role
    ) -> None:
        number = bury(ada.merchant_id)
        with db.tenant_session(ada.merchant_id) as session:
            session.execute(update(Membership).values(role=role))
        async with Tab(served.url, ada.cookie, path="/system") as tab:
            await tab.load()
            await tab.call(runtime.handler_name(handler), task_id=str(number))
            await answered(tab)
        assert row(number)["state"] == "dead"

    @pytest.mark.parametrize("handler", HANDLERS)
    async def test_another_merchants_task_is_not_there(self, served: Served, ada: Person, handler: object) -> None:
        theirs = bury(sign_up("Borealis").merchant_id)
        async with Tab(served.url, ada.cookie, path="/system") as tab:
            await tab.load()
            await tab.call(runtime.handler_name(handler), task_id=str(theirs))
            await tab.until(lambda: GONE in tab.heard())
        assert row(theirs)["state"] == "dead"

    @pytest.mark.parametrize("role", [Role.ANALYST, Role.MEMBER])
    async def test_nor_may_it_run_all_of_them(self, served: Served, ada: Person, role: Role) -> None:
        number = bury(ada.merchant_id)
        with db.tenant_session(ada.merchant_id) as session:
            session.execute(update(Membership).values(role=role))
        async with Tab(served.url, ada.cookie, path="/system") as tab:
            await tab.load()
            await tab.call(runtime.handler_name(DeadLetters.run_every))
            await answered(tab)
        assert row(number)["state"] == "dead"

    async def test_all_of_them_are_ones_own(self, served: Served, ada: Person) -> None:
        mine, theirs = [bury(ada.merchant_id) for _ in range(3)], bury(sign_up("Borealis").merchant_id)
        async with Tab(served.url, ada.cookie, path="/system") as tab:
            await tab.load()
            await tab.call(runtime.handler_name(DeadLetters.run_every))
            await tab.until(lambda: "3 tasks run again." in tab.heard())
        assert [row(each)["state"] for each in (*mine, theirs)] == ["pending"] * 3 + ["dead"]
        with db.tenant_session(ada.merchant_id) as session:
            kept = [(entry.action, entry.facts) for entry in session.exec(select(AuditLog))]
        assert kept == [("task.all_replayed", {"tasks": 3})]

    @pytest.mark.parametrize("given", ["", "x", "1e3", "-1", "٣", "9" * 40, 7, None, {"$gt": 0}])
    async def test_what_is_no_number_is_no_task(self, given: object) -> None:
        assert number_of(given) == 0


class TestWords:
    def test_a_dead_letter_in_words(self) -> None:
        number = bury("mer_1")
        with db.system_session() as session:
            [view] = deadletters.list_dead(session, "mer_1")
        shown = dead_letter(view, clock.now())
        assert (shown.id, shown.kind, shown.attempts) == (str(number), "Send message", "5 attempts")
        assert shown.why == "It gave no reason."

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            ("StripeUnavailableError: Stripe is not answering", "Stripe did not answer."),
            ("It took longer than 0:01:00.", "It took too long and was ended."),
            (f"{UnknownKindError.code}: No handler", "This version does not know how to do it."),
            (f"{ResultTooLargeError.code}: 50 MB", "What it found out is too large to keep."),
            ("KeyError: 'id'", "nobody foresaw"),
        ],
    )
    def test_why_it_gave_up(self, error: str, words: str) -> None:
        assert words in failure(error)


pytestmark = pytest.mark.usefixtures("database")
