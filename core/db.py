"""Engines and sessions for the three database logins.

The owner login only migrates. The application login works on tenant tables, for one merchant at a time: each
transaction carries `app.merchant_id`, which the row-level policies compare. The system login sees the
platform's own tables and no tenant table. A block commits when it ends and rolls back when it raises: blocks are
opened by boundaries (request, job, command) only.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, PoolProxiedConnection, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import SessionTransaction
from sqlalchemy.pool import Pool
from sqlmodel import Session

from core import rows
from core.config import settings

_SERVER_OPTIONS = (
    "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000 -c timezone=UTC"
    # Our own transactions hold locks for milliseconds. Who waits ten seconds waits for a process that was stopped or
    # a person who forgot a session: better to give up and come again than to keep everything behind us waiting.
    " -c lock_timeout=10000"
    # A client whose machine is gone must not keep its row locks: the server finds out in seven seconds, not in hours.
    " -c tcp_keepalives_idle=3 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=2 -c tcp_user_timeout=7000"
)
_WALK_INDEXES = "".join(
    f" -c enable_{way}=off" for way in ("seqscan", "bitmapscan", "sort", "incremental_sort", "mergejoin", "hashjoin")
)
_CLIENT_OPTIONS = {  # and so does the client whose server is gone: not by TCP's own patience, which is a quarter hour
    "connect_timeout": 5,
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 7000,
}
POOL_TIMEOUT_SECONDS = 5.0
"""How long to wait for one of this process's own connections: as long as for the server to give a new one.

Transactions last milliseconds. Where fifteen at once are held for seconds, more patience would only pile up callers
behind them; an answer to come again is better, and is given while browser, balancer and Stripe still listen.
"""
_AFTER_COMMIT, _REMEMBERED = "after_commit", "remembered"  # in `session.info`
_LOCK_NOT_AVAILABLE = "55P03"
# connection lost, lost race, no room (disk, memory, connections), server stopped or started, disk failed; and our
# own transaction ended by its idle limit, which happens to a process that was stopped
_PASSING = ("08", "40", "53", "57P", "58", "25P03", _LOCK_NOT_AVAILABLE)
_BEGIN = sql.SQL("begin; select set_config('app.merchant_id', {}, true), set_config('app.user_id', {}, true)")
Answer = TypeVar("Answer")
WALKS = "walks_indexes"  # in the `info` of sessions whose connections follow indexes anyway


class PoolExhausted(psycopg.errors.TooManyConnections):
    """All connections of this process's pool are in use; SQLSTATE 53300, as when the server has no more to give."""


class _Pool(QueuePool):
    """Speaks of its own exhaustion as the driver does, so that one list of errors tells what passes."""

    def connect(self) -> PoolProxiedConnection:
        try:
            return super().connect()
        except PoolTimeoutError as error:
            raise PoolExhausted(str(error)) from None


def make_engine(
    url: str, *, poolclass: type[Pool] | None = None, pool_size: int = 5, server_options: str = "", **options: Any
) -> Engine:
    """An engine with limits for statements, idle transactions and lost networks; it connects at first use."""
    pool = {"poolclass": _Pool, "pool_size": pool_size, "max_overflow": 10, "pool_timeout": POOL_TIMEOUT_SECONDS}
    pooled: dict[str, Any] = {"poolclass": poolclass} if poolclass else pool
    return create_engine(
        url,
        pool_pre_ping=True,
        hide_parameters=True,  # an error's text must not carry customers' names and addresses into the logs
        connect_args={**_CLIENT_OPTIONS, "options": _SERVER_OPTIONS + server_options},
        **pooled,
        **options,
    )


def make_application_engine(url: str) -> Engine:
    """An engine of `tenant_session` and `user_session`, which begin their transactions themselves: see `_begin`."""
    return make_engine(url, isolation_level="AUTOCOMMIT")


@functools.cache
def application_engine() -> Engine:
    return make_application_engine(settings().database_url.get_secret_value())


@functools.cache
def system_engine() -> Engine:
    return make_engine(settings().database_system_url.get_secret_value())


def make_queue_engine(url: str) -> Engine:
    """An engine of `queue_session`."""
    return make_engine(url, server_options=_WALK_INDEXES, isolation_level="AUTOCOMMIT")


