"""The Pulse Engine's planning: what is due becomes tasks, page by page, so that memory stays flat.

A task's key carries the moment it was due: planning twice makes one task, and a step that was held and planned
anew gets a new one. That no step goes out twice is not this key's work but the message slot's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from models.ghost import GhostTarget
from services.analytics import shards
from services.messaging import schedule
from services.recovery import repository
from services.recovery.lifecycle import Trigger
from services.recovery.work import Work, merchant_context
from services.tasks import service as tasks

PAGE = 500
RETRY = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Planned:
    """What one page of a pulse did; `after` is where the next one goes on, None when nothing is left."""

    messages: int
    exhausted: int
    after: tuple[datetime, str] | None


def message_key(ghost: GhostTarget) -> str:
    """The idempotency key of the task that sends a ghost's next message at the moment it is due."""
    due = int(ghost.next_action_at.timestamp()) if ghost.next_action_at else 0
    return f"message:{ghost.id}:{ghost.messages_sent + 1}:{due}"


def plan_due(session: Session, merchant_id: str, now: datetime, after: tuple[datetime, str] | None = None) -> Planned:
    """Plan one page of what is due for a merchant, in the caller's transaction."""
    merchant = merchant_context(session, merchant_id)
    work = Work.begin(session, merchant, now, shards.ALL)
    due = repository.list_due(session, merchant_id, now, PAGE, after)
    if not due:
        return Planned(0, 0, None)
    last = due[-1]
    assert last.next_action_at is not None  # noqa: S101  # the query asks for it
    position = (last.next_action_at, last.id)
    messages = exhausted = 0
    for ghost in due:
        if ghost.next_action == schedule.EXHAUST:
            exhausted += work.move(ghost, Trigger.EXHAUSTED, ghost.next_action_reason)
        elif ghost.next_action == schedule.SEND and now >= ghost.found_at + merchant.policy.window:
            exhausted += work.move(ghost, Trigger.EXHAUSTED, "Its window is over.")
        elif ghost.next_action == schedule.SEND:
            tasks.schedule(
                session,
                kind="send_message",
                merchant_id=merchant_id,
                key=message_key(ghost),
                payload={"ghost_id": ghost.id, "step": ghost.messages_sent + 1},
                run_at=ghost.next_action_at,
            )
            # Sending plans the ghost anew. If its task is discarded or dies, the pulse comes back in some hours, at
            # another moment and so under another key.
            ghost.next_action_at = now + RETRY
            messages += 1
    work.finish()
    return Planned(messages, exhausted, position if len(due) == PAGE else None)
