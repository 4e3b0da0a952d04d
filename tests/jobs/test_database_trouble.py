"""PostgreSQL at fault while a task runs: it costs the task no attempt; what is the statement's own fault does."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text

from core import db, queue
from core.config import settings
from jobs.runner import DATABASE_PAUSE, LOCKED_PAUSE, run_due
from services.tasks import backoff
from services.tasks.schemas import ClaimedTask
from tests.jobs import probe
from tests.services.tasks.support import put, row

pytestmark = pytest.mark.usefixtures("database", "redis_url", "clock")


@pytest.fixture(autouse=True)
def _probes() -> Iterator[None]:
    with probe.registered():
        yield
    queue.disconnect()


def statement(*statements: str) -> Callable[[ClaimedTask], None]:
    """A handler that runs these in one transaction of its own."""

    def run(_task: ClaimedTask) -> None:
        with db.system_session() as session:
            for each in statements:
                session.execute(text(each))

    return run


def run_hook(hook: Callable[[ClaimedTask], None]) -> int:
    """The id of a task that has run once with this handler."""
    probe.hooks["trouble"] = hook  # type: ignore[assignment]
    task_id = put(payload={"do": "hook", "hook": "trouble"})
    assert run_due() == 1
    return task_id


def raising(code: str) -> Callable[[ClaimedTask], None]:
    return statement(f"do $$ begin raise exception using errcode = '{code}'; end $$")


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(statement("select pg_terminate_backend(pg_backend_pid())"), id="session killed"),
        pytest.param(raising("25P03"), id="stopped in its transaction"),
        pytest.param(raising("53100"), id="disk full"),
        pytest.param(raising("53300"), id="no connection left"),
        pytest.param(raising("40P01"), id="deadlock"),
        pytest.param(raising("57P03"), id="starting up"),
        pytest.param(raising("58030"), id="input or output error"),
    ],
)
def test_what_passes_costs_no_attempt(clock, trouble) -> None:
    task_id = run_hook(trouble)
    for times in range(8):  # more often than a failing task is tried
        found = row(task_id)
        assert (found["state"], found["attempts"]) == ("pending", 0)
        assert found["last_error"].startswith("database: ")
        wait = found["run_at"] - clock.now()
        assert backoff.pause(DATABASE_PAUSE, times, 0.0) <= wait < backoff.pause(DATABASE_PAUSE, times, 1.0)
        clock.advance(wait)
        assert run_due() == 1


def test_a_row_that_a_stranger_holds_is_left_for_a_minute(clock) -> None:
    task = put(payload={"do": "return"}, run_at=clock.now() + timedelta(days=1))
    waiting = statement("set local lock_timeout = 20", f"select from scheduled_tasks where id = {task} for update")
    admin = settings().database_admin_url
    assert admin is not None
    with psycopg.connect(admin.get_secret_value().replace("+psycopg", "", 1)) as stranger:
        stranger.execute("select id from scheduled_tasks where id = %s for update", [task])
        found = row(run_hook(waiting))
    assert (found["state"], found["attempts"]) == ("pending", 0)
    assert LOCKED_PAUSE / 2 <= found["run_at"] - clock.now() < LOCKED_PAUSE


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(statement("select 1 / 0"), id="its own arithmetic"),
        pytest.param(statement("set local statement_timeout = 20", "select pg_sleep(5)"), id="too slow"),
        pytest.param(statement("insert into nowhere values (1)"), id="no such table"),
    ],
)
def test_what_is_the_statements_own_fault_does(fault) -> None:
    found = row(run_hook(fault))
    assert (found["state"], found["attempts"]) == ("pending", 1)
    assert not found["last_error"].startswith("database: ")


@pytest.mark.parametrize("session", [db.system_session, db.user_session])
def test_no_session_waits_for_ever(session) -> None:
    """Neither for a statement, nor for a lock, nor with locks of its own."""
    with session() as opened:
        limits = opened.execute(
            text(
                "select name, setting::int from pg_settings where name in"
                " ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')"
            )
        ).all()
    assert len(limits) == 3
    assert all(milliseconds > 0 for _, milliseconds in limits)
