"""Partitions of the logs: made ahead, dropped behind, and nothing lost, doubled or shown on the way."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, ProgrammingError

from core import db, ids, true_time
from core.clock import ManualClock
from core.config import Mode, settings
from core.ids import first_id_of
from jobs import janitor
from services.audit import partitions, service
from tests.support.database import WorkerDatabase

A = "mer_a"
BEGUN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # where the tests' clock stands
MARCH = ["system_logs_2026_03", "system_logs_2026_04", "system_logs_2026_05"]
# What an owner without special powers is: production's schema is not owned by a superuser.
PLAIN_OWNER = "phantom_plain_owner"


@pytest.fixture
def owner(database: WorkerDatabase) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    """The owner's connection; no partition but the default ones before and after the test."""
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        _without_partitions(connection)
        yield connection
        _without_partitions(connection)


def _without_partitions(connection: "psycopg.Connection[tuple[Any, ...]]") -> None:
    for table in partitions.TABLES:
        for name in children(connection, table):
            connection.execute(f"drop table {name}".encode())


def children(connection: "psycopg.Connection[tuple[Any, ...]]", table: str = "system_logs") -> list[str]:
    """Partitions besides the default one."""
    rows = connection.execute(
        "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass order by 1", (table,)
    )
    return [name for (name,) in rows if not name.endswith("_default")]


def keep(now: datetime, table: str = "system_logs") -> partitions.Kept:
    with db.system_session() as session:
        return partitions.keep(session, table, now)


def write(message: str) -> None:
    with db.tenant_session(A) as session:
        service.log_event(session, A, "probe.written", message)


def messages() -> list[str]:
    with db.tenant_session(A) as session:
        return [entry.message for entry in service.list_log(session, A)]


def home_of(owner: "psycopg.Connection[tuple[Any, ...]]", message: str) -> list[str]:
    rows = owner.execute("select tableoid::regclass::text from system_logs where message = %s", (message,))
    return [name for (name,) in rows]


class TestIds:
    @pytest.mark.parametrize(
        "moment",
        ["2026-03-02T09:00:00.123+00:00", "2000-01-01+00:00", "2099-12-31T23:59:59+00:00", "1960-01-01+00:00"],
    )
    def test_the_first_id_of_a_moment_is_the_same_in_the_database(self, database: WorkerDatabase, moment: str):
        when = datetime.fromisoformat(moment)
        with psycopg.connect(database.admin_url) as owner:
            assert owner.execute("select first_id_of('sl', %s)", (when,)).fetchone() == (first_id_of("sl", when),)

    def test_an_id_is_not_before_its_moments_first_and_before_the_next_ones(self, clock: ManualClock):
        made = ids.new_id("sl")
        assert first_id_of("sl", clock.now()) <= made < first_id_of("sl", clock.now() + timedelta(milliseconds=1))


