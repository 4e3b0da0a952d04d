"""What an operator's monitoring sees of queue, intake, hunts and leader, and what it sees without PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import Session

from core import db, metrics
from core.clock import ManualClock
from core.embedded.process import free_port
from core.locks import lock_key
from services.operations import repository
from services.operations import service as operations
from services.operations.schemas import Platform, Queued
from services.tasks import depth
from services.tasks.claim_repository import walk_indexes
from services.tasks.schedules import HUNT, SENTINEL_LOCK, slot_key, slot_of
from tests.services.handshake.support import ACCOUNT, MERCHANT, connect_account
from tests.services.tasks.support import claim, put
from tests.support.database import WorkerDatabase

pytestmark = pytest.mark.usefixtures("database", "redis_url")


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    operations.forget()
    yield
    operations.forget()


def read() -> operations.Platform:
    with db.system_session() as session:
        return operations.read_platform(session)


def gauges() -> dict[str, float]:
    """The samples of the text that tell of now; what is counted, and what runs here, left out."""
    samples = (line.rpartition(" ") for line in operations.exposition().decode().splitlines() if line[0] != "#")
    others = ("phantom_info", *(family.name.removesuffix("_total") for family in metrics.CATALOGUE))
    return {name: float(value) for name, _, value in samples if not name.startswith(others)}


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
        assert found.oldest_seconds == {"quick": 40, "long": 10}
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
        assert "phantom_readings_complete 1.0" in shown
        assert "phantom_dead_letters 0.0" in shown


def _pending(tasks: int, clock: ManualClock, *, merchants: int = 1, due: bool = True, late: float = 60) -> None:
    run(
        "insert into scheduled_tasks (state, kind, merchant_id, priority, run_at, due, created_at, correlation_id)"
        " select 'pending', 'send_message', 'm' || n % :merchants, 10 * (n % 3), :run_at, :due, :now, ''"
        " from generate_series(1, :tasks) n",
        tasks=tasks,
        merchants=merchants,
        due=due,
        run_at=clock.now() - timedelta(seconds=late),
        now=clock.now(),
    )


class TestLongQueue:
    """Metrics tell of a long queue just as fast as of a short one."""

    @pytest.fixture(autouse=True)
    def _few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(operations, "COUNTED", 100)

    def test_counts_end_and_the_oldest_is_found_all_the_same(self, clock: ManualClock) -> None:
        _pending(3000, clock)
        _pending(500, clock, due=False, late=-3600)
        put("send_message", merchant_id="m9", run_at=clock.now() - timedelta(hours=1))
        put("handle_event", merchant_id="z", run_at=clock.now() - timedelta(minutes=5), priority=-10)
        found = read()
        assert [(each.kind, each.waiting, each.due) for each in found.queued] == [("send_message", 200, 100)]
        assert found.oldest_seconds == {"quick": 3600}

    def test_what_is_due_and_was_not_noticed_counts(self, clock: ManualClock) -> None:
        _pending(50, clock, due=False, late=90)
        assert (read().queued[0].due, read().oldest_seconds) == (50, {"quick": 90})

    def test_dead_letters_and_events_end_too(self, clock: ManualClock) -> None:
        _pending(300, clock)
        run("update scheduled_tasks set state = 'dead'")
        run(
            "insert into processed_events (id, source, type, livemode, received_at, outcome)"
            " select 'evt_' || n, 'stripe', 'invoice.paid', false, :now - n * interval '1 second', ''"
            " from generate_series(1, 300) n",
            now=clock.now(),
        )
        found = read()
        assert (found.dead, found.unhandled_events, found.intake_lag_seconds) == ({"send_message": 100}, 100, 300)

    def test_no_statement_reads_more_than_it_tells(self, clock: ManualClock, database: WorkerDatabase) -> None:
        _owner(database, "analyze scheduled_tasks")  # of an empty table: the planner expects nothing
        _pending(20_000, clock, merchants=10)
        _pending(20_000, clock, due=False, late=-3600)
        read_rows = 0
        for statement in (depth._WAITING, depth._OLDEST):
            with db.system_session() as session:
                walk_indexes(session)
                values = {"lanes": ["quick", "long"], "now": clock.now(), "most": 100}
                [plan] = session.execute(text(f"explain (analyze, format json) {statement.text}"), values).scalar_one()
            for scan in _scans(plan["Plan"]):
                assert scan.get("Rows Removed by Filter", 0) == 0
                read_rows += scan["Actual Rows"] * scan["Actual Loops"]
        assert 0 < read_rows < 400  # of 40,000

    def test_a_question_that_took_too_long_is_no_database_away(
        self, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def slow(session: Session, _most: int) -> None:
            session.execute(text("set local statement_timeout = 1"))
            session.execute(text("select pg_sleep(60)"))

        monkeypatch.setattr(repository, "unhandled", slow)
        shown = operations.exposition().decode()
        assert "phantom_database_up 1.0" in shown
        assert "phantom_readings_complete 0.0" in shown
        assert "phantom_queue_due" not in shown


def _owner(database: WorkerDatabase, statement: LiteralString) -> None:
    with psycopg.connect(database.admin_url, autocommit=True) as owner:
        owner.execute(statement)


def _scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if plan.get("Relation Name") == "scheduled_tasks":
        yield plan
    for child in plan.get("Plans", ()):
        yield from _scans(child)


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


class TestText:
    def test_every_sample_is_its_own_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = Platform(
            queued=(
                Queued("handle_event", "quick", waiting=101, due=11),
                Queued("send_message", "quick", waiting=103, due=13),
                Queued("hunt", "long", waiting=107, due=17),
            ),
            oldest_seconds={"quick": 19.5, "long": 23.25},
            running={"send_message": 29, "hunt": 31},
            dead={"send_message": 37, "hunt": 41},
            unhandled_events=43,
            intake_lag_seconds=47.5,
            connected_accounts=53,
            hunt_lag_seconds=59.75,
            leaders=2,
        )
        monkeypatch.setattr(operations, "read_platform", lambda _session: found)
        assert gauges() == {
            "phantom_database_up": 1,
            "phantom_readings_complete": 1,
            'phantom_queue_due{lane="quick"}': 24,
            'phantom_queue_due{lane="long"}': 17,
            'phantom_queue_oldest_seconds{lane="quick"}': 19.5,
            'phantom_queue_oldest_seconds{lane="long"}': 23.25,
            'phantom_tasks_waiting{kind="handle_event"}': 101,
            'phantom_tasks_waiting{kind="send_message"}': 103,
            'phantom_tasks_waiting{kind="hunt"}': 107,
            'phantom_tasks_running{kind="send_message"}': 29,
            'phantom_tasks_running{kind="hunt"}': 31,
            'phantom_tasks_dead{kind="send_message"}': 37,
            'phantom_tasks_dead{kind="hunt"}': 41,
            "phantom_dead_letters": 78,
            "phantom_intake_unhandled": 43,
            "phantom_intake_lag_seconds": 47.5,
            "phantom_connected_merchants": 53,
            "phantom_hunt_lag_seconds": 59.75,
            "phantom_leader": 2,
        }


class TestWithoutPostgres:
    def test_only_its_readings_are_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nowhere = db.make_engine(f"postgresql+psycopg://nobody:x@127.0.0.1:{free_port()}/phantom")
        monkeypatch.setattr(db, "system_engine", lambda: nowhere)
        shown = operations.exposition().decode()
        assert "phantom_database_up 0.0" in shown
        assert "phantom_readings_complete 0.0" in shown
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
