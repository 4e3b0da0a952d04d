"""Tell people by mail that a manual task waits: one task that gathers what is new, and from it one a person."""

from typing import Any, NoReturn

from core import clock, db, queue
from core.config import settings
from jobs import team_mail
from models.messaging import Channel
from services.audit import service as audit
from services.identity import service as identity
from services.integrations.carriers import MessageUnknownError
from services.manual_tasks import alerts
from services.messaging.senders import service as senders
from services.messaging.team_mail import TeamMail
from services.tasks import service as tasks
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask

ALERT = "alert"
HANDED_OVER = "handed_over"


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
    was_handed_over = bool(task.payload.get(HANDED_OVER))
    if alerts.is_too_late(str(task.payload["give_up_at"])):
        _give_up(task, in_doubt=was_handed_over)
    with db.tenant_session(merchant_id) as session:
        address = identity.address_of(session, merchant_id, user_id)
        task_ids = [str(each) for each in task.payload["task_ids"]]
        # One that stays in the outbox belongs to no ghost, so no erasure of a customer would ever find it.
        is_sent = senders.platform_sender(Channel.EMAIL) is not None
        written = alerts.written(session, merchant_id, task_ids, f"{settings().public_url}/tasks", by_name=is_sent)
    if address is None or written is None:
        raise Discard("the person or what waited is gone")
    mail = TeamMail(_name(task), ALERT, address, written.subject, written.html, written.plain)
    done = _carry(task, mail, was_handed_over=was_handed_over)
    if done.get("reason") == team_mail.OUTBOX:
        with db.tenant_session(merchant_id) as session:
            said = "A task waits for a person. The mail about it lies in the outbox: no sender is configured."
            audit.log_event(session, merchant_id, "manual_task.alert_not_sent", said, level="warning")
    return done


def _name(task: ClaimedTask) -> str:
    return task.key or f"task-{task.id}"


def _carry(task: ClaimedTask, mail: TeamMail, *, was_handed_over: bool) -> dict[str, Any]:
    """Hand it over, and know afterwards whether the provider may have it, whatever dies in the middle."""
    if not was_handed_over:
        _note(task, handed_over=True)
    try:
        return team_mail.carry(task.tenant, mail)
    except Retry as later:
        if not was_handed_over and not isinstance(later.__cause__, MessageUnknownError):
            _note(task, handed_over=False)
        raise


def _note(task: ClaimedTask, *, handed_over: bool) -> None:
    with db.system_session() as session:
        if not tasks.note(session, task, **{HANDED_OVER: handed_over}):
            raise Discard("somebody else has this task by now")


def _give_up(task: ClaimedTask, *, in_doubt: bool) -> NoReturn:
    """The provider may have forgotten the mail's name: under another one it is sent only if it certainly was not."""
    with db.tenant_session(task.tenant) as session:
        if in_doubt:
            alerts.note_doubt(session, task.tenant)
        else:
            alerts.tell_anew(session, task.tenant, _name(task), task.payload)
    if in_doubt:
        raise Discard("it is too late: the provider may no longer know whether it has sent this one")
    queue.announce_work()
    raise Discard("nobody has got it: it is told anew under another name")
