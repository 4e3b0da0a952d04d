"""A person who presses "Hunt now" again and again has one hunt at a time."""

from datetime import timedelta

import pytest

from core import db
from core.clock import ManualClock
from services.hunter import service as hunter
from services.hunter.asking import ask_for_hunt, is_under_way
from services.hunter.schemas import HuntRequest
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


def begun(merchant: str, trigger: str) -> bool:
    """Whether the hunt that has just begun is under way."""
    with db.tenant_session(merchant) as session:
        hunter.start(session, merchant, HuntRequest(trigger=trigger))
    return under_way(merchant)


def under_way(merchant: str) -> bool:
    with db.tenant_session(merchant) as session:
        [latest] = hunter.recent_hunts(session, merchant)
        return is_under_way(session, merchant, latest)


def test_a_hunt_is_under_way_while_its_task_is_open(merchant: str):
    ask(merchant)
    assert begun(merchant, "person")
    with db.system_session() as session:
        [task] = tasks.claim(session, "worker", 1)
        tasks.fail(session, task, "it died", final=True, chance=lambda: 0.0)
    assert not under_way(merchant)  # its row still says running: whoever held it was killed


def test_a_command_is_under_way_for_as_long_as_it_can_be_gone_on_with(merchant: str, clock: ManualClock):
    assert begun(merchant, "command")
    clock.advance(timedelta(hours=25))
    assert not under_way(merchant)
