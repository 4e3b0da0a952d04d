"""From a stored webhook to its outcome: handled once, forgotten after, swept when something broke in between."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from core import db, queue
from jobs import janitor
from jobs.runner import run_due
from jobs.sentinel import tick
from models.work import ProcessedEvent
from services.handshake import handlers, service
from services.handshake.schemas import IncomingEvent
from services.tasks import deadletters
from services.tasks.errors import Retry
from tests.services.handshake.support import ACCOUNT, MERCHANT, body, rows

pytestmark = pytest.mark.usefixtures("database", "redis_url", "clock")


@pytest.fixture
def handled(monkeypatch) -> Iterator[list[IncomingEvent]]:
    seen: list[IncomingEvent] = []

    def handle(event: IncomingEvent) -> str:
        seen.append(event)
        return "ghost_found"

    monkeypatch.setattr(handlers, "handle", handle)
    yield seen
    queue.disconnect()


def store(clock, identifier="evt_1", **fields) -> None:
    given = {"type": "invoice.paid", "account": ACCOUNT, "merchant_id": MERCHANT, "payload": body(identifier)}
    with db.system_session() as session:
        session.add(ProcessedEvent(id=identifier, received_at=clock.now(), **{**given, **fields}))


def stored() -> dict[str, object]:
    [found] = rows("select payload, handled_at, outcome from processed_events")
    return found


def sweep(clock) -> None:
    """What gives a stored event its task here, as after a loss."""
    clock.advance(timedelta(seconds=6))
    with db.system_session() as session:
        service.sweep_unhandled(session)


class TestGivenUp:
    def test_what_was_emptied_unhandled_is_never_called_handled(self, clock, handled):
        store(clock)
        sweep(clock)
        with db.system_session() as session:
            session.execute(text("update scheduled_tasks set state = 'dead', attempts = 5"))
        clock.advance(timedelta(days=91))
        assert janitor.prune()["given_up"] == 1
        with db.system_session() as session:
            assert deadletters.replay_all(session, None) == 1
        assert run_due() == 1
        [task] = rows("select state, result from scheduled_tasks")
        assert (task["state"], task["result"]) == ("done", {"event_id": "evt_1", "outcome": "given_up"})
        assert (handled, stored()["outcome"]) == ([], "given_up")


class TestHandling:
    def test_once_and_then_forgotten(self, clock, handled):
        store(clock)
        sweep(clock)
        assert run_due() == 1
        [event] = handled
        assert (event.id, event.merchant_id, event.object["customer_email"]) == ("evt_1", MERCHANT, "ada@example.com")
        assert stored() == {"payload": None, "handled_at": clock.now(), "outcome": "ghost_found"}
        [task] = rows("select state, result, merchant_id, correlation_id from scheduled_tasks")
        assert (task["state"], task["result"]) == ("done", {"event_id": "evt_1", "outcome": "ghost_found"})
        assert (task["merchant_id"], task["correlation_id"]) == (MERCHANT, "evt_1")

    def test_a_second_run_handles_nothing(self, clock, handled):
        store(clock)
        sweep(clock)
        run_due()
        rows("update scheduled_tasks set state = 'pending' returning 1")
        run_due()
        assert len(handled) == 1
        [task] = rows("select result from scheduled_tasks")
        assert task["result"]["outcome"] == "already_handled"

    def test_an_event_that_is_gone(self, clock, handled):
        store(clock)
        sweep(clock)
        rows("delete from processed_events returning 1")
        run_due()
        [task] = rows("select state, result from scheduled_tasks")
        assert (task["state"], task["result"]["outcome"], handled) == ("done", "missing", [])

    def test_a_failure_keeps_the_payload_for_the_next_attempt(self, clock, handled, monkeypatch):
        def broken(event: IncomingEvent) -> str:
            raise ValueError("no")

        store(clock)
        sweep(clock)
        monkeypatch.setattr(handlers, "handle", broken)
        run_due()
        assert (stored()["handled_at"], bytes(stored()["payload"])) == (None, body())
        monkeypatch.setattr(handlers, "handle", lambda event: "recovered")
        clock.advance(timedelta(minutes=1))
        assert run_due() == 1
        assert stored()["outcome"] == "recovered"

    def test_a_rate_limit_waits(self, clock, handled, monkeypatch):
        def limited(event: IncomingEvent) -> str:
            raise Retry(after=timedelta(seconds=30), reason="rate_limited")

        store(clock)
        sweep(clock)
        monkeypatch.setattr(handlers, "handle", limited)
        run_due()
        [task] = rows("select state, attempts from scheduled_tasks")
        assert task == {"state": "pending", "attempts": 0}

    def test_the_sentinel_finds_what_lost_its_task(self, clock, handled):
        store(clock)
        clock.advance(timedelta(seconds=6))
        tick(clock.now())
        assert queue.task_queue().count == 1
        assert run_due(kinds=["handle_event"]) == 1
        assert stored()["outcome"] == "ghost_found"


def test_intake_gives_a_task_to_every_type_that_has_a_handler():
    assert set(handlers.HANDLERS) == service.HANDLED_TYPES