class TestAhead:
    def test_two_months_are_there_before_they_begin(self, owner, clock: ManualClock):
        assert keep(clock.now()) == partitions.Kept(made=3)
        assert children(owner) == MARCH

    def test_years_for_what_is_kept_for_years(self, owner, clock: ManualClock):
        assert keep(clock.now(), "audit_log") == partitions.Kept(made=1)
        keep(datetime(2026, 11, 2, tzinfo=UTC), "audit_log")
        assert children(owner, "audit_log") == ["audit_log_2026_01", "audit_log_2027_01"]

    def test_a_second_time_does_nothing(self, owner, clock: ManualClock):
        keep(clock.now())
        assert keep(clock.now()) == partitions.Kept()

    def test_the_sentinels_round_keeps_all_of_them(self, owner, clock: ManualClock):
        with db.system_session() as session:
            assert "system_logs_2026_03" in partitions.missing(session, clock.now())
        janitor.prune()
        with db.system_session() as session:
            assert partitions.missing(session, clock.now()) == []
        assert [len(children(owner, table)) for table in partitions.TABLES] == [3, 3, 1]

    def test_a_line_lands_in_its_month(self, owner, clock: ManualClock):
        keep(clock.now())
        write("here")
        assert home_of(owner, "here") == ["system_logs_2026_03"]

    def test_the_last_millisecond_of_a_month_is_the_old_month(self, owner, clock: ManualClock):
        keep(clock.now())
        clock.current = datetime(2026, 3, 31, 23, 59, 59, 999000, tzinfo=UTC)
        write("old year's eve")
        clock.advance(timedelta(milliseconds=1))
        write("new year")
        assert home_of(owner, "old year's eve") == ["system_logs_2026_03"]
        assert home_of(owner, "new year") == ["system_logs_2026_04"]

    def test_vacuum_settings_of_the_activity_ledger_are_on_each_partition(self, owner, clock: ManualClock):
        keep(clock.now(), "usage_logs")
        rows = owner.execute(
            "select reloptions from pg_class where oid in"
            " (select inhrelid from pg_inherits where inhparent = 'usage_logs'::regclass)"
        ).fetchall()
        assert len(rows) == 4
        assert all("autovacuum_vacuum_scale_factor=0.05" in options for (options,) in rows)

    def test_two_sentinels_at_once_make_each_partition_once(self, owner, clock: ManualClock):
        results: list[partitions.Kept] = []
        together = threading.Barrier(2)

        def sentinel() -> None:
            together.wait()
            results.append(keep(clock.now()))

        threads = [threading.Thread(target=sentinel) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(result.made for result in results) == 3
        assert children(owner) == MARCH

    def test_while_another_sentinel_is_at_it_a_table_is_left_alone(self, owner, clock: ManualClock):
        with db.system_session() as first:
            assert partitions.keep(first, "system_logs", clock.now()).made == 3
            assert keep(clock.now()) == partitions.Kept(busy=True)


class TestStrays:
    """Rows that found no partition: written before the first round, or while nobody kept them."""

    def test_are_seen_before_and_after_they_are_moved(self, owner, clock: ManualClock):
        write("early")
        assert home_of(owner, "early") == ["system_logs_default"]
        assert messages() == ["early"]
        assert keep(clock.now()).made == 3
        assert home_of(owner, "early") == ["system_logs_2026_03"]
        assert messages() == ["early"]

    def test_of_months_ago_get_their_month(self, owner, clock: ManualClock):
        write("long ago")
        clock.advance(timedelta(days=62))
        write("now")
        assert keep(clock.now()).made == 4
        assert children(owner) == [
            "system_logs_2026_03",
            "system_logs_2026_05",
            "system_logs_2026_06",
            "system_logs_2026_07",
        ]
        assert messages() == ["now", "long ago"]

    def test_past_their_time_are_deleted(self, owner, clock: ManualClock):
        write("ancient")
        clock.advance(timedelta(days=200))
        keep(clock.now())
        assert home_of(owner, "ancient") == []

    def test_of_the_future_stay_until_their_month_is_made(self, owner, clock: ManualClock):
        clock.advance(timedelta(days=150))
        write("from a clock that jumped")
        clock.advance(timedelta(days=-150))
        keep(clock.now())
        assert home_of(owner, "from a clock that jumped") == ["system_logs_default"]
        clock.advance(timedelta(days=120))
        keep(clock.now())
        assert home_of(owner, "from a clock that jumped") == ["system_logs_2026_07"]

    def test_leave_an_empty_default_partition_and_forced_security(self, owner, clock: ManualClock):
        write("early")
        keep(clock.now())
        row = owner.execute(
            "select pg_relation_size(oid), relforcerowsecurity from pg_class where relname = 'system_logs_default'"
        ).fetchone()
        assert row == (0, True)

    def test_are_moved_by_an_owner_whom_forced_security_binds(self, owner, clock: ManualClock):
        write("early")
        owner.execute(f"create role {PLAIN_OWNER}".encode())
        former = owner.execute("select current_user").fetchone()
        try:
            owner.execute(f"grant create, usage on schema public to {PLAIN_OWNER}".encode())
            names = ("table system_logs", "table system_logs_default", "function keep_partitions(text, timestamptz)")
            for name in names:
                owner.execute(f"alter {name} owner to {PLAIN_OWNER}".encode())
            assert keep(clock.now()) == partitions.Kept(made=3)
            assert home_of(owner, "early") == ["system_logs_2026_03"]
        finally:
            assert former is not None
            owner.execute(f"reassign owned by {PLAIN_OWNER} to {former[0]}".encode())
            owner.execute(f"drop owned by {PLAIN_OWNER}".encode())
            owner.execute(f"drop role {PLAIN_OWNER}".encode())


class TestBehind:
    def test_a_month_goes_whole_once_all_in_it_is_past_its_time(self, owner, clock: ManualClock):
        keep(clock.now())
        write("in March")
        clock.current = datetime(2026, 6, 29, 12, 0, tzinfo=UTC)  # 90 days after 31 March, 12:00
        assert keep(clock.now()).dropped == 0
        assert home_of(owner, "in March") == ["system_logs_2026_03"]
        clock.advance(timedelta(days=1))
        assert keep(clock.now()).dropped == 1
        assert "system_logs_2026_03" not in children(owner)
        assert home_of(owner, "in March") == []

    def test_the_audit_log_outlives_the_live_one(self, owner, clock: ManualClock):
        keep(clock.now(), "audit_log")
        keep(clock.now() + timedelta(days=200), "audit_log")
        assert "audit_log_2026_01" in children(owner, "audit_log")

    def test_a_busy_table_is_tried_again_later(self, owner, clock: ManualClock):
        keep(clock.now())
        clock.advance(timedelta(days=150))
        with db.tenant_session(A) as reader:
            march = {"first": first_id_of("sl", BEGUN), "before": first_id_of("sl", BEGUN + timedelta(days=1))}
            reader.execute(text("select from system_logs where id >= :first and id < :before"), march)
            kept = keep(clock.now())
            assert (kept.made, kept.dropped, kept.busy) == (3, 0, True)
        assert keep(clock.now()).dropped == 2


class TestRights:
    def test_the_function_takes_no_table_of_a_strangers_choice(self, owner, clock: ManualClock):
        for table in ("recoveries", "system_logs; drop table users", ""):
            with pytest.raises(DBAPIError, match="no partitions are kept"):
                keep(clock.now(), table)

    def test_no_clock_can_hurry_the_end_of_everything(self, owner, clock: ManualClock):
        with pytest.raises(DBAPIError, match="no clock may say"):
            keep(datetime.now(UTC) + timedelta(days=400))

    @pytest.mark.parametrize(
        ("table", "moment"),
        [
            ("audit_log", "1976-01-01"),  # seven years before it there was no 1970
            *((table, moment) for table in partitions.TABLES for moment in ("1970-06-01", "1960-01-01", "-infinity")),
        ],
    )
    def test_no_clock_before_there_were_ids_empties_a_table(self, owner, clock: ManualClock, table: str, moment: str):
        write("stays")
        with pytest.raises(DBAPIError, match="no clock may say"), db.system_session() as session:
            session.execute(
                text("select keep_partitions(:table, cast(:moment as timestamptz))"), {"table": table, "moment": moment}
            )
        assert messages() == ["stays"]

    def test_a_partition_is_not_dropped_by_a_clock_ahead_of_the_databases(
        self, owner, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ):
        live = settings().model_copy(update={"phantom_mode": Mode.LIVE})
        monkeypatch.setattr(true_time, "settings", lambda: live)
        clock.current = datetime.now(UTC)
        keep(clock.now())
        before = children(owner)
        with pytest.raises(true_time.ClockAheadError):
            keep(clock.now() + timedelta(days=150))
        assert children(owner) == before

    def test_the_application_may_not_call_it(self, owner, clock: ManualClock):
        with pytest.raises(ProgrammingError, match="permission denied"), db.tenant_session(A) as session:
            partitions.keep(session, "system_logs", clock.now())

    def test_the_system_login_may_do_nothing_else_to_the_tables(self, owner, clock: ManualClock):
        keep(clock.now())
        for statement in ("drop table system_logs_2026_03", "select from system_logs", "truncate system_logs_default"):
            with (
                pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
                db.system_session() as session,
            ):
                session.execute(text(statement))


class TestReading:
    def test_the_live_log_touches_its_ninety_days_alone(self, owner, clock: ManualClock):
        for _ in range(8):
            keep(clock.now())
            write(f"{clock.now():%B}")
            clock.advance(timedelta(days=30))
        first, last = (first_id_of("sl", datetime(2025, month, 1, tzinfo=UTC)) for month in (9, 10))
        owner.execute(  # as if nothing had been dropped for a year
            "create table system_logs_2025_09 partition of system_logs"
            f" for values from ('{first}') to ('{last}')".encode()
        )
        with db.tenant_session(A) as session:
            plan = "\n".join(
                session.execute(
                    text(
                        "explain select * from system_logs where merchant_id = :merchant"
                        " and id >= :first and id < :before order by id desc limit 100"
                    ),
                    {
                        "merchant": A,
                        "first": first_id_of("sl", clock.now() - service.LOG_SHOWN),
                        "before": first_id_of("sl", clock.now() + service.CLOCKS_APART),
                    },
                ).scalars()
            )
        touched = {
            name for name in [*children(owner), "system_logs_default"] if f" {name} " in plan or f"{name}_pkey" in plan
        }
        assert touched == {f"system_logs_2026_{month:02d}" for month in (7, 8, 9, 10)}
        assert "Seq Scan" not in plan
        assert "Sort" not in plan  # the key's own order
