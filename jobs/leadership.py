"""One Sentinel of any number leads: whoever holds an advisory lock of a PostgreSQL session."""

import contextlib
import logging
from typing import Any

import psycopg

from core.config import settings
from core.locks import lock_key
from services.tasks.schedules import SENTINEL_LOCK

# The server ends a session that is silent for eight seconds (a leader that hangs, or whose machine is gone), and
# with it the lock: leadership changes hands within ten.
_OPTIONS = (
    "-c idle_session_timeout=8000 -c statement_timeout=3000"
    " -c tcp_keepalives_idle=3 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=2"
)
# No table of ours is touched, hence no repository.
_TAKE = "select pg_try_advisory_lock(%s)"
_HOLDS = """
select exists (
    select from pg_locks
    where locktype = 'advisory' and granted and pid = pg_backend_pid() and objsubid = 1
        and database = (select oid from pg_database where datname = current_database())
        and (classid::bigint << 32 | objid::bigint) = %s)
"""

log = logging.getLogger(__name__)


class Leadership:
    """Asked once a second: `held` takes the lock when it is free and proves it when it was taken."""

    def __init__(self, name: str = SENTINEL_LOCK) -> None:
        self._key = lock_key(name)
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._leads = False

    def held(self) -> bool:
        """Whether this process leads now. A connection that broke is made anew; then it has to win again."""
        led = self._leads
        try:
            self._leads = self._ask(_HOLDS if led else _TAKE)
        except psycopg.OperationalError as error:
            self._leads = False
            self._drop()
            if led:
                log.warning("sentinel.connection_lost", extra={"facts": {"error": type(error).__name__}})
        if self._leads is not led:
            log.info("sentinel.leads" if self._leads else "sentinel.follows")
        return self._leads

    def release(self) -> None:
        """Let another lead."""
        self._leads = False
        self._drop()

    def _ask(self, question: str) -> bool:
        if self._connection is None:
            self._connection = psycopg.connect(
                settings().database_system_url.get_secret_value().replace("+psycopg", "", 1),
                autocommit=True,
                connect_timeout=3,
                tcp_user_timeout=5000,
                application_name="phantom-sentinel",
                options=_OPTIONS,
            )
        row = self._connection.execute(question.encode(), (self._key,)).fetchone()
        return bool(row and row[0])

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None
