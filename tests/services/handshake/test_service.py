"""Reading stored events, and sweeping up what nobody handled."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from core import clock as core_clock
from core import db
from models.work import ProcessedEvent, ScheduledTask
from services.handshake import service
from services.handshake.errors import NotAnEventError
from tests.services.handshake.support import ACCOUNT, MERCHANT, body, rows

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def stored(payload: bytes | None, **fields: object) -> ProcessedEvent:
    given = {"id": "evt_1", "type": "invoice.paid", "account": ACCOUNT, "merchant_id": MERCHANT, "received_at": NOW}
    return ProcessedEvent(**{**given, **fields}, payload=payload)


class TestReadEvent:
    def test_the_facts(self):
        raw = body(data={"object": {"id": "in_1"}, "previous_attributes": {"status": "open"}}, type="ignored")
        event = service.read_event(stored(raw))
        assert (event.id, event.type, event.account, event.merchant_id) == ("evt_1", "invoice.paid", ACCOUNT, MERCHANT)
        assert event.created == core_clock.from_timestamp(1772442000)
        assert (event.object, event.previous_attributes) == ({"id": "in_1"}, {"status": "open"})
        assert event.api_version == "2026-10-28"

    @pytest.mark.parametrize("data", [None, [], "x", {"object": None}, {"object": [1]}, {"previous_attributes": 3}])
    def test_odd_data_is_empty(self, data):
        event = service.read_event(stored(body(data=data)))
        assert (event.object, event.previous_attributes) == ({}, {})

    @pytest.mark.parametrize("created", [None, "yesterday", True, -1, 10**30, 1.5])
    def test_odd_creation_time_is_the_time_of_arrival(self, created):
        assert service.read_event(stored(body(created=created))).created == NOW

    def test_texts_are_clean_and_numbers_exact(self):
        raw = json.dumps(
            {"data": {"object": {"a\x00b": ["x\x00", {"y": "\ud800z"}], "n": 12345678901234567890123, "ok": "é"}}}
        ).encode()
        event = service.read_event(stored(raw))
        assert event.object == {"a\ufffdb": ["x\ufffd", {"y": "\ufffdz"}], "n": 12345678901234567890123, "ok": "é"}

    def test_deep_nesting_does_not_crash(self):
        raw = b'{"data": {"object": {"deep": ' + b"[" * 900 + b'"\\u0000"' + b"]" * 900 + b"}}}"
        assert list(service.read_event(stored(raw)).object) == ["deep"]

    @pytest.mark.parametrize("fields", [{"payload": None}, {"merchant_id": None}, {"account": None}])
    def test_what_cannot_be_handled(self, fields):
        with pytest.raises(NotAnEventError):
            service.read_event(stored(**{"payload": body(), **fields}))


class TestEnvelope:
    def test_the_longest_id_taken_still_fits_its_tasks_key(self):
        longest = "e" * 190
        assert service.read_envelope(body(id=longest)).id == longest
        assert len(f"event:{longest}") <= 200 == ScheduledTask.__table__.c.key.type.length
        with pytest.raises(NotAnEventError):
            service.read_envelope(body(id=longest + "e"))


@pytest.mark.usefixtures("database", "clock")
class TestSweepAndPrune:
    def put(self, **fields: object) -> None:
        with db.system_session() as session:
            session.add(stored(**{"payload": body(), **fields}))

    def sweep(self) -> int:
        with db.system_session() as session:
            return service.sweep_unhandled(session)

    def test_an_event_that_lost_its_task_gets_one(self, clock):
        self.put(received_at=clock.now() - timedelta(seconds=6))
        assert (self.sweep(), self.sweep()) == (1, 0)
        [task] = rows("select key, merchant_id, payload from scheduled_tasks")
        assert task == {"key": "event:evt_1", "merchant_id": MERCHANT, "payload": {"event_id": "evt_1"}}

    def test_young_and_handled_events_are_left_alone(self, clock):
        self.put(received_at=clock.now())
        self.put(id="evt_2", received_at=clock.now() - timedelta(days=1), handled_at=clock.now())
        assert self.sweep() == 0

    def test_a_dead_task_waits_for_a_person(self, clock):
        self.put(received_at=clock.now() - timedelta(seconds=6))
        self.sweep()
        rows("update scheduled_tasks set state = 'dead' returning id")
        assert self.sweep() == 0

    def test_only_old_handled_events_are_pruned(self, clock):
        old = clock.now() - timedelta(days=31)
        self.put(id="evt_old", received_at=old, handled_at=old)
        self.put(id="evt_unhandled", received_at=old)
        self.put(id="evt_young", received_at=clock.now() - timedelta(days=29), handled_at=clock.now())
        with db.system_session() as session:
            assert service.prune_handled(session, 100) == 1
        assert {row["id"] for row in rows("select id from processed_events")} == {"evt_unhandled", "evt_young"}

    def test_handling_empties_the_payload_once(self, clock):
        self.put(received_at=clock.now())
        for outcome in ("recovered", "later"):
            with db.system_session() as session:
                service.mark_handled(session, "evt_1", outcome)
        [row] = rows("select payload, outcome, handled_at from processed_events")
        assert row == {"payload": None, "outcome": "recovered", "handled_at": clock.now()}
