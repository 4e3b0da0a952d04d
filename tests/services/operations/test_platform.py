"""What an operator's monitoring sees of queue, intake, hunts and leader, and what it sees without PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from core import db
from core.clock import ManualClock
from core.embedded.process import free_port
from core.locks import lock_key
from services.operations import service as operations
from services.tasks.schedules import HUNT, SENTINEL_LOCK, slot_key, slot_of
from tests.services.handshake.support import ACCOUNT, MERCHANT, connect_account
from tests.services.tasks.support import claim, put

pytestmark = pytest.mark.usefixtures("database", "redis_url")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    operations.forget()
    yield
    operations.forget()


def read() -> operations.Platform:
    with db.system_session() as session:
        return operations.read_platform(session)


def run(statement: str, **parameters: object) -> None:
    with db.system_session() as session:
        session.execute(text(statement), parameters)


class TestQueue:
    def test_what_waits_runs_and_is_dead(self, clock: ManualClock) -> None:
        put("handle_event")
        clock.advance(timedelta(seconds=30))
        put("handle_event", run_at=clock.now() + timedelta(hours=1))
        put("hunt")
        clock.advance(timedelta(seconds=10))
        found = read()
        by_kind = {each.kind: each for each in found.queued}
        assert (by_kind["handle_event"].waiting, by_kind["handle_event"].due) == (2, 1)
        assert (by_kind["handle_event"].oldest_seconds, by_kind["hunt"].oldest_seconds) == (40, 10)
        assert len(claim(1)) == 1
        run("update scheduled_tasks set state = 'dead' where kind = 'hunt'")
        found = read()
        assert (found.running, found.dead) == ({"handle_event": 1}, {"hunt": 1})

    def test_lanes_of_the_text(self, clock: ManualClock) -> None:
        put("hunt")
        clock.advance(timedelta(seconds=5))
        shown = operations.exposition().decode()
        assert 'phantom_queue_oldest_seconds{lane="long"} 5.0' in shown
        assert 'phantom_queue_due{lane="quick"} 0.0' in shown
        assert "phantom_database_up 1.0" in shown
        assert "phantom_dead_letters 0.0" in shown


class TestIntake:
    def test_lag_is_the_oldest_unhandled_events_age(self, clock: ManualClock) -> None:
        now = clock.now()
        for name, minutes, handled in (("old", 60, now), ("late", 10, None), ("new", 1, None)):
            run(
                "insert into processed_events (id, source, type, livemode, received_at, handled_at, outcome)"
                " values (:id, 'stripe', 'invoice.paid', false, :received, :handled, '')",
                id=name,
                received=now - timedelta(minutes=minutes),
                handled=handled,
            )
        assert (read().unhandled_events, read().intake_lag_seconds) == (2, 600)


class TestHuntLag:
    def hunted(self, merchant: str, hours_ago: float, clock: ManualClock) -> None:
        done = clock.now() - timedelta(hours=hours_ago)
        task = put("hunt", merchant_id=merchant, key=slot_key("hunt", merchant, slot_of(done, HUNT.every)))
        run("update scheduled_tasks set state = 'done', finished_at = :done where id = :id", done=done, id=task)

    def test_nobody_connected(self) -> None:
        assert (read().connected_accounts, read().hunt_lag_seconds) == (0, None)
        assert "phantom_hunt_lag_seconds" not in operations.exposition().decode()

    def test_who_waits_longest_decides(self, clock: ManualClock) -> None:
        clock.advance(timedelta(days=10))
        connect_account(ACCOUNT, MERCHANT)
        connect_account("acct_other", "mer_other")
        clock.advance(timedelta(days=2))
        self.hunted(MERCHANT, 1, clock)
        self.hunted("mer_other", 20, clock)
        self.hunted("mer_other", 30, clock)
        assert (read().connected_accounts, read().hunt_lag_seconds) == (2, 20 * 3600)

    def test_who_was_never_hunted_waits_since_the_connection(self, clock: ManualClock) -> None:
        connect_account()
        run("update stripe_accounts set connected_at = :now", now=clock.now())
        clock.advance(timedelta(hours=3))
        assert read().hunt_lag_seconds == 3 * 3600
        clock.advance(timedelta(days=9))
        assert read().hunt_lag_seconds == 48 * 3600


class TestLeader:
    def test_is_who_holds_the_lock(self) -> None:
        assert read().leaders == 0
        with db.system_engine().connect() as leader:
            leader.execute(text("select pg_advisory_lock(:key)"), {"key": lock_key(SENTINEL_LOCK)})
            assert read().leaders == 1
            leader.execute(text("select pg_advisory_unlock_all()"))
        assert read().leaders == 0


class TestWithoutPostgres:
    def test_only_its_readings_are_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nowhere = db.make_engine(f"postgresql+psycopg://nobody:x@127.0.0.1:{free_port()}/phantom")
        monkeypatch.setattr(db, "system_engine", lambda: nowhere)
        shown = operations.exposition().decode()
        assert "phantom_database_up 0.0" in shown
        assert "phantom_info{" in shown
        assert "phantom_queue_due" not in shown

    def test_a_burst_of_scrapes_asks_once(self, clock: ManualClock) -> None:
        put("handle_event")
        first = operations.exposition().decode()
        put("handle_event")
        assert 'phantom_queue_due{lane="quick"} 1.0' in first
        assert 'phantom_queue_due{lane="quick"} 1.0' in operations.exposition().decode()
        operations.forget()
        assert 'phantom_queue_due{lane="quick"} 2.0' in operations.exposition().decode()
