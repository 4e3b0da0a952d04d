"""One leader, each run once, nothing forgotten."""

import signal
import threading
from datetime import timedelta

import psycopg
import pytest
from psycopg.errors import InvalidParameterValue
from sqlalchemy import text
from sqlalchemy.exc import DataError, OperationalError

from core import clock as core_clock
from core import db, queue
from jobs import janitor, leases, sentinel
from jobs.leadership import Leadership
from jobs.sentinel import Sentinel, tick
from models.identity import OAuthState, UserSession
from services.tasks import service
from services.tasks.schedules import HUNT, slot_of
from tests.jobs.processes import process
from tests.services.handshake.support import connect_account
from tests.services.tasks.support import claim, put, row, rows
from tests.support.wait import wait_until

HOUR = timedelta(hours=1)


def rescue(watch: janitor.LeaseWatch) -> int:
    with db.system_session() as session:
        return janitor.rescue(session, watch)


def keys() -> list[str]:
    """Hunts and pulses; what else is scheduled has tests of its own."""
    return [
        found["key"] for found in rows("select key from scheduled_tasks where kind in ('hunt', 'pulse') order by key")
    ]


@pytest.mark.usefixtures("database", "redis_url")
class TestTick:
    @pytest.fixture(autouse=True)
    def _merchants(self, database, redis_url, clock):
        connect_account("acct_1", "m1")
        connect_account("acct_2", "m2")
        yield
        queue.disconnect()

    def test_a_hunt_and_a_pulse_for_each_active_merchant(self, clock):
        connect_account("acct_3", "m3")
        rows("update stripe_accounts set disconnected_at = now() where merchant_id = 'm3' returning 1")
        tick(clock.now())
        first, second = (HUNT.slot(merchant, clock.now()) for merchant in ("m1", "m2"))
        pulses = slot_of(clock.now(), HOUR)
        assert keys() == [f"hunt:m1:{first}", f"hunt:m2:{second}", f"pulse:m1:{pulses}", f"pulse:m2:{pulses}"]
        [hunt] = rows("select * from scheduled_tasks where key = :key", key=f"hunt:m1:{first}")
        assert (hunt["merchant_id"], hunt["run_at"], hunt["priority"]) == ("m1", clock.now(), -10)
        assert (hunt["payload"], hunt["lane"]) == ({"slot": first, "trigger": "schedule"}, "long")

    def test_people_are_forgotten_daily_at_a_time_of_each_merchants_own(self, clock):
        leader = Sentinel()
        for _ in range(24 * 8):
            leader.tick(clock.now())
            clock.advance(timedelta(minutes=15))
        purges = rows("select merchant_id, run_at, lane from scheduled_tasks where kind = 'purge_pii' order by run_at")
        # two days touch three of a merchant's days
        assert sorted(found["merchant_id"] for found in purges) == ["m1"] * 3 + ["m2"] * 3
        assert {found["lane"] for found in purges} == {"long"}

    def test_two_sentinels_and_restarts_double_nothing(self, clock):
        ready = threading.Barrier(3)

        def run():
            ready.wait()
            tick(clock.now())

        threads = [threading.Thread(target=run) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tick(clock.now())
        assert len(keys()) == 4

    def test_a_day_of_ticks(self, clock):
        leader = Sentinel()
        for _ in range(24 * 4):
            leader.tick(clock.now())
            clock.advance(timedelta(minutes=15))
        kinds = [key.split(":")[0] for key in keys()]
        # 9:00 to 9:00 touches three half days, whenever they begin, and begins twenty-four hours
        assert (kinds.count("hunt"), kinds.count("pulse")) == (3 * 2, 24 * 2)

    def test_hunts_begin_when_each_merchants_period_does(self, clock):
        leader = Sentinel()
        leader.tick(clock.now())
        began = HUNT.begins("m1", HUNT.slot("m1", clock.now()) + 1)
        clock.advance(began - clock.now() - timedelta(minutes=1))
        leader.tick(clock.now())
        assert sum("hunt:m1" in key for key in keys()) == 1
        clock.advance(timedelta(minutes=1))
        leader.tick(clock.now())
        assert sum("hunt:m1" in key for key in keys()) == 2

    def test_missed_runs_are_caught_up_once(self, clock):
        leader = Sentinel()
        leader.tick(clock.now())
        clock.advance(timedelta(days=3))
        leader.tick(clock.now())
        assert len(keys()) == 8

    def test_a_merchant_who_connects_between(self, clock):
        leader = Sentinel()
        leader.tick(clock.now())
        connect_account("acct_9", "m9", ago=timedelta())
        leader.tick(clock.now())
        assert not any("m9" in key for key in keys())
        clock.advance(timedelta(minutes=1))
        leader.tick(clock.now())
        # connecting has hunted already, with more in it than the schedule's hunt
        assert [key.split(":")[0] for key in keys() if "m9" in key] == ["pulse"]
        clock.advance(timedelta(hours=12))
        leader.tick(clock.now())
        assert sum("hunt:m9" in key for key in keys()) == 1

    def test_what_redis_forgot_is_announced_again(self, clock):
        rows("delete from stripe_accounts returning 1")
        put()
        assert queue.task_queue().count == 0  # the crash between commit and announcement
        tick(clock.now())
        assert (queue.task_queue().count, queue.task_queue(queue.LONG_TASK_QUEUE).count) == (1, 0)

    @pytest.mark.parametrize("error", [OperationalError, DataError])
    def test_what_hinders_cleaning_keeps_no_work_waiting(self, clock, monkeypatch, caplog, error):
        tries = []

        def prune():
            tries.append(clock.now())
            raise error("", {}, InvalidParameterValue())

        monkeypatch.setattr(janitor, "prune", prune)
        put()
        leader = Sentinel()
        leader.tick(clock.now())
        assert queue.task_queue().count == 1
        assert "sentinel.prune_failed" in caplog.text
        for _ in range(60):  # it is tried each minute, not each second
            clock.advance(timedelta(seconds=1))
            leader.tick(clock.now())
        assert len(tries) == 2

    def test_nothing_due_wakes_nobody(self, clock):
        rows("delete from stripe_accounts returning 1")
        put(run_at=clock.now() + HOUR)
        tick(clock.now())
        assert queue.task_queue().count == 0

    def test_long_work_wakes_the_long_lane(self, clock):
        rows("delete from stripe_accounts returning 1")
        put("hunt")
        tick(clock.now())
        assert (queue.task_queue().count, queue.task_queue(queue.LONG_TASK_QUEUE).count) == (0, 1)


@pytest.mark.usefixtures("database", "redis_url")
class TestClockSetBack:
    """What was due before waits for nothing; what was not, waits as long as it was meant to."""

    JUMP = timedelta(hours=1)

    @pytest.fixture(autouse=True)
    def _silent(self, database, redis_url):
        yield
        queue.disconnect()

    def due(self):
        return [found["id"] for found in rows("select id from scheduled_tasks where due order by run_at, id")]

    @pytest.mark.parametrize("remembers", [True, False], ids=["the leader saw it", "the leader is new"])
    def test_what_was_due_is_due(self, clock, remembers):
        start = clock.now()
        later = put(run_at=start + timedelta(minutes=130))
        soon = put(run_at=start + timedelta(minutes=30))
        clock.advance(timedelta(minutes=60))
        now_due = put()
        leader = Sentinel()
        if remembers:
            leader.tick(clock.now())
        clock.advance(-self.JUMP)
        leader.tick(clock.now())
        assert self.due() == [soon, now_due]
        assert row(later)["run_at"] == start + timedelta(minutes=130)
        assert {task.id for task in claim()} == {soon, now_due}
        leader.tick(clock.now())
        assert row(later)["run_at"] == start + timedelta(minutes=130)

    def test_a_failed_task_waits_no_longer_than_it_would_have(self, clock):
        task_id, leader = put(), Sentinel()
        leader.tick(clock.now())
        with db.system_session() as session:
            [task] = service.claim(session, "me", 1)
            service.fail(session, task, "it broke", chance=lambda: 0.9)
        clock.advance(-self.JUMP)
        leader.tick(clock.now())
        leader.tick(clock.now())
        assert row(task_id)["run_at"] == clock.now() + timedelta(seconds=9)
        clock.advance(timedelta(seconds=9))
        assert [task.id for task in claim()] == [task_id]

    def test_a_lease_given_before_is_over_when_its_process_is_dead(self, clock):
        put()
        claim(lease=leases.LEASE)
        clock.advance(-self.JUMP)
        seconds = [0.0]
        watch = janitor.LeaseWatch(monotonic=lambda: seconds[0])
        assert rescue(watch) == 0
        seconds[0] += janitor.PATIENCE_SECONDS
        assert rescue(watch) == 1
        assert len(claim()) == 1

    def test_schedules_and_cleaning_go_on(self, clock):
        leader = Sentinel()
        clock.advance(timedelta(hours=3))
        leader.tick(clock.now())
        clock.advance(-self.JUMP)
        connect_account("acct_1", "m1", ago=timedelta(days=2))
        leader.tick(clock.now())
        assert [key.split(":")[0] for key in keys()] == ["hunt", "pulse"]
        for _ in range(61):
            clock.advance(timedelta(minutes=1))
            leader.tick(clock.now())
        assert [key.split(":")[0] for key in keys()].count("pulse") == 2

    def test_a_jump_forward_doubles_nothing(self, clock):
        connect_account("acct_1", "m1", ago=timedelta(days=9))
        leader = Sentinel()
        leader.tick(clock.now())
        clock.advance(timedelta(days=2))
        leader.tick(clock.now())
        clock.advance(-timedelta(days=2))
        leader.tick(clock.now())
        assert [key.split(":")[0] for key in keys()] == ["hunt", "hunt", "pulse", "pulse"]

    def test_a_tick_that_fails_has_not_heeded_it(self, clock, monkeypatch):
        def fail(*_):
            raise RuntimeError

        waiting, leader = put(run_at=clock.now() + timedelta(minutes=30)), Sentinel()
        clock.advance(timedelta(minutes=40))
        leader.tick(clock.now())
        clock.advance(-self.JUMP)
        with monkeypatch.context() as patched:
            patched.setattr(janitor, "rescue", fail)
            with pytest.raises(RuntimeError):
                leader.tick(clock.now())
        assert not row(waiting)["due"]
        leader.tick(clock.now())
        assert row(waiting)["due"]


@pytest.mark.usefixtures("database", "clock")
class TestJanitor:
    def test_the_dead_are_told_from_a_clock_that_jumped(self, clock):
        dead, living = put(), put()
        [first], [second] = claim(1), claim(1)
        assert (first.id, second.id) == (dead, living)
        seconds = [100.0]
        watch = janitor.LeaseWatch(monotonic=lambda: seconds[0])
        clock.advance(timedelta(hours=6))
        assert rescue(watch) == 0
        seconds[0] += 2.0
        with db.system_session() as session:
            session.execute(
                text("update scheduled_tasks set leased_until = :until where id = :id"),
                {"until": clock.now() + timedelta(seconds=8), "id": living},
            )
        assert rescue(watch) == 0
        seconds[0] += 1.5
        assert rescue(watch) == 1
        assert (row(dead)["state"], row(living)["state"]) == ("pending", "running")

    def test_a_lease_renewed_and_over_again_starts_anew(self, clock):
        put()
        claim()
        seconds = [0.0]
        watch = janitor.LeaseWatch(monotonic=lambda: seconds[0])
        for _ in range(5):  # a clock that goes on jumping over a worker that goes on renewing
            clock.advance(timedelta(hours=6))
            rows("update scheduled_tasks set leased_until = :until returning id", until=clock.now() - HOUR)
            assert rescue(watch) == 0
            seconds[0] += 2.0

    def test_prunes_what_is_old_and_keeps_the_rest(self, clock):
        old = clock.now() - timedelta(days=8)
        done, dead, young = put(), put(), put()
        for task_id, state, moment in ((done, "done", old), (dead, "dead", old), (young, "done", clock.now())):
            rows(
                "update scheduled_tasks set state = :state, finished_at = :moment where id = :id returning id",
                state=state,
                moment=moment,
                id=task_id,
            )
        with db.system_session() as session:
            for name, moment in (("old", clock.now() - HOUR), ("new", clock.now() + HOUR)):
                shared = {"created_at": moment, "expires_at": moment}
                session.add(
                    UserSession(
                        token_hash=name, user_id="u", merchant_id="m1", method="password", last_seen_at=moment, **shared
                    )
                )
                session.add(OAuthState(state_hash=name, browser_hash="b", **shared))
        assert janitor.prune() == {"tasks": 1, "events": 0, "given_up": 0, "sessions": 2}
        assert [found["id"] for found in rows("select id from scheduled_tasks order by id")] == [dead, young]
        assert [found["token_hash"] for found in rows("select token_hash from sessions")] == ["new"]
        assert [found["state_hash"] for found in rows("select state_hash from oauth_states")] == ["new"]

    def test_in_bounded_batches(self, clock, monkeypatch):
        monkeypatch.setattr(janitor, "BATCH", 10)
        monkeypatch.setattr(janitor, "MAX_BATCHES", 3)
        for _ in range(45):
            put()
        rows(
            "update scheduled_tasks set state = 'done', finished_at = :old returning id",
            old=clock.now() - timedelta(days=8),
        )
        assert [janitor.prune()["tasks"], janitor.prune()["tasks"], janitor.prune()["tasks"]] == [30, 15, 0]


@pytest.mark.usefixtures("database")
class TestLeadership:
    def test_one_leads_and_the_other_takes_over(self):
        first, second = Leadership(), Leadership()
        try:
            assert [first.held(), second.held(), first.held(), second.held()] == [True, False, True, False]
            first.release()
            wait_until(second.held, what="the second leads")
            assert not first.held()
        finally:
            first.release()
            second.release()

    def test_a_killed_backend_ends_leadership_at_the_next_look(self, database):
        leader, other = Leadership(), Leadership()
        try:
            assert leader.held()
            with psycopg.connect(database.admin_url, autocommit=True) as owner:
                owner.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where application_name = 'phantom-sentinel' and datname = current_database()"
                )
            wait_until(other.held, what="the other leads")
            assert not leader.held()
            assert other.held()
        finally:
            leader.release()
            other.release()

    def test_without_a_database_nobody_leads(self, monkeypatch):
        leader = Leadership()

        def refuse(*args, **kwargs):
            raise psycopg.OperationalError("away")

        with monkeypatch.context() as patched:
            patched.setattr(psycopg, "connect", refuse)
            assert not leader.held()
        try:  # the one before may still be on its way out at the server
            wait_until(leader.held, what="it leads")
        finally:
            leader.release()

    def test_the_loop_survives_a_database_that_goes_away(self, monkeypatch, caplog):
        stopping, ticks = threading.Event(), []

        def troubled(leader, now):
            ticks.append(now)
            if len(ticks) == 1:
                with db.system_session() as session:
                    session.execute(text("select pg_terminate_backend(pg_backend_pid())"))
            stopping.set()

        monkeypatch.setattr(Sentinel, "tick", troubled)
        monkeypatch.setattr(sentinel, "TICK_SECONDS", 0.0)
        stopping_after_two = threading.Event()
        monkeypatch.setattr(stopping, "is_set", lambda: len(ticks) >= 2 or stopping_after_two.is_set())
        sentinel.lead(stopping)
        assert len(ticks) == 2
        assert "sentinel.database_away" in caplog.text


