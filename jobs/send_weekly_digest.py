"""Send a merchant's team the weekly digest: one task a week that the Sentinel schedules, and from it one a person."""

from datetime import date, datetime
from typing import Any

from sqlmodel import Session

from core import clock, db, queue
from core.config import settings
from jobs import team_mail
from services.analytics import digest
from services.audit import service as audit
from services.identity import service as identity
from services.merchants import service as merchants
from services.messaging.team_mail import TeamMail
from services.tasks.errors import Discard, Retry
from services.tasks.schemas import ClaimedTask

DIGEST = "digest"


def run(task: ClaimedTask) -> dict[str, Any]:
    """The week's task has `{"slot"}`, a person's `{"user_id", "until", "give_up_at"}` (`digest.address`)."""
    if "user_id" in task.payload:
        return _send(task)
    if "slot" in task.payload:
        return _address(task.tenant, int(task.payload["slot"]))
    raise Discard("the Sentinel schedules digests now")  # one of the chain that did before


def _address(merchant_id: str, slot: int) -> dict[str, Any]:
    """Hold the week's task until it is Monday, 8 o'clock, where the merchant is; then make a task for each person."""
    now = clock.now()
    with db.tenant_session(merchant_id) as session:
        merchant = merchants.get_merchant(session, merchant_id)
        week = digest.Week.of_slot(merchant_id, slot, merchant.timezone or "UTC")
        if not merchant.is_connected:
            raise Discard("the account is disconnected")
        if now < week.begins:
            raise Retry(at=week.begins, reason="until Monday, 8 o'clock")
        if now >= week.ends:
            raise Discard("that week is over; the next digest tells of the present one")
        written = _written(session, merchant_id, week.until)
        if written is None:
            return {"people": 0, "reason": "nothing to tell"}
        people = digest.address(session, merchant_id, week)
    queue.announce_work()
    return {"people": people}


def _send(task: ClaimedTask) -> dict[str, Any]:
    """One person's digest, under the task's own key however often: the provider sends it once."""
    merchant_id, user_id = task.tenant, str(task.payload["user_id"])
    if clock.now() >= datetime.fromisoformat(task.payload["give_up_at"]):
        raise Discard("it is too late: the provider may no longer know whether it has sent this one")
    with db.tenant_session(merchant_id) as session:
        connected = merchants.get_merchant(session, merchant_id).is_connected
        address = identity.team_addresses(session, merchant_id).get(user_id)
        written = _written(session, merchant_id, date.fromisoformat(task.payload["until"]))
    if not connected or address is None or written is None:
        raise Discard("the account, the person or what there was to tell is gone")
    name = task.key or f"task-{task.id}"
    mail = TeamMail(name, DIGEST, address, written.subject, written.html, written.plain)
    done = team_mail.carry(merchant_id, mail)
    with db.tenant_session(merchant_id) as session:
        _tell(session, merchant_id, done, written.subject)
    return done


def _tell(session: Session, merchant_id: str, done: dict[str, Any], subject: str) -> None:
    if done["sent"]:
        audit.log_event(session, merchant_id, "digest.sent", f"Weekly digest sent to one person. {subject}.")
    elif done.get("reason") == team_mail.OUTBOX:
        said = f"Weekly digest written to the outbox: no sender is configured. {subject}."
        audit.log_event(session, merchant_id, "digest.not_sent", said)


def _written(session: Session, merchant_id: str, until: date) -> digest.Digest | None:
    return digest.weekly(session, merchant_id, until, f"{settings().public_url}/dashboard")
