"""The tasks of messages that are planned before the next pulse comes.

A task's key carries the moment its message is due, so that two pulses, a hunt and an event's handler plan the same
message once.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import NamedTuple

from sqlmodel import Session

from models.messaging import Channel
from services.messaging.schedule import SEND, Action
from services.recovery.plans.planning import lasting_moment
from services.recovery.schemas import Planned
from services.tasks import service as tasks
from services.tasks.schedules import PULSE, gathered, slot_key
from services.tasks.schemas import NewTask

AHEAD = PULSE.every
"""How far ahead messages get tasks: until the next pulse, so that each goes at its moment and not at a pulse's."""
RETRY = timedelta(hours=6)
"""After this long a message that was due and did nothing (its task died, or was laid aside) gets another task."""
SINGLE_PLAN_LIMIT = 5
SHARE = timedelta(seconds=10)
COMMITTED = timedelta(seconds=5)
"""The longest that a page's transaction may take, for the pulse to see what it found."""


class Due(NamedTuple):
    """A message that has its moment."""

    ghost_id: str
    step: int
    channel: Channel
    at: datetime


def message_key(due: Due, now: datetime) -> str:
    """The idempotency key of the task that sends a message: the same for whoever plans it."""
    again = max(timedelta(), now - due.at) // RETRY
    return f"message:{due.ghost_id}:{due.step}:{int(due.at.timestamp())}" + (f":{again}" if again else "")


def schedule_messages(session: Session, merchant_id: str, messages: Iterable[Due], now: datetime) -> int:
    """A task for each of these messages that has none; how many are new.

    In the order of their keys: who writes the same ones at the same moment waits and cannot be waited for.
    """
    wanted = [
        NewTask(
            key=message_key(due, now),
            payload={"ghost_id": due.ghost_id, "step": due.step, "channel": due.channel.value},
            run_at=due.at,
        )
        for due in messages
    ]
    wanted.sort(key=attrgetter("key"))
    return tasks.schedule_many(session, kind="send_message", merchant_id=merchant_id, wanted=wanted)


def soon(session: Session, merchant_id: str, plans: Iterable[tuple[Planned, Action]], now: datetime) -> None:
    """Have messages that were just planned go at their moment, where that comes before the next pulse.

    A few get their tasks at once; of many, as a hunt finds them, one pulse takes care: the pages of some seconds share
    it, so that a hunt of a thousand pages makes no thousand pulses.
    """
    due = [
        Due(ghost.id, action.step, action.channel, lasting_moment(ghost, action, now) or now)
        for ghost, action in plans
        if action.name == SEND and action.at is not None and action.at < now + AHEAD
    ]
    if len(due) <= SINGLE_PLAN_LIMIT:
        schedule_messages(session, merchant_id, due, now)
        return
    share, at = gathered(now, SHARE, COMMITTED)
    tasks.schedule(
        session,
        kind="pulse",
        merchant_id=merchant_id,
        key=slot_key("pulse:soon", merchant_id, share),
        run_at=at,
    )
