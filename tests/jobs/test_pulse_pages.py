"""A pulse of many pages: two at a time, each ghost once, and nothing further once a page has met an error."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlmodel import select

from core import db, logging
from core.clock import ManualClock
from jobs import pulse as pulse_job
from models.ghost import FoundVia
from models.work import ScheduledTask
from services.integrations.stripe.parsing import parse_invoice
from services.recovery.observe import observe
from services.recovery.plans import planning, pulse
from services.recovery.work import merchant_context
from services.tasks.schemas import ClaimedTask
from tests.support.factories import make_merchant, raw_invoice

GHOSTS = 11
PATIENCE = 20.0


@pytest.fixture
def merchant(database: object, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> str:
    """Pages of two, and six of them: a customer with two ghosts, which are due on different ones, and nine others."""
    monkeypatch.setattr(pulse, "PAGE", 2)
    merchant_id = make_merchant(policy={"messages_per_customer_week": 4})
    facts = [parse_invoice(raw_invoice(number)) for number in range(GHOSTS)]
    facts = [
        replace(
            each, customer=replace(each.customer, id=f"cus_{number % (GHOSTS - 1)}", email=f"c{number}@example.com")
        )
        for number, each in enumerate(facts)
    ]
    with db.tenant_session(merchant_id) as session:
        observe(session, merchant_context(session, merchant_id), facts, FoundVia.HUNT, clock.now())
    return merchant_id


def beat(merchant: str, clock: ManualClock) -> dict[str, Any]:
    return pulse_job.run(ClaimedTask(1, "pulse", merchant, {}, 1, 5, 0, "", "test", clock.now()))


def told_of(merchant: str) -> list[str]:
    """The ghosts that have a task, as often as they have one."""
    with db.tenant_session(merchant) as session:
        wanted = select(ScheduledTask).where(ScheduledTask.kind == "send_message")
        return sorted(str(task.payload["ghost_id"]) for task in session.exec(wanted))


def watched(monkeypatch: pytest.MonkeyPatch, look: Callable[[], object]) -> None:
    """Before a page is planned, somebody looks."""
    genuine = planning.plans

    def plans(*given: Any) -> Any:
        look()
        return genuine(*given)

    monkeypatch.setattr(planning, "plans", plans)


class TestPages:
    def test_each_ghost_gets_its_task_once(self, merchant: str, clock: ManualClock):
        assert beat(merchant, clock) == {"messages": GHOSTS, "exhausted": 0, "moved": 0, "retries": 0}
        assert len(told_of(merchant)) == len(set(told_of(merchant))) == GHOSTS
        assert beat(merchant, clock)["messages"] == 0

    def test_two_are_under_way_at_once(self, merchant: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch):
        """After the first, which is all that most merchants have: the second and the third wait for each other."""
        pages, both = [0], threading.Barrier(2)

        def look() -> None:
            pages[0] += 1
            if pages[0] in (2, 3):
                both.wait(PATIENCE)

        watched(monkeypatch, look)
        assert beat(merchant, clock)["messages"] == GHOSTS
        assert not both.broken

    def test_one_page_needs_no_thread(self, merchant: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(pulse, "PAGE", GHOSTS + 1)
        monkeypatch.setattr(pulse_job, "ThreadPoolExecutor", None)
        assert beat(merchant, clock)["messages"] == GHOSTS

    def test_what_a_page_does_is_logged_under_the_id_of_its_task(
        self, merchant: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ):
        seen: set[str] = set()
        watched(monkeypatch, lambda: seen.add(logging.correlation_id()))
        with logging.correlated("cor_of_the_task"):
            beat(merchant, clock)
        assert seen == {"cor_of_the_task"}


class TestThatFails:
    def test_no_page_follows_one_that_met_an_error_and_the_next_pulse_does_the_rest(
        self, merchant: str, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ):
        pages: list[int] = []

        def look() -> None:
            pages.append(len(pages))
            if len(pages) == 3:
                raise ConnectionError("the network is gone")

        with monkeypatch.context() as patched:
            watched(patched, look)
            with pytest.raises(ConnectionError):
                beat(merchant, clock)
        assert len(pages) < 6
        done = told_of(merchant)
        assert 2 <= len(done) < GHOSTS
        assert len(done) % 2 == 0  # whole pages
        assert beat(merchant, clock)["messages"] == GHOSTS - len(done)
        assert len(told_of(merchant)) == len(set(told_of(merchant))) == GHOSTS
