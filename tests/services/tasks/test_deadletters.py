"""Dead letters: seen by their merchant alone, run again or laid aside."""

from datetime import timedelta

import pytest

from core import db
from jobs import janitor
from services.handshake import service as handshake
from services.handshake.schemas import SenderEvent
from services.tasks import deadletters, service
from services.tasks.errors import TaskNotFoundError
from tests.services.tasks.support import claim, put, row, rows, states

pytestmark = pytest.mark.usefixtures("database", "clock")


def dead(merchant_id="m1", kind="probe", **options):
    task_id = put(kind, merchant_id=merchant_id, priority=9, **options)
    [task] = claim(1)
    with db.system_session() as session:
        service.fail(session, task, "it broke", chance=lambda: 0.5, final=True)
    return task_id


class TestListing:
    def test_newest_first_and_page_by_page(self):
        tasks = [dead() for _ in range(5)]
        put(merchant_id="m1")
        with db.tenant_session("m1") as session:
            first = deadletters.list_dead(session, "m1", limit=3)
            second = deadletters.list_dead(session, "m1", limit=3, before_id=first[-1].id)
        assert [view.id for view in (*first, *second)] == tasks[::-1]
        assert (first[0].kind, first[0].last_error, first[0].attempts) == ("probe", "it broke", 1)

    def test_nobody_elses(self):
        mine, _ = dead("m1"), dead("m2")
        with db.tenant_session("m1") as session:
            assert [view.id for view in deadletters.list_dead(session, "m1")] == [mine]
            assert deadletters.list_dead(session, "m2") == []
        with db.system_session() as session:
            assert [view.id for view in deadletters.list_dead(session, "m1")] == [mine]
            assert len(deadletters.list_dead(session, None)) == 2


class TestReplay:
    def test_all_of_a_kind(self):
        hunts, other, foreign = [dead(kind="hunt") for _ in range(3)], dead(), dead("m2", kind="hunt")
        with db.tenant_session("m1") as session:
            assert deadletters.replay_all(session, "m1", kind="hunt", limit=2) == 2
            assert deadletters.replay_all(session, "m1", kind="hunt") == 1
        assert {row(task_id)["state"] for task_id in hunts} == {"pending"}
        assert (row(other)["state"], row(foreign)["state"]) == ("dead", "dead")
        assert {task.attempts for task in claim()} == {1}

    def test_all_of_a_merchant(self):
        dead(), dead(kind="hunt"), dead("m2")
        with db.tenant_session("m1") as session:
            assert deadletters.replay_all(session, "m1") == 2

    def test_in_the_merchants_own_session(self):
        task_id = dead()
        with db.tenant_session("m1") as session:
            deadletters.replay(session, task_id, merchant_id="m1")
        assert row(task_id)["state"] == "pending"


class TestDeleting:
    def test_it_is_gone_from_the_list_and_its_key_stays_taken(self, clock):
        task_id = dead(key="hunt:m1:1")
        with db.tenant_session("m1") as session:
            deadletters.delete_dead(session, task_id, "m1")
            assert deadletters.list_dead(session, "m1") == []
        assert put(key="hunt:m1:1") is None
        assert (row(task_id)["state"], row(task_id)["result"]) == ("done", {"discarded": "laid aside by a person"})
        clock.advance(timedelta(days=7, seconds=1))
        assert janitor.prune()["tasks"] == 1

    @pytest.mark.parametrize("session_of", [lambda: db.tenant_session("m1"), db.system_session])
    def test_an_event_laid_aside_is_handled_emptied_and_never_comes_back(self, clock, session_of):
        with db.system_session() as session:
            told = b'{"to": "ada@example.com"}'
            events = [
                SenderEvent("resend", name, "email.bounced", whose, told)
                for name, whose in (("mine", "m1"), ("other", "m2"))
            ]
            handshake.store_sender_events(session, events)
        tasks = {task.payload["event_id"]: task for task in claim()}
        with db.system_session() as session:
            service.fail(session, tasks["resend:mine"], "it broke", chance=lambda: 0.5, final=True)
        with session_of() as session:
            deadletters.delete_dead(session, tasks["resend:mine"].id, "m1")
        found = rows("select id, payload is null as empty, handled_at, outcome from processed_events order by id")
        assert found == [
            {"id": "resend:mine", "empty": True, "handled_at": clock.now(), "outcome": "laid_aside"},
            {"id": "resend:other", "empty": False, "handled_at": None, "outcome": ""},
        ]
        clock.advance(timedelta(days=8))
        janitor.prune()
        with db.system_session() as session:
            janitor.sweep(session)
        assert rows("select key from scheduled_tasks") == [{"key": "event:resend:other"}]

    def test_a_merchant_cannot_touch_another_ones_event(self):
        with db.system_session() as session:
            handshake.store_sender_events(session, [SenderEvent("resend", "theirs", "email.bounced", "m2", b"{}")])
        task_id = put("handle_event", merchant_id="m1", payload={"event_id": "resend:theirs"}, priority=99)
        [task] = claim(1)
        with db.system_session() as session:
            service.fail(session, task, "it broke", chance=lambda: 0.5, final=True)
        with db.tenant_session("m1") as session:
            deadletters.delete_dead(session, task_id, "m1")
        assert rows("select outcome from processed_events") == [{"outcome": ""}]

    def test_only_ones_own_and_only_the_dead(self):
        foreign, living = dead("m2"), put(merchant_id="m1")
        for task_id in (foreign, living):
            with pytest.raises(TaskNotFoundError), db.tenant_session("m1") as session:
                deadletters.delete_dead(session, task_id, "m1")
            with pytest.raises(TaskNotFoundError), db.system_session() as session:
                deadletters.delete_dead(session, task_id, "m1")
        assert states() == ["dead", "pending"]
