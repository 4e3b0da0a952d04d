"""Any order of anything that can happen to tasks, against real PostgreSQL, judged by a model that knows the rules."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from core import clock as core_clock
from core import db
from models.work import TaskLane, TaskState
from services.tasks import deadletters, service, upkeep
from services.tasks.backoff import backoff, pause
from services.tasks.errors import Retry, TaskNotFoundError
from services.tasks.schemas import ClaimedTask, TaskResult
from services.tasks.turns import Turns
from tests.services.tasks.support import rows

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
OWNERS = ("first", "second", "third")
LEASE = timedelta(seconds=6)
LANES = st.sampled_from([TaskLane.QUICK] * 4 + [TaskLane.LONG])
LIVED = {"suspect": False, "begun": False, "put_off": 0}


@dataclass(frozen=True)
class Known:
    """What the model knows of a task."""

    state: str
    run_at: datetime
    due: bool
    merchant: str | None
    lane: TaskLane
    max_attempts: int
    attempts: int = 0
    deaths: int = 0
    suspect: bool = False
    begun: bool = False
    put_off: int = 0
    holder: str = ""
    until: datetime = START
    done: int = 0


class Queue(RuleBasedStateMachine):
    """Whoever claims holds `Lease`s; a lease is stale when its process was taken for dead."""

    leases: Bundle[ClaimedTask] = Bundle("leases")
    most_pauses = 3

    def __init__(self) -> None:
        super().__init__()
        self.clock = core_clock.ManualClock(START)
        self._former = core_clock._clock
        core_clock.install(self.clock)
        self.tasks: dict[int, Known] = {}
        self.keys: set[str] = set()
        self.turns = {owner: Turns() for owner in OWNERS}

    def teardown(self) -> None:
        core_clock.install(self._former)
        with db.system_session() as session:
            session.execute(text("delete from scheduled_tasks"))

    def change(self, task_id: int, **changes: object) -> None:
        self.tasks[task_id] = replace(self.tasks[task_id], **changes)  # type: ignore[arg-type]

    def holds(self, task: ClaimedTask) -> bool:
        return self.tasks[task.id].state == "running" and self.tasks[task.id].holder == task.lease_owner

    @initialize(count=st.integers(1, 6), attempts=st.sampled_from([1, 2, 5]))
    def first_tasks(self, count: int, attempts: int) -> None:
        assert rows("select id from scheduled_tasks") == []
        self.put("a", None, timedelta(), 0, TaskLane.QUICK, count, attempts)

    @rule(
        merchant=st.sampled_from([None, "a", "b", "c"]),
        key=st.none() | st.sampled_from(["k1", "k2", "k3"]),
        delay=st.sampled_from([timedelta(), timedelta(), timedelta(seconds=30), timedelta(hours=2)]),
        priority=st.sampled_from([10, 0, -10]),
        lane=LANES,
        count=st.integers(1, 4),
        attempts=st.sampled_from([1, 2, 5]),
    )
    def schedule(
        self,
        merchant: str | None,
        key: str | None,
        delay: timedelta,
        priority: int,
        lane: TaskLane,
        count: int,
        attempts: int,
    ) -> None:
        self.put(merchant, key, delay, priority, lane, count, attempts)

    def put(
        self,
        merchant: str | None,
        key: str | None,
        delay: timedelta,
        priority: int,
        lane: TaskLane,
        count: int,
        attempts: int,
    ) -> None:
        for _ in range(count):
            now = self.clock.now()
            with db.system_session() as session:
                task_id = service.schedule(
                    session,
                    kind="probe",
                    merchant_id=merchant,
                    key=key,
                    run_at=now + delay,
                    priority=priority,
                    lane=lane,
                    max_attempts=attempts,
                )
            assert (task_id is None) == (key is not None and key in self.keys)
            if task_id is not None:
                self.tasks[task_id] = Known("pending", now + delay, delay <= timedelta(), merchant, lane, attempts)
            if key is not None:
                self.keys.add(key)

    @rule(target=leases, owner=st.sampled_from(OWNERS), limit=st.integers(1, 5), lane=LANES)
    def claim(self, owner: str, limit: int, lane: TaskLane) -> object:
        now = self.clock.now()
        with db.system_session() as session:
            claimed = service.claim(session, owner, limit, lease=LEASE, lane=lane, turns=self.turns[owner])
        for task_id, known in self.tasks.items():
            if known.state == "pending" and known.run_at <= now:
                self.change(task_id, due=True)
        waiting = {
            n for n, known in self.tasks.items() if known.state == "pending" and known.due and known.lane is lane
        }
        assert len({task.id for task in claimed}) == len(claimed) <= limit
        assert {task.id for task in claimed} <= waiting
        assert bool(claimed) == bool(waiting), "an empty claim says that nothing waits"
        suspects = [task for task in claimed if task.deaths]
        assert not suspects or len(claimed) == 1, "who killed a process comes alone"
        for task in claimed:
            known = self.tasks[task.id]
            assert (task.attempts, task.deaths) == (known.attempts + 1, known.deaths)
            assert (task.suspect, task.put_off) == (known.suspect, known.put_off)
            self.change(task.id, state="running", attempts=task.attempts, holder=task.lease_owner, until=now + LEASE)
        return multiple(*claimed)

    @rule(task=consumes(leases))
    def complete(self, task: ClaimedTask) -> None:
        with db.system_session() as session:
            kept = service.complete(session, [TaskResult(task, {"by": task.lease_owner})]).kept
        assert (task.id in kept) == self.holds(task)
        if kept:
            self.change(task.id, state="done", holder="", done=self.tasks[task.id].done + 1)

    @rule(
        task=consumes(leases),
        chance=st.sampled_from([0.0, 0.5, 0.99]),
        final=st.sampled_from([False, False, False, True]),
    )
    def fail(self, task: ClaimedTask, chance: float, final: bool) -> None:
        with db.system_session() as session:
            state = service.fail(session, task, "it broke", chance=lambda: chance, final=final)
        if not self.holds(task):
            assert state is None
        elif final or task.attempts >= self.tasks[task.id].max_attempts:
            assert state is TaskState.DEAD
            self.change(task.id, state="dead", holder="", **LIVED)
        else:
            assert state is TaskState.PENDING
            run_at = self.clock.now() + backoff(task.attempts, chance)
            self.change(task.id, state="pending", holder="", run_at=run_at, due=False, **LIVED)

    @rule(task=leases)
    def begin(self, task: ClaimedTask) -> None:
        with db.system_session() as session:
            service.begin(session, task)
        if self.holds(task):
            self.change(task.id, begun=True)

    @rule(task=consumes(leases), delay=st.sampled_from([timedelta(), timedelta(minutes=3)]))
    def ask_for_later(self, task: ClaimedTask, delay: timedelta) -> None:
        run_at = self.clock.now() + delay
        with db.system_session() as session:
            state = service.put_off(session, task, Retry(at=run_at, reason="quiet hours"), chance=lambda: 0.5)
        assert (state is TaskState.PENDING) == self.holds(task)
        if state is not None:
            self.change(
                task.id,
                state="pending",
                holder="",
                attempts=task.attempts - 1,
                suspect=False,
                begun=False,
                run_at=run_at,
                due=delay <= timedelta(),
            )

    @rule(task=consumes(leases), chance=st.sampled_from([0.0, 0.99]))
    def meet_an_outage(self, task: ClaimedTask, chance: float) -> None:
        asked = Retry(after=timedelta(seconds=30), reason="away")
        with db.system_session() as session:
            state = service.put_off(session, task, asked, chance=lambda: chance)
        if not self.holds(task):
            assert state is None
            return
        known = self.tasks[task.id]
        dead = known.put_off + 1 >= self.most_pauses
        assert state is (TaskState.DEAD if dead else TaskState.PENDING)
        run_at = known.run_at if dead else self.clock.now() + pause(timedelta(seconds=30), known.put_off, chance)
        self.change(
            task.id,
            state=state.value,
            holder="",
            attempts=task.attempts - 1,
            run_at=run_at,
            due=False,
            suspect=False,
            begun=False,
            put_off=known.put_off + 1,
        )

    @rule(task=consumes(leases))
    def give_back(self, task: ClaimedTask) -> None:
        with db.system_session() as session:
            kept = service.release(session, [task])
        assert kept == self.holds(task)
        if kept:
            self.change(task.id, state="pending", holder="", attempts=task.attempts - 1, begun=False)

    @rule(task=leases)
    def renew(self, task: ClaimedTask) -> None:
        with db.system_session() as session:
            kept = service.extend_lease(session, [task], LEASE)
        assert bool(kept) == self.holds(task)
        if kept:
            self.change(task.id, until=self.clock.now() + LEASE)

    def any_in(self, state: str) -> bool:
        return any(known.state == state for known in self.tasks.values())

    @precondition(lambda self: self.any_in("running"))
    @rule(silence=st.sampled_from([timedelta(), timedelta(seconds=7), timedelta(seconds=7)]))
    def rescue(self, silence: timedelta) -> None:
        """Processes that renew nothing are dead: some of the leases are never heard of again, some come too late."""
        self.clock.advance(silence)
        now = self.clock.now()
        absurd = now + upkeep.ABSURD_LEASE
        over = [n for n, known in self.tasks.items() if known.state == "running" and not now <= known.until <= absurd]
        with db.system_session() as session:
            assert upkeep.rescue(session, upkeep.list_expired(session)) == len(over)
        batches = Counter(known.holder for known in self.tasks.values() if known.state == "running")
        for task_id in over:
            known = self.tasks[task_id]
            surely = known.begun or batches[known.holder] == 1
            deaths = known.deaths + (1 + known.suspect if surely else 0)
            self.change(
                task_id,
                state="dead" if deaths >= service.MAX_DEATHS else "pending",
                deaths=deaths,
                suspect=not surely,
                begun=False,
                attempts=known.attempts - 1,
                run_at=min(known.run_at, now),
                due=True,
            )
        for task_id in over:
            self.change(task_id, holder="")

    @rule(step=st.sampled_from([timedelta(seconds=7), timedelta(minutes=1), timedelta(hours=1)]))
    def time_passes(self, step: timedelta) -> None:
        self.clock.advance(step)

    @precondition(lambda self: self.any_in("pending") or self.any_in("running"))
    @rule(step=st.sampled_from([timedelta(minutes=10), timedelta(hours=1)]))
    def the_clock_is_set_back(self, step: timedelta) -> None:
        """What was due stays due; failed tasks wait from now on as long as they would have."""
        seen = self.clock.now()
        self.clock.advance(-step)
        now = self.clock.now()
        with db.system_session() as session:
            upkeep.redate(session, seen=seen, now=now)
        found = {row["id"]: row for row in rows("select id, due, run_at, attempts from scheduled_tasks")}
        for task_id, known in self.tasks.items():
            if known.state != "pending":
                continue
            row = found[task_id]
            if known.due or known.run_at <= seen:
                assert row["due"] or known.run_at <= now
                assert row["run_at"] <= now
            else:
                assert row["run_at"] in (known.run_at, known.run_at - step)
            self.change(task_id, due=row["due"], run_at=row["run_at"])

    @precondition(lambda self: self.any_in("dead"))
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from(sorted(self.tasks)))
        with db.system_session() as session:
            if self.tasks[task_id].state != "dead":
                with pytest.raises(TaskNotFoundError):
                    service.replay(session, task_id)
                return
            service.replay(session, task_id)
        self.change(task_id, state="pending", attempts=0, deaths=0, put_off=0, run_at=self.clock.now(), due=True)

    @precondition(lambda self: self.any_in("dead"))
    @rule(merchant=st.sampled_from(["a", "b"]))
    def replay_all(self, merchant: str) -> None:
        dead = [n for n, known in self.tasks.items() if known.state == "dead" and known.merchant == merchant]
        with db.tenant_session(merchant) as session:
            assert [view.id for view in deadletters.list_dead(session, merchant)] == sorted(dead, reverse=True)
            assert deadletters.replay_all(session, merchant) == len(dead)
        for task_id in dead:
            self.change(task_id, state="pending", attempts=0, deaths=0, put_off=0, run_at=self.clock.now(), due=True)

    @invariant()
    def nothing_is_lost_or_done_twice(self) -> None:
        found = {
            row["id"]: (
                *(row["state"], row["attempts"], row["deaths"], row["lease_owner"] or "", row["run_at"]),
                *((row["suspect"], row["begun"], row["put_off"]) if row["state"] != "done" else ()),
            )
            for row in rows("select * from scheduled_tasks")
        }
        known = {
            n: (
                *(k.state, k.attempts, k.deaths, k.holder, k.run_at),
                *((k.suspect, k.begun, k.put_off) if k.state != "done" else ()),
            )
            for n, k in self.tasks.items()
        }
        assert found == known
        assert all(task.done <= 1 for task in self.tasks.values())


@pytest.mark.usefixtures("database")
def test_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MOST_PAUSES", Queue.most_pauses)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Queue,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
