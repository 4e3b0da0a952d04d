"""A person who presses "Hunt now" again and again has one hunt at a time."""

from datetime import timedelta

import pytest

from core import db
from core.clock import ManualClock
from services.hunter.asking import ask_for_hunt
from services.tasks import service as tasks
from services.tasks.schemas import TaskResult
from tests.support.factories import make_merchant


@pytest.fixture
def merchant(database: object, clock: ManualClock) -> str:
    return make_merchant()


def ask(merchant: str) -> bool:
    with db.tenant_session(merchant) as session:
        return ask_for_hunt(session, merchant)


def test_one_that_waits_or_runs_is_enough(merchant: str, clock: ManualClock):
    assert ask(merchant)
    clock.advance(timedelta(minutes=5))
    assert not ask(merchant)
    with db.system_session() as session:
        [task] = tasks.claim(session, "worker", 1)
    assert (task.kind, task.payload) == ("hunt", {"trigger": "person"})
    assert not ask(merchant)
    with db.system_session() as session:
        tasks.complete(session, [TaskResult(task, {})])
    assert ask(merchant)


def test_twice_within_a_minute_is_once(merchant: str):
    assert ask(merchant)
    with db.system_session() as session:
        tasks.complete(session, [TaskResult(task, {}) for task in tasks.claim(session, "worker", 1)])
    assert not ask(merchant)


def test_other_hunts_and_other_merchants_do_not_stand_in_the_way(merchant: str):
    other = make_merchant()
    with db.system_session() as session:
        tasks.schedule(session, kind="hunt", key="hunt:connect:1", merchant_id=merchant)
    assert ask(other)
    assert ask(merchant)
