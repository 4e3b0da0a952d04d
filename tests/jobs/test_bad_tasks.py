"""Tasks that do harm, through a real worker: each ends where a person sees it, and nobody else suffers."""

import signal

import pytest

from core import db, queue
from jobs import janitor
from tests.jobs.processes import process
from tests.services.tasks.support import put, row, rows
from tests.support.wait import wait_until

pytestmark = pytest.mark.usefixtures("database", "redis_url")


@pytest.fixture(autouse=True)
def _disconnect():
    yield
    queue.disconnect()


def until(task_id, wanted):
    wait_until(lambda: row(task_id)["state"] == wanted, timeout=30, what=f"task {task_id} {wanted}")


def rescue():
    """What the Sentinel does some seconds later."""
    rows(
        "update scheduled_tasks set leased_until = leased_until - interval '1 day' where state = 'running' returning 1"
    )
    with db.system_session() as session:
        return janitor.rescue(session)


def test_one_that_always_raises_is_dead_after_five_attempts_further_and_further_apart():
    poisoned, waits = put(payload={"do": "fail"}), []
    good = put()
    with process("worker") as running:
        for attempt in range(1, 6):
            wait_until(
                lambda: row(poisoned)["attempts"] == attempt and row(poisoned)["state"] != "running",  # noqa: B023
                timeout=30,
                what=f"attempt {attempt}",
            )
            found = row(poisoned)
            if attempt < 5:
                waits.append(found["run_at"])
                rows("update scheduled_tasks set run_at = now(), due = true where id = :id returning id", id=poisoned)
                queue.announce_work()
        until(good, "done")
        running.signal(signal.SIGTERM)
        assert running.end() == 0
    assert (row(poisoned)["state"], row(poisoned)["deaths"]) == ("dead", 0)
    assert len(set(waits)) == 4


def test_one_that_returns_fifty_megabytes_is_refused_with_the_reason():
    huge, good = put(payload={"do": "huge"}), put()
    with process("worker"):
        until(huge, "dead")
        until(good, "done")
    assert row(huge)["last_error"].startswith("task_result_too_large: The result has 500000")
    assert "at most 65536 are kept" in row(huge)["last_error"]
    assert row(huge)["result"] == {}


@pytest.mark.parametrize(
    ("action", "setup", "code"),
    [
        pytest.param("deaf", "from jobs import leases; leases.OVERDUE_SECONDS = 0.2", 70, id="no signal is heard"),
        pytest.param("lockjaw", "from jobs import lockjaw; lockjaw.SECONDS = 3.0", 1, id="no other thread can run"),
    ],
)
def test_one_that_never_returns_from_c_code_costs_its_process_and_nobody_else(action, setup, code):
    stuck, innocent = put(payload={"do": action}, priority=1), put()
    for deaths in (0, 2, 3):  # of the first nobody knows whose it is; the second is counted with it
        with process("worker", limit=0.2, setup=f"from jobs import worker; worker.GRACE_SECONDS = 0.2; {setup}") as one:
            assert one.end(40) == code, one.lines
        rescue()
        assert row(stuck)["deaths"] == deaths
    assert row(stuck)["state"] == "dead"
    with process("worker"):
        until(innocent, "done")
    assert row(innocent)["deaths"] == 0
