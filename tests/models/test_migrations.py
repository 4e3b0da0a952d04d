"""Migrations that move rows: none is lost on the way up or down, under the walls that bind the owner too."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from alembic.config import Config

from alembic import command
from cli.paths import ROOT
from tests.support import environment
from tests.support.database import clone, worker_name
from tests.support.servers import RunServers

LOGS = ("system_logs", "audit_log")


@pytest.fixture
def database_of_its_own(run_servers: RunServers) -> Iterator[str]:
    """The owner's address of a fresh, migrated database that a test may migrate down."""
    name = f"phantom_migrations_{worker_name()}"
    clone(run_servers, name)
    yield run_servers.url(name, "phantom_owner")
    with psycopg.connect(run_servers.url("postgres", "phantom_owner"), autocommit=True) as owner:
        owner.execute(f"drop database {name}".encode())


def migrate(url: str, revision: str) -> None:
    with environment.changed(DATABASE_ADMIN_URL=url):
        config = Config(ROOT / "alembic.ini")
        (command.upgrade if revision == "head" else command.downgrade)(config, revision)


def lines(url: str, table: str) -> list[str]:
    with psycopg.connect(url) as owner:
        return [str(name) for (name,) in owner.execute(f"select id from {table} order by id".encode())]  # noqa: S608


def test_partitioning_keeps_every_line_of_the_logs(database_of_its_own: str) -> None:
    url = database_of_its_own
    migrate(url, "0006")
    with psycopg.connect(url) as owner:
        owner.execute(
            "insert into system_logs (merchant_id, id, level, event, message, occurred_at)"
            " select 'mer_a', 'sl_' || n, 'info', 'probe', '', now() from generate_series(1, 3) n"
        )
        owner.execute(
            "insert into audit_log (merchant_id, id, actor_id, action, target, occurred_at)"
            " select 'mer_a', 'al_' || n, '', 'probe', '', now() from generate_series(1, 3) n"
        )
    before = {table: lines(url, table) for table in LOGS}
    migrate(url, "head")
    assert {table: lines(url, table) for table in LOGS} == before
    migrate(url, "0006")
    assert {table: lines(url, table) for table in LOGS} == before
    assert all(len(ids) == 3 for ids in before.values())


FUNNEL = ("ghost_targets", "messages", "clicks", "daily_metrics")
ON_PROTECTION = 6
FOUND = (  # kind, state, messages, hours until the first click and the payment
    ("failed", "open", 0, None, None),
    ("failed", "recovered", 1, None, 5),
    ("failed", "clicked", 2, 4, None),
    ("failed", "recovered", 2, 4, 5),
    ("failed", "recovered", 2, 6, 5),
    ("failed", "reversed", 2, 4, 5),
    ("failed", "recovered", 1, 4, 5),  # clicked on what was said before the failure
    ("impending", "impending", 0, 4, None),
)


def test_the_funnel_is_counted_for_whom_was_there_before(database_of_its_own: str) -> None:
    """Steps of ghosts and sums of days: who clicked before the failure, or after the payment, is taken out again."""
    url = database_of_its_own
    migrate(url, "0028")
    with psycopg.connect(url) as owner, unwalled(owner):
        for number, (kind, state, sent, clicked, paid) in enumerate(FOUND):
            ghost = {"id": f"gh_{number}", "kind": kind, "state": state, "invoice_id": f"in_{number}"}
            moments = {"found_on": "2026-01-01", "clicked_at": at(clicked), "closed_at": at(paid)}
            add(owner, "ghost_targets", **ghost, **moments, currency="usd", messages_sent=sent)
            if clicked is not None:
                mine = {"ghost_id": f"gh_{number}"}
                message = f"msg_{number}"
                step = int(number != ON_PROTECTION)
                add(owner, "messages", **mine, id=message, step=step, idempotency_key=message)
                add(owner, "clicks", **mine, id=f"clk_{number}", message_id=message, confirmed_at=at(clicked))
        day = {"currency": "usd", "day": "2026-01-01"}
        for shard, counted in ((3, 2), (9, 3)):
            sums = {"cohort_messaged_count": counted, "cohort_clicked_count": counted}
            add(owner, "daily_metrics", **day, shard=shard, **sums)
    migrate(url, "head")
    with psycopg.connect(url) as owner, unwalled(owner):
        steps = owner.execute("select funnel_step from ghost_targets order by id").fetchall()
        told = owner.execute(
            "select sum(cohort_messaged_count), sum(cohort_clicked_count), sum(cohort_clicked_recovered_count)"
            " from daily_metrics"
        ).fetchone()
    assert [step for (step,) in steps] == [0, 1, 2, 3, 2, 2, 1, 0]
    assert told == (6, 4, 1)
    migrate(url, "0028")
    with psycopg.connect(url) as owner, unwalled(owner):
        assert owner.execute("select sum(cohort_clicked_count) from daily_metrics").fetchone() == (4,)