@functools.cache
def queue_engine() -> Engine:
    return make_queue_engine(settings().database_system_url.get_secret_value())


class _ScopedSession(Session):
    """Puts its tenant into every transaction it begins; `set_config(…, true)` ends with each of them.

    BEGIN and the tenant are one round trip, which is why the connection is in autocommit mode: else the driver would
    send a BEGIN of its own.
    """

    def __init__(self, merchant_id: str, user_id: str) -> None:
        super().__init__(application_engine(), expire_on_commit=False)
        self.beginning = _beginning(merchant_id, user_id)


@functools.lru_cache(maxsize=1024)
def _beginning(merchant_id: str, user_id: str) -> str:
    return _BEGIN.format(merchant_id, user_id).as_string()


@event.listens_for(_ScopedSession, "after_begin")
def _begin(session: _ScopedSession, _transaction: SessionTransaction, connection: Connection) -> None:
    rows.run_plain(connection, session.beginning)


@contextlib.contextmanager
def tenant_session(merchant_id: str) -> Iterator[Session]:
    """A session of the application login that sees exactly one merchant's rows."""
    with _ScopedSession(merchant_id, "") as session, session.begin():
        yield session


@contextlib.contextmanager
def user_session(user_id: str = "") -> Iterator[Session]:
    """A session of the application login outside any tenant: users, and the memberships of `user_id` alone."""
    with _ScopedSession("", user_id) as session, session.begin():
        yield session


@contextlib.contextmanager
def system_session() -> Iterator[Session]:
    """A session of the system login: the platform's own tables only."""
    with Session(system_engine(), expire_on_commit=False) as session, session.begin():
        yield session


@contextlib.contextmanager
def queue_session() -> Iterator[Session]:
    """A session of the system login for the queue, where each statement is a transaction: no BEGIN, no COMMIT.

    Its connections follow indexes, whatever the statistics say: they are a minute old at best, and most of the time
    hardly anything is pending. A planner that believes them collects and sorts a million rows that came since.
    """
    with Session(queue_engine(), expire_on_commit=False) as session, session.begin():
        session.info[WALKS] = True
        yield session


def remembered(session: Session, name: str, read: Callable[[], Answer]) -> Answer:
    """What `read` says, asked once a transaction: for what hardly ever changes and everybody wants to know.

    Whoever changes it calls `forget`.
    """
    transaction = session.get_transaction()
    held, known = session.info.get(_REMEMBERED, (None, {}))
    if held is not transaction:
        known = {}
        session.info[_REMEMBERED] = (transaction, known)
    if name not in known:
        known[name] = read()
    found: Answer = known[name]
    return found


def forget(session: Session) -> None:
    """Something that was remembered is about to change: it is read again."""
    session.info.pop(_REMEMBERED, None)


def after_commit(session: Session, action: Callable[[], object]) -> None:
    """Do something once the session's transaction is committed, and not at all when it is not."""
    waiting = session.info.setdefault(_AFTER_COMMIT, [])
    if not waiting:  # one listener for all: they are dear, and a page of a hunt asks two hundred times
        event.listen(session, "after_commit", _act, once=True)
    waiting.append(action)


def _act(session: Session) -> None:
    for action in session.info.pop(_AFTER_COMMIT):
        action()


def is_locked(error: DBAPIError) -> bool:
    """Whether a statement gave up waiting for somebody's lock."""
    return getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE


def is_passing(error: DBAPIError) -> bool:
    """Whether the database was at fault and not the statement: the same may succeed later.

    By SQLSTATE (PostgreSQL, "Error Codes"); a connection that broke has none. A statement that took too long (57014)
    is not among them: it would take too long again.
    """
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state is None:
        return error.connection_invalidated or isinstance(error.orig, psycopg.OperationalError)
    return state.startswith(_PASSING)


ENGINES = (application_engine, system_engine, queue_engine)
"""Of this process; each is made when it is first asked for."""


def dispose() -> None:
    """Close all pooled connections: after a fork, and at shutdown."""
    for engine in ENGINES:
        if engine.cache_info().currsize:
            engine().dispose()
