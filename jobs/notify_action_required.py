"""Tell people by mail that a manual task waits: one task that gathers what is new, and from it one a person."""

from typing import Any

from core import clock, db, queue
from core.config import settings
from jobs import team_mail
from models.messaging import Channel
from services.audit import service as audit
from services.identity import service as identity
from services.manual_tasks import alerts
from services.messaging.senders import service as senders
from services.messaging.team_mail import TeamMail
from services.tasks.errors import Discard
from services.tasks.schemas import ClaimedTask

ALERT = "alert"


def run(task: ClaimedTask) -> dict[str, Any]:
    """What is new has no payload of interest; a person's has `{"user_id", "task_ids", "give_up_at"}`."""
    return _send(task) if "user_id" in task.payload else _address(task.tenant)


def _address(merchant_id: str) -> dict[str, Any]:
    with db.tenant_session(merchant_id) as session:
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
        # One that stays in the outbox belongs to no ghost, so no erasure of a customer would ever find it.
        is_sent = senders.platform_sender(Channel.EMAIL) is not None
        written = alerts.written(session, merchant_id, task_ids, f"{settings().public_url}/tasks", by_name=is_sent)
    if address is None or written is None:
        raise Discard("the person or what waited is gone")
    name = task.key or f"task-{task.id}"
    mail = TeamMail(name, ALERT, address, written.subject, written.html, written.plain)
    done = team_mail.carry(merchant_id, mail)
    if done.get("reason") == team_mail.OUTBOX:
        with db.tenant_session(merchant_id) as session:
            said = "A task waits for a person. The mail about it lies in the outbox: no sender is configured."
            audit.log_event(session, merchant_id, "manual_task.alert_not_sent", said, level="warning")
    return done