LEDGER = (  # kind, day, mechanism, amount
    ("recovered", "2026-01-01 23:59", "click", 4000),
    ("recovered", "2026-01-01 00:00", "message", 1000),
    ("credited", "2026-01-01 23:59", "click", -4000),
    ("credited", "2026-01-01 23:59", "own_attempt", 4000),
    ("reversed", "2026-01-01 12:00", "own_attempt", -500),
    ("recovered", "2026-01-02 00:00", "message", 0),
    ("protected", "2026-01-02 12:00", "click", 700),
    ("protected", "2026-01-02 13:00", "click", -700),
)


def test_merit_is_added_up_for_what_was_there_before(database_of_its_own: str) -> None:
    url = database_of_its_own
    migrate(url, "0034")
    with psycopg.connect(url) as owner, unwalled(owner, ("recoveries",)):
        for number, (kind, moment, mechanism, amount) in enumerate(LEDGER):
            row = {"id": f"rc_{number}", "kind": kind, "source_id": str(number), "mechanism": mechanism}
            add(owner, "recoveries", **row, occurred_at=f"{moment}+00", amount_cents=amount, currency="usd")
    migrate(url, "head")
    with psycopg.connect(url) as owner, unwalled(owner, ("daily_merits",)):
        rows = owner.execute(
            "select day::text, kind, mechanism, amount_cents, times from daily_merits order by 1, 2, 3"
        ).fetchall()
    assert rows == [
        ("2026-01-01", "recovered", "click", 0, 0),
        ("2026-01-01", "recovered", "message", 1000, 1),
        ("2026-01-01", "recovered", "own_attempt", 4000, 1),
        ("2026-01-02", "failed", "click", -700, 1),
        ("2026-01-02", "protected", "click", 700, 1),
        ("2026-01-02", "recovered", "message", 0, 1),
    ]
    migrate(url, "0034")


@contextmanager
def unwalled(owner: "psycopg.Connection[Any]", tables: Sequence[str] = FUNNEL) -> Iterator[None]:
    """The owner sees the rows that row-level security keeps from it as well."""
    for table in tables:
        owner.execute(f"alter table {table} no force row level security".encode())
    yield
    for table in tables:
        owner.execute(f"alter table {table} force row level security".encode())


def add(owner: "psycopg.Connection[Any]", table: str, **values: Any) -> None:
    """A row of merchant A with these values, and something in what else must be there."""
    needed = owner.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_name = %s and is_nullable = 'NO' and column_default is null",
        [table],
    ).fetchall()
    anything = {"boolean": False, "timestamp with time zone": at(0), "integer": 0, "smallint": 0, "bigint": 0}
    row = {name: anything.get(kind, "") for name, kind in needed} | {"merchant_id": "mer_a"} | values
    names, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    owner.execute(f"insert into {table} ({names}) values ({places})".encode(), row)  # noqa: S608  # names of columns


def at(hour: int | None) -> str | None:
    return None if hour is None else f"2026-01-02 0{hour}:00+00"
