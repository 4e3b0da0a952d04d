"""A migrated database for every worker: one template a run, a clone a worker, emptied after each test that wrote."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from cli.logins import Logins, ensure_logins
from cli.migrations import migrate
from core import db
from tests.support import environment
from tests.support.servers import RunServers

TEMPLATE = "phantom_template"
_TABLES = """
    select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'public' and not c.relispartition and c.relkind in ('r', 'p') order by 1"""


def _owner(servers: RunServers, database: str) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(servers.url(database, "phantom_owner"), autocommit=True)


@contextlib.contextmanager
def _once_a_run(servers: RunServers) -> Iterator[bool]:
    """Hold the run's lock; true for the one worker that has to make the template."""
    marker = Path(servers.folder) / "template.ready"
    with (Path(servers.folder) / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if marker.exists():
            yield False
        else:
            yield True
            marker.touch()


def make_template(servers: RunServers) -> None:
    """Roles and schema, by the same code `phantom migrate` runs; the first worker that needs a database does it."""
    servers.wait_for_postgres()
    with _once_a_run(servers) as first:
        if not first:
            return
        logins = Logins.of_urls(
            *(servers.url(TEMPLATE, user) for user in ("phantom_owner", "phantom_app", "phantom_system"))
        )
        ensure_logins(logins, maintenance_url=servers.url("postgres", "phantom_owner"))
        with environment.changed(DATABASE_ADMIN_URL=logins.owner.url):
            migrate(logins)


def clone(servers: RunServers, name: str) -> None:
    """A fresh database from the template (22 ms with `wal_log`)."""
    make_template(servers)
    with _owner(servers, "postgres") as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        connection.execute(
            sql.SQL("create database {} template {} strategy wal_log").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE)
            )
        )


@dataclass
class WorkerDatabase:
    """This worker's clone. `name` is fixed from the start, the database is made when a test first asks."""

    servers: RunServers
    name: str
    _connection: "psycopg.Connection[tuple[object, ...]] | None" = None
    _tables: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.servers.url(self.name, "phantom_app")

    @property
    def system_url(self) -> str:
        return self.servers.url(self.name, "phantom_system")

    @property
    def admin_url(self) -> str:
        return self.servers.url(self.name, "phantom_owner")

    def prepare(self) -> None:
        """Make the clone on first use. Tables the migrations themselves filled are reference data and stay."""
        if self._connection is None:
            clone(self.servers, self.name)
            self._connection = _owner(self.servers, self.name)
            self._connection.execute("set session_replication_role = replica")  # no foreign keys, no append-only guard
            self._connection.execute("set lock_timeout = '2s'")
            every = [str(row[0]) for row in self._connection.execute(_TABLES)]
            filled = set(self._filled(every))
            self._tables = [table for table in every if table not in filled]

    def _filled(self, tables: list[str]) -> list[str]:
        if not tables or self._connection is None:
            return []
        query = " union all ".join(
            f"select '{table}' where exists (select from {table})"  # noqa: S608  # names out of the catalogue
            for table in tables
        )
        return [str(row[0]) for row in self._connection.execute(query.encode())]

    def empty(self) -> None:
        """Delete what a test left. Deleting a few rows is far quicker than truncating forty tables."""
        if self._connection is None:
            return
        for attempt in (1, 2):
            try:
                for table in self._filled(self._tables):
                    self._connection.execute(f"delete from {table}".encode())  # noqa: S608
            except psycopg.errors.LockNotAvailable:
                if attempt == 2:
                    raise
                self._end_other_sessions()  # a test left a transaction open
            else:
                return

    def _end_other_sessions(self) -> None:
        if self._connection is not None:
            self._connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )

    def close(self) -> None:
        db.dispose()
        if self._connection is not None:
            self._connection.close()


def worker_name() -> str:
    return os.environ.get("PYTEST_XDIST_WORKER", "main")
