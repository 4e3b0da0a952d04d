"""Telling people that a task waits for them: once a task, several in one mail, each person's under a key of its own."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session

from core import clock
from core.money import Money, format_money
from models.ghost import ManualTask, ManualTaskState
from services.audit import service as audit
from services.identity import service as identity
from services.manual_tasks import repository
from services.manual_tasks.schemas import TaskLine
from services.manual_tasks.service import line_of
from services.merchants import service as merchants
from services.messaging.layout import html_layout, plain_layout
from services.recovery import manual
from services.tasks import service as tasks

KIND = "notify_action_required"
MOST = 200  # tasks of one mail; a hunt may find many at once
SHOWN = 20
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Alert:
    """A mail without its recipient."""

    subject: str
    html: str
    plain: str


def address(session: Session, merchant_id: str, now: datetime) -> int:
    """A task for each person to be told of what nobody was told of yet, in the caller's transaction; how many.

    The assignee of a task, else the merchant's owners and admins. Marking what was told and making the mails' tasks
    is one commit, so that nobody is told twice and nothing is forgotten. What nobody could be told of is told of with
    the next task that waits.
    """
    waiting = repository.lock_unalerted(session, merchant_id, MOST)
    people = _by_person(session, merchant_id, waiting)
    told_of = {task_id for told in people.values() for task_id in told}
    for task in waiting:
        task.alerted_at = now if task.id in told_of else None
    if len(waiting) == MOST and told_of:
        manual.tell(session, merchant_id, now)
    for user_id, told in people.items():
        tasks.schedule(
            session,
            kind=KIND,
            merchant_id=merchant_id,
            key=f"alert:{told[0]}:{user_id}",
            payload={"user_id": user_id, "task_ids": told, "give_up_at": (now + manual.LONGEST_TRY).isoformat()},
            priority=5,
        )
    if waiting and not people:
        audit.log_event(
            session, merchant_id, "manual_task.nobody_to_tell", "A task waits, and no owner's address is confirmed."
        )
    return len(people)


def _by_person(session: Session, merchant_id: str, waiting: Sequence[ManualTask]) -> dict[str, list[str]]:
    team = list(identity.team_addresses(session, merchant_id))
    reachable = identity.member_addresses(session, merchant_id)
    found: dict[str, list[str]] = defaultdict(list)
    for task in waiting:
        for user_id in [str(task.assignee_id)] if task.assignee_id in reachable else team:
            found[user_id].append(task.id)
    return dict(found)


def written(
    session: Session, merchant_id: str, task_ids: Sequence[str], url: str, *, by_name: bool = True
) -> Alert | None:
    """The mail about those of these tasks that still wait; None when none does. `url` is where the list stands.

    Without `by_name` customers are called by their ids at Stripe, which is all that is kept of people for good.
    """
    rows = repository.list_lines(session, merchant_id, task_ids)
    lines = [line_of(row) if by_name else _nameless(row) for row in rows]
    waiting = [line for line in lines if line.state is ManualTaskState.OPEN]
    if not waiting:
        return None
    values = {
        "merchant": merchants.get_merchant(session, merchant_id).name,
        "subject": _subject(waiting),
        "lines": [_words(line) for line in waiting[:SHOWN]],
        "more": max(0, len(waiting) - SHOWN),
        "url": url,
    }
    return Alert(
        subject=str(values["subject"]),
        html=html_layout(_TEMPLATES / "alert.mjml.j2").render(values),
        plain=plain_layout(_TEMPLATES / "alert.txt.j2").render(values),
    )


def _subject(waiting: Sequence[TaskLine]) -> str:
    if len(waiting) > 1:
        return f"{len(waiting)} unpaid invoices wait for your decision"
    return f"{_amount(waiting[0])} unpaid: your decision is wanted"


def _nameless(row: repository.Joined) -> TaskLine:
    return replace(line_of(row), customer=row.ghost.customer_id or "A customer")


def _words(line: TaskLine) -> dict[str, str]:
    return {"customer": line.customer, "amount": _amount(line), "reason": line.reason}


def _amount(line: TaskLine) -> str:
    return format_money(Money(line.amount, line.currency))


def is_too_late(give_up_at: str) -> bool:
    """Whether the provider may have forgotten by now that it sent this one."""
    return clock.now() >= datetime.fromisoformat(give_up_at)


def tell_anew(session: Session, merchant_id: str, key: str, payload: Mapping[str, Any]) -> None:
    """Another task under another name for a mail that certainly nobody got, in the caller's transaction.

    `key` and `payload` are those of the task that is given up; made again it is the same one.
    """
    name = str(payload.get("name", key))
    given_up, ends = datetime.fromisoformat(str(payload["give_up_at"])), clock.now() + manual.LONGEST_TRY
    tasks.schedule(
        session,
        kind=KIND,
        merchant_id=merchant_id,
        key=f"{name}:{int(given_up.timestamp())}",
        payload={
            "user_id": payload["user_id"],
            "task_ids": payload["task_ids"],
            "give_up_at": ends.isoformat(),
            "name": name,
        },
        priority=5,
    )


def note_doubt(session: Session, merchant_id: str) -> None:
    """Nobody can say whether the provider sent a mail: it is not sent again, and the merchant can read why."""
    said = "A task waits for a person. It is not known whether the mail about it went out, so no other one does."
    audit.log_event(session, merchant_id, "manual_task.alert_uncertain", said, level="warning")
