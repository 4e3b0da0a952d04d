"""What the janitor deletes, what it never may, and that it finds it by an index however much there is."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text

from core import db, true_time
from core.clock import ManualClock
from core.config import Mode, settings
from jobs import janitor
from services.handshake import repository as handshake
from services.tasks import upkeep_repository as tasks
from tests.support.database import WorkerDatabase

OLD, YOUNG = timedelta(days=30, seconds=1), timedelta(days=29, hours=23)

pytestmark = pytest.mark.usefixtures("database")


def receive(clock: ManualClock, prefix: str, number: int, ago: timedelta, *, handled: bool) -> None:
    with db.system_session() as session:
        session.execute(
            text(
                "insert into processed_events (id, source, type, livemode, received_at, handled_at, outcome)"
                " select concat(cast(:prefix as text), n), 'stripe', 'invoice.paid', false, cast(:at as timestamptz),"
                " case when :handled then cast(:at as timestamptz) end, '' from generate_series(1, :number) n"
            ),
            {"prefix": prefix, "number": number, "at": clock.now() - ago, "handled": handled},
        )


def events() -> dict[str, int]:
    """How many are left, by the first letter of their id."""
    with db.system_session() as session:
        rows = session.execute(text("select left(id, 1), count(*) from processed_events group by 1"))
        return {str(letter): int(number) for letter, number in rows}


class TestEvents:
    def test_handled_ones_go_after_thirty_days_and_unhandled_ones_never(self, clock: ManualClock) -> None:
        receive(clock, "h", 2 * janitor.BATCH + 7, OLD, handled=True)
        receive(clock, "u", 50, timedelta(days=400), handled=False)
        receive(clock, "y", 50, YOUNG, handled=True)
        assert janitor.prune()["events"] == 2 * janitor.BATCH + 7
        assert events() == {"u": 50, "y": 50}
        assert janitor.prune()["events"] == 0

    def test_what_nobody_could_handle_for_ninety_days_is_emptied_and_stays(self, clock: ManualClock) -> None:
        receive(clock, "u", 50, timedelta(days=90, seconds=1), handled=False)
        receive(clock, "w", 50, timedelta(days=89), handled=False)
        with db.system_session() as session:
            session.execute(text("update processed_events set payload = 'ada@example.com'"))
        assert janitor.prune()["given_up"] == 50
        clock.advance(timedelta(hours=1))
        pruned = janitor.prune()
        assert (pruned["given_up"], pruned["events"]) == (0, 0)
        with db.system_session() as session:
            left = session.execute(
                text(
                    "select left(id, 1), outcome, handled_at, payload is null, count(*)"
                    " from processed_events group by 1, 2, 3, 4 order by 1"
                )
            ).all()
        assert [tuple(row) for row in left] == [
            ("u", "given_up", clock.now() - timedelta(hours=1), True, 50),
            ("w", "", None, False, 50),
        ]

    def test_nothing_goes_while_the_clock_is_ahead_of_the_databases(
        self, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        live = settings().model_copy(update={"phantom_mode": Mode.LIVE})
        monkeypatch.setattr(true_time, "settings", lambda: live)
        clock.current = datetime.now(UTC) + timedelta(days=91)
        receive(clock, "h", 5, timedelta(days=91), handled=True)
        assert janitor.prune() == {}
        assert events() == {"h": 5}
        assert "janitor.clock_ahead" in caplog.messages
        clock.current = datetime.now(UTC) + timedelta(minutes=1)
        assert janitor.prune()["events"] == 0

    def test_a_round_is_bounded_and_the_next_goes_on(self, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(janitor, "BATCH", 10)
        monkeypatch.setattr(janitor, "MAX_BATCHES", 3)
        receive(clock, "h", 45, OLD, handled=True)
        assert [janitor.prune()["events"] for _ in range(3)] == [30, 15, 0]

    def test_two_janitors_at_once_delete_each_row_once(self, clock: ManualClock) -> None:
        receive(clock, "h", 30, OLD, handled=True)
        before = clock.now() - timedelta(days=30)
        with db.system_session() as first:
            assert handshake.prune(first, before=before, limit=20) == 20
            with db.system_session() as second:
                assert handshake.prune(second, before=before, limit=20) == 10
        assert events() == {}


class TestIndexes:
    """Among 20,000 young rows the old ones are found without looking at the others."""

    @pytest.fixture
    def full(self, database: WorkerDatabase, clock: ManualClock) -> None:
        receive(clock, "y", 20_000, YOUNG, handled=True)
        receive(clock, "h", 20, OLD, handled=True)
        with db.system_session() as session:
            session.execute(
                text(
                    "insert into scheduled_tasks (kind, state, run_at, created_at, finished_at, correlation_id)"
                    " select 'probe', 'done', :now, :now, :now, '' from generate_series(1, 20000)"
                ),
                {"now": clock.now()},
            )
        with psycopg.connect(database.admin_url, autocommit=True) as owner:
            owner.execute("analyze processed_events, scheduled_tasks")

    @pytest.mark.parametrize(
        ("statement", "table", "index"),
        [
            (handshake._PRUNE, "processed_events", "ix_processed_events_received"),
            (handshake._GIVE_UP, "processed_events", "ix_processed_events_unhandled"),
            (tasks._PRUNE_DONE, "scheduled_tasks", "ix_scheduled_tasks_finished"),
        ],
    )
    def test_pruning_scans_no_table(
        self, full: None, clock: ManualClock, statement: object, table: str, index: str
    ) -> None:
        with db.system_session() as session:
            plan = "\n".join(
                session.execute(
                    text(f"explain {statement}"),
                    {"before": clock.now() - timedelta(days=30), "limit": 1000, "now": clock.now()},
                ).scalars()
            )
        assert index in plan
        assert f"Seq Scan on {table}" not in plan
