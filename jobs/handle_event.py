"""Handle one stored webhook: read it, let the handshake's handlers act, note the outcome and forget the payload."""

from typing import Any

from core import db
from core.crash_points import crash_point
from services.handshake import handlers, service
from services.handshake.schemas import StoredEvent
from services.recovery.messages import delivery, texts
from services.tasks.schemas import ClaimedTask


def run(task: ClaimedTask) -> dict[str, Any]:
    """Idempotent: a second run of a handled event does nothing, one after a crash repeats idempotent handlers.

    An event that was emptied before anybody could handle it says so (`given_up`), whoever runs its task again.
    """
    event_id = str(task.payload["event_id"])
    with db.queue_session() as session:
        stored = service.get_event(session, event_id)
    if stored is None or stored.handled_at is not None:
        return {"event_id": event_id, "outcome": _outcome_before(stored)}
    if stored.source == service.RESEND:
        outcome = delivery.handle(*service.read_sender_event(stored))
    elif stored.source == service.TWILIO:
        outcome = texts.handle(*service.read_sender_event(stored), stored.received_at)
    else:
        outcome = handlers.handle(service.read_event(stored))
    crash_point("event.handled")
    with db.queue_session() as session:
        service.mark_handled(session, event_id, outcome)
    return {"event_id": event_id, "outcome": outcome}


def _outcome_before(stored: StoredEvent | None) -> str:
    if stored is None:
        return "missing"
    return service.GIVEN_UP if stored.outcome == service.GIVEN_UP else "already_handled"
