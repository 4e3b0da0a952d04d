"""Migrations that move rows: none is lost on the way up or down, under the walls that bind the owner too."""

from collections.abc import Iterator

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
