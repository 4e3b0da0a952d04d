"""A process whose own connections are all in use: it says so calmly, and goes on when they come back."""

import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from core import db, queue
from core.clock import ManualClock
from jobs import worker
from jobs.runner import DATABASE_PAUSE, run_due
from services.tasks.schemas import ClaimedTask
from tests.jobs import probe
from tests.services.tasks.support import put, row

pytestmark = pytest.mark.usefixtures("database", "redis_url", "short_pools")


@pytest.fixture(autouse=True)
def _probes() -> Iterator[None]:
    with probe.registered():
        yield
    queue.disconnect()


def exhausted(engine: Engine) -> contextlib.ExitStack:
    """Every connection that this process may have of a login is taken, until the stack closes."""
    with contextlib.ExitStack() as stack:
        for _ in range(15):
            stack.enter_context(engine.connect())
        return stack.pop_all()


def test_nothing_can_be_claimed_until_one_comes_back() -> None:
    task_id = put()
    with exhausted(db.queue_engine()):
        with pytest.raises(OperationalError) as caught:
            run_due()
        assert isinstance(caught.value.orig, db.PoolExhausted)
        assert db.is_passing(caught.value)
        assert worker.run_batch() == 0  # the worker itself stays
    assert row(task_id)["state"] == "pending"
    assert run_due() == 1
    assert row(task_id)["state"] == "done"


def test_a_task_that_gets_none_is_put_off_without_an_attempt_counted(clock: ManualClock) -> None:
    def hook(_task: ClaimedTask) -> None:
        with db.tenant_session("mer_1") as session:
            session.connection()

    probe.hooks["trouble"] = hook
    task_id = put(payload={"do": "hook", "hook": "trouble"})
    with exhausted(db.application_engine()):
        assert run_due() == 1
    put_off = row(task_id)
    assert (put_off["state"], put_off["attempts"]) == ("pending", 0)
    assert DATABASE_PAUSE / 2 <= put_off["run_at"] - clock.now() < DATABASE_PAUSE
    clock.advance(DATABASE_PAUSE)
    assert run_due() == 1
    assert row(task_id)["state"] == "done"