@pytest.mark.usefixtures("database", "redis_url")
class TestProcess:
    @pytest.mark.parametrize("accident", ["killed", "stopped", "cut off"])
    def test_leads_schedules_and_hands_over(self, accident, database):
        """Another leads within ten seconds, and what the first had scheduled is not scheduled again."""
        with core_clock.using(core_clock.SystemClock()):
            connect_account("acct_1", "m1")
            with process("sentinel") as first:
                first.wait_for("sentinel.leads")
                assert "[SECURITY] Vault self-test passed: AES-256-GCM Active." in first.lines
                wait_until(lambda: len(keys()) == 2, what="a hunt and a pulse")
                with process("sentinel") as second:
                    second.wait_for("[SECURITY]")
                    if accident == "killed":
                        first.signal(signal.SIGKILL)
                    else:  # cut off: it cannot win the lock back before the other has it
                        first.signal(signal.SIGSTOP)
                    if accident == "cut off":
                        self._cut_off_the_leader(database)
                    second.wait_for("sentinel.leads", timeout=12)  # ten, and what a busy machine takes
                    first.signal(signal.SIGCONT)
                    if accident != "killed":
                        first.wait_for("sentinel.follows")
                    second.signal(signal.SIGTERM)
                    assert second.end(10) == 0
            assert len(keys()) == 2
        queue.disconnect()

    def _cut_off_the_leader(self, database):
        with psycopg.connect(database.admin_url, autocommit=True) as owner:
            owner.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted"
                " and database = (select oid from pg_database where datname = current_database())"
            )
