"""Tell people by mail that a manual task waits: one task that gathers what is new, and from it one a person."""

from datetime import timedelta
from typing import Any

from core import clock, db, queue
from core.config import settings
from services.audit import service as audit
from services.identity import service as identity
from services.integrations.resend import (
    EmailKeyUsedError,
    EmailLaterError,
    EmailRefusedError,
    EmailSender,
    EmailUnknownError,
    OutgoingEmail,
    sender_for,
)
from services.manual_tasks import alerts
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask

BUSY_PAUSE = timedelta(minutes=5)
_TAGS = {"phantom_kind": "alert"}


def run(task: ClaimedTask) -> dict[str, Any]:
    """What is new has no payload of interest; a person's has `{"user_id", "task_ids", "give_up_at"}`."""
    return _send(task) if "user_id" in task.payload else _address(task.tenant)


def _address(merchant_id: str) -> dict[str, Any]:
    with db.tenant_session(merchant_id) as session:
        if _sender() is None:
            said = "A task waits for a person. No mail tells of it: no sender is configured."
            audit.log_event(session, merchant_id, "manual_task.alert_not_sent", said, level="warning")
            return {"people": 0, "reason": "no sender is configured"}
        people = alerts.address(session, merchant_id, clock.now())
    queue.announce_work()
    return {"people": people}


def _send(task: ClaimedTask) -> dict[str, Any]:
    """One person's mail, under the task's own key however often: the provider sends it once."""
    merchant_id, user_id = task.tenant, str(task.payload["user_id"])
    if alerts.is_too_late(str(task.payload["give_up_at"])):
        raise Discard("it is too late: the provider may no longer know whether it has sent this one")
    with db.tenant_session(merchant_id) as session:
        address = identity.address_of(session, merchant_id, user_id)
        task_ids = [str(each) for each in task.payload["task_ids"]]
        written = alerts.written(session, merchant_id, task_ids, f"{settings().public_url}/tasks")
    sender = _sender()
    if address is None or written is None or sender is None:
        raise Discard("the person, the sender or what waited is gone")
    mail = OutgoingEmail(settings().email_from, address, written.subject, written.html, written.plain, tags=_TAGS)
    try:
        sender.send(mail, idempotency_key=task.key or f"task-{task.id}")
    except EmailKeyUsedError:
        pass  # an earlier try did reach the provider, and what waits has changed since
    except EmailRefusedError as error:
        return {"sent": False, "reason": error.code}
    except (EmailLaterError, EmailUnknownError) as error:
        raise Retry(after=BUSY_PAUSE, reason=error.code) from error
    return {"sent": True}


def _sender() -> EmailSender | None:
    configured = settings().resend_api_key
    return sender_for(configured.get_secret_value() if configured else None)
