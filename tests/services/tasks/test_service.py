"""What the durable queue promises: once a key, one holder a task, nothing overwritten, nothing lost."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy.exc import ProgrammingError

from core import db
from core.logging import correlated
from models.work import TaskLane, TaskState
from services.tasks import service, upkeep
from services.tasks.errors import NotStorableError, ResultTooLargeError, TaskNotFoundError
from services.tasks.schemas import TaskResult
from tests.services.tasks.support import claim, put, row, rows, states

pytestmark = pytest.mark.usefixtures("database", "clock")


def settle(*results):
    with db.system_session() as session:
        return service.complete(session, [TaskResult(task, result) for task, result in results]).kept


def fail(task, *, chance=0.5, final=False, error="it broke"):
    with db.system_session() as session:
        return service.fail(session, task, error, chance=lambda: chance, final=final)


class TestSchedule:
    def test_what_is_kept(self, clock):
        with correlated("request-1"):
            task_id = put(merchant_id="m1", key="k", payload={"a": [1, "é"]}, priority=3, max_attempts=2)
        found = row(task_id)
        assert (found["state"], found["kind"], found["key"], found["payload"]) == (
            "pending",
            "probe",
            "k",
            {"a": [1, "é"]},
        )
        assert (found["priority"], found["max_attempts"], found["attempts"], found["deaths"]) == (3, 2, 0, 0)
        assert (found["run_at"], found["created_at"], found["correlation_id"]) == (
            clock.now(),
            clock.now(),
            "request-1",
        )

    def test_a_key_makes_one_task(self):
        assert put(key="k") is not None
        assert put(key="k", merchant_id="other") is None
        assert len(states()) == 1

    def test_no_key_makes_as_many_as_asked(self):
        assert put() != put()

    def test_the_callers_rollback_takes_the_task_with_it(self):
        with db.system_session() as session:
            service.schedule(session, kind="probe")
            session.rollback()
        assert states() == []

    def test_a_tenant_session_may_schedule_for_its_merchant(self):
        with db.tenant_session("m1") as session:
            assert service.schedule(session, kind="probe", merchant_id="m1", key="k") is not None
            assert service.schedule(session, kind="probe", merchant_id="m1", key="k") is None
            assert upkeep.queue_state(session, "m1").count(TaskState.PENDING) == 1

    @pytest.mark.parametrize("merchant_id", ["m2", None])
    def test_and_for_no_other(self, merchant_id):
        with pytest.raises(ProgrammingError, match="row-level security"), db.tenant_session("m1") as session:
            service.schedule(session, kind="probe", merchant_id=merchant_id)

    def test_a_tenant_does_not_see_anothers(self):
        put(merchant_id="m1")
        with db.tenant_session("m2") as session:
            assert upkeep.queue_state(session, "m1").recent == ()

    @pytest.mark.parametrize(
        "payload",
        [{"a": object()}, {"a": float("nan")}, {"a": "\x00"}, {"\ud800": 1}, {"a": {1, 2}}],
        ids=["object", "not a number", "nul", "surrogate", "set"],
    )
    def test_what_jsonb_cannot_hold(self, payload):
        with pytest.raises(NotStorableError):
            put(payload=payload)

    def test_a_backslash_before_u0000_is_only_text(self):
        assert row(put(payload={"a": "\\u0000"}))["payload"] == {"a": "\\u0000"}


class TestClaim:
    def test_marks_and_returns(self, clock):
        task_id = put(merchant_id="m1", key="k", payload={"n": 1})
        [task] = claim(lease=timedelta(seconds=30))
        assert (task.id, task.kind, task.tenant, task.payload, task.attempts) == (task_id, "probe", "m1", {"n": 1}, 1)
        found = row(task_id)
        assert (found["state"], found["attempts"], found["lease_owner"]) == ("running", 1, task.lease_owner)
        assert found["leased_until"] == clock.now() + timedelta(seconds=30)
        assert claim() == []

    def test_not_before_its_time(self, clock):
        put(run_at=clock.now() + timedelta(minutes=1))
        assert claim() == []
        clock.advance(timedelta(minutes=1))
        assert len(claim()) == 1

    def test_order(self, clock):
        late = put(run_at=clock.now() - timedelta(seconds=1))
        early = put(run_at=clock.now() - timedelta(seconds=2))
        low = put(priority=-1, run_at=clock.now() - timedelta(days=1))
        high = put(priority=5)
        assert [task.id for task in claim()] == [high, early, late, low]

    def test_merchants_take_turns(self):
        for number in range(8):
            put(merchant_id="busy", payload={"n": number})
        put(merchant_id="small")
        put(merchant_id="tiny")
        assert [task.merchant_id for task in claim(4)] == ["busy", "small", "tiny", "busy"]

    def test_kinds(self):
        put("probe")
        put("pulse")
        assert [task.kind for task in claim(kinds=["pulse"])] == ["pulse"]
        assert [task.kind for task in claim()] == ["probe"]

    def test_lanes(self):
        put("hunt", priority=-10)
        put("pulse")
        put("handle_event")
        assert [task.kind for task in claim(1, lane=TaskLane.LONG)] == ["pulse"]
        assert [task.kind for task in claim(1, lane=TaskLane.LONG)] == ["hunt"]
        assert claim(lane=TaskLane.LONG) == []
        assert [task.kind for task in claim()] == ["handle_event"]

    def test_two_workers_never_share(self):
        for number in range(400):
            put(merchant_id=f"m{number % 5}")
        ready = threading.Barrier(2)

        def work(owner):
            ready.wait()
            taken = []
            while batch := claim(7, owner):
                taken += [task.id for task in batch]
            return taken

        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(work, ["a", "b"])
        assert len(first) + len(second) == 400
        assert len({*first, *second}) == 400

    def test_a_task_that_killed_its_process_comes_alone(self):
        suspect = put(priority=1)
        rows("update scheduled_tasks set deaths = 1 returning id")
        others = {put(), put()}
        assert [task.id for task in claim()] == [suspect]
        assert {task.id for task in claim()} == others

    def test_and_does_not_ride_along_with_others(self):
        suspect = put()
        rows("update scheduled_tasks set deaths = 2 returning id")
        other = put(priority=1)
        assert [task.id for task in claim()] == [other]
        assert [task.id for task in claim()] == [suspect]


class TestComplete:
    def test_done_with_its_result(self, clock):
        first, second = put(), put()
        tasks = claim()
        assert settle(*((task, {"id": task.id}) for task in tasks)) == {first, second}
        found = row(second)
        assert (found["state"], found["result"], found["finished_at"]) == ("done", {"id": second}, clock.now())
        assert (found["lease_owner"], found["leased_until"]) == (None, None)

    def test_a_late_result_does_not_overwrite(self, clock):
        task_id = put()
        [lost] = claim(owner="slow")
        _rescue(clock)
        [taken] = claim(owner="quick")
        assert settle((lost, {"by": "slow"})) == frozenset()
        assert row(task_id)["lease_owner"] == taken.lease_owner
        assert settle((taken, {"by": "quick"})) == {task_id}
        assert settle((lost, {"by": "slow"})) == frozenset()
        assert row(task_id)["result"] == {"by": "quick"}

    def test_nor_when_the_same_owner_has_it_again(self, clock):
        task_id = put()
        [lost] = claim(owner="me")
        _rescue(clock)
        [again] = claim(owner="me")
        assert lost.attempts == again.attempts
        assert fail(lost) is None
        assert settle((lost, {})) == frozenset()
        assert row(task_id)["state"] == "running"

    def test_64_kilobytes_and_not_more(self):
        put()
        [task] = claim()
        with pytest.raises(ResultTooLargeError):
            settle((task, {"a": "x" * 65536}))
        assert states() == ["running"]
        assert settle((task, {"a": "x" * (65536 - len('{"a":""}'))})) == {task.id}


class TestFail:
    @pytest.mark.parametrize(("attempt", "ceiling"), [(1, 10), (2, 40), (3, 160), (4, 640)])
    def test_waits_longer_each_time(self, clock, attempt, ceiling):
        task_id = put()
        rows("update scheduled_tasks set attempts = :n returning id", n=attempt - 1)
        [task] = claim()
        assert fail(task, chance=0.5) is TaskState.PENDING
        assert row(task_id)["run_at"] == clock.now() + timedelta(seconds=ceiling / 2)

    def test_five_attempts_then_dead(self, clock):
        task_id = put()
        outcomes = []
        for _ in range(5):
            clock.advance(timedelta(hours=2))
            outcomes.append(fail(*claim()))
        assert outcomes == [TaskState.PENDING] * 4 + [TaskState.DEAD]
        clock.advance(timedelta(days=1))
        assert claim() == []
        assert (row(task_id)["last_error"], row(task_id)["attempts"]) == ("it broke", 5)

    def test_final_is_dead_at_once(self):
        put()
        assert fail(*claim(), final=True) is TaskState.DEAD

    def test_errors_are_fit_to_be_read(self):
        task_id = put()
        fail(*claim(), error="sk_test_aaaaaaaaaaaaaaaaaaaa of ada@example.com \x00\ud800" + "x" * 9000)
        error = row(task_id)["last_error"]
        assert error.startswith("[redacted] of [email] ?x")
        assert len(error) == 4000


class TestGivingBack:
    def test_postponed_without_counting(self, clock):
        task_id = put()
        [task] = claim()
        later = clock.now() + timedelta(minutes=3)
        with db.system_session() as session:
            assert service.postpone(session, task, run_at=later, reason="rate limit")
        found = row(task_id)
        assert (found["state"], found["attempts"], found["run_at"]) == ("pending", 0, later)
        assert found["last_error"] == "rate limit"

    def test_released_as_they_were(self, clock):
        put(), put()
        tasks = claim()
        with db.system_session() as session:
            assert service.release(session, tasks) == 2
            assert service.release(session, tasks) == 0
        assert [task.attempts for task in claim()] == [1, 1]

    def test_what_the_next_run_must_know_is_noted_by_who_holds_it_alone(self, clock):
        put()
        [task] = claim()
        with db.system_session() as session:
            assert service.note(session, task, handed_over=True)
            assert service.release(session, [task]) == 1
            assert not service.note(session, task, handed_over=False)
        assert [each.payload for each in claim()] == [{**task.payload, "handed_over": True}]

    def test_extending_says_what_is_still_held(self, clock):
        kept_id, lost_id = put(), put()
        tasks = claim(lease=timedelta(seconds=10))
        rows("update scheduled_tasks set lease_owner = 'other' where id = :id returning id", id=lost_id)
        clock.advance(timedelta(seconds=8))
        with db.system_session() as session:
            assert service.extend_lease(session, tasks, timedelta(seconds=10)) == {kept_id}
        assert row(kept_id)["leased_until"] == clock.now() + timedelta(seconds=10)


def _rescue(clock):
    clock.advance(timedelta(seconds=61))
    with db.system_session() as session:
        return upkeep.rescue(session, upkeep.list_expired(session))


class TestRescue:
    def test_three_deaths_and_it_is_dead(self, clock):
        task_id = put()
        for _ in range(3):
            assert len(claim()) == 1
            assert _rescue(clock) == 1
        found = row(task_id)
        assert (found["state"], found["deaths"], found["attempts"]) == ("dead", 3, 0)
        assert "died" in found["last_error"]

    def test_a_living_lease_is_left_alone(self, clock):
        put()
        claim(lease=timedelta(seconds=120))
        assert _rescue(clock) == 0

    def test_a_lease_renewed_since_it_was_listed_is_left_alone(self, clock):
        put()
        tasks = claim()
        clock.advance(timedelta(seconds=61))
        with db.system_session() as session:
            expired = upkeep.list_expired(session)
            service.extend_lease(session, tasks)
            assert len(expired) == 1
            assert upkeep.rescue(session, expired) == 0

    def test_a_lease_from_before_the_clock_jumped_back_is_found(self, clock):
        put()
        claim()
        clock.advance(timedelta(hours=-1))
        with db.system_session() as session:
            assert len(upkeep.list_expired(session)) == 1


class TestReplay:
    def test_starts_afresh(self, clock):
        task_id = put(merchant_id="m1")
        fail(*claim(), final=True)
        rows("update scheduled_tasks set deaths = 3 returning id")
        with db.system_session() as session:
            service.replay(session, task_id, merchant_id="m1")
        [task] = claim()
        assert (task.id, task.attempts, task.deaths) == (task_id, 1, 0)

    @pytest.mark.parametrize("state", ["pending", "running", "done"])
    def test_only_what_is_dead(self, state):
        task_id = put()
        rows("update scheduled_tasks set state = :state returning id", state=state)
        with pytest.raises(TaskNotFoundError), db.system_session() as session:
            service.replay(session, task_id)

    def test_another_merchants_is_not_found(self):
        task_id = put(merchant_id="m1")
        fail(*claim(), final=True)
        with pytest.raises(TaskNotFoundError), db.system_session() as session:
            service.replay(session, task_id, merchant_id="m2")


class TestQueueState:
    def test_counts_age_and_newest(self, clock):
        put(merchant_id="m1", run_at=clock.now() - timedelta(minutes=5))
        put("hunt", merchant_id="m1", run_at=clock.now() + timedelta(minutes=5))
        newest = put("pulse", merchant_id="m1")
        put(merchant_id="m2", run_at=clock.now() - timedelta(days=5))
        fail(*claim(kinds=["pulse"]), final=True)
        with db.system_session() as session:
            state = upkeep.queue_state(session, "m1", recent=2)
            platform = upkeep.queue_state(session, None)
        assert [(entry.kind, entry.state, entry.count) for entry in state.counts] == [
            ("hunt", TaskState.PENDING, 1),
            ("probe", TaskState.PENDING, 1),
            ("pulse", TaskState.DEAD, 1),
        ]
        assert state.oldest_due_at == clock.now() - timedelta(minutes=5)
        assert state.recent[0].id == newest
        assert len(state.recent) == 2
        assert platform.count(TaskState.PENDING) == 3
        assert platform.oldest_due_at == clock.now() - timedelta(days=5)

    def test_counts_no_more_than_it_says(self, clock, monkeypatch):
        monkeypatch.setattr(upkeep, "COUNTED", 3)
        oldest = clock.now() - timedelta(hours=1)
        for minutes in range(5):
            put(merchant_id="m1", run_at=oldest + timedelta(minutes=minutes))
        with db.tenant_session("m1") as session:
            state = upkeep.queue_state(session, "m1")
        assert (state.count(TaskState.PENDING), state.oldest_due_at) == (3, oldest)

    def test_nothing(self):
        with db.system_session() as session:
            state = upkeep.queue_state(session, "m1")
        assert (state.counts, state.oldest_due_at, state.recent) == ((), None, ())
