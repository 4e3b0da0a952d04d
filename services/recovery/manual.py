"""A ghost that waits for a person gets a task, and the task ends with what made it necessary."""

from datetime import datetime, timedelta

from sqlmodel import Session

from core import ids
from models.ghost import OPEN_STATES, GhostState, GhostTarget, ManualTaskState
from services.recovery import repository
from services.tasks import service as tasks
from services.tasks.schedules import gathered, slot_key

GATHER = timedelta(minutes=1)  # what a hunt finds page by page is told of in one mail
COMMITTED = timedelta(seconds=30)  # the longest that a page's transaction may take, for that mail to know of it
LONGEST_TRY = timedelta(hours=23)  # the provider remembers a mail's key for 24 hours

_WHY_OVER = {
    GhostState.RECOVERED: "Closed by itself: the invoice was paid.",
    GhostState.LOST: "Closed by itself: the invoice can no longer be collected.",
    GhostState.STOPPED: "Closed by itself: nobody is asked for this payment any more.",
}
BELOW_THE_LINE = "Closed by itself: no person is needed for it any more."
NOTHING_FOLLOWS = "Closed by itself: no message can follow any more."


def open_task(session: Session, ghost: GhostTarget, now: datetime) -> None:
    """Have a person decide about this ghost, and soon be told; once. What had closed itself is open again.

    What is over leaves nothing to decide: nobody would ever close its task.
    """
    if ghost.state not in OPEN_STATES:
        return
    row = {
        "merchant_id": ghost.merchant_id,
        "id": ids.new_id("mt"),
        "ghost_id": ghost.id,
        "state": ManualTaskState.OPEN.value,
        "reason": ghost.strategy_reason,
        "closed_reason": "",
        "created_at": now,
    }
    if not repository.put_manual_task(session, row):
        return
    tell(session, ghost.merchant_id, now)


def tell(session: Session, merchant_id: str, now: datetime) -> None:
    """Have everybody concerned told of the tasks nobody was told of, in a minute or two."""
    share, at = gathered(now, GATHER, COMMITTED)
    tasks.schedule(
        session,
        kind="notify_action_required",
        merchant_id=merchant_id,
        key=slot_key("alert", merchant_id, share),
        run_at=at,
        priority=5,
    )


def tell_assignee(session: Session, merchant_id: str, task_id: str, user_id: str, now: datetime) -> None:
    """Have somebody told by mail of the task that was given to them; once a task and person."""
    tasks.schedule(
        session,
        kind="notify_action_required",
        merchant_id=merchant_id,
        key=f"assigned:{task_id}:{user_id}",
        payload={"user_id": user_id, "task_ids": [task_id], "give_up_at": (now + LONGEST_TRY).isoformat()},
        priority=5,
    )


def end_task(session: Session, ghost: GhostTarget, now: datetime, reason: str) -> None:
    """Close the task of a ghost that is over; nothing happens where none is open. `reason` is why it was given up."""
    why = _WHY_OVER.get(GhostState(ghost.state))
    if ghost.state == GhostState.EXHAUSTED:
        why = f"{NOTHING_FOLLOWS} {reason}"
    if why is not None:
        repository.end_manual_task(session, ghost.merchant_id, ghost.id, why, now)


def no_person_needed(session: Session, ghost: GhostTarget, now: datetime) -> None:
    """The ghost fell below the line, or the line rose: the engine goes on with it."""
    repository.end_manual_task(session, ghost.merchant_id, ghost.id, BELOW_THE_LINE, now)
