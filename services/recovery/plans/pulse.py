"""The Pulse Engine: what falls due before the next pulse becomes tasks, page by page, so that memory stays flat.

A plan is checked before it becomes a task: one that no longer stands (the week is full by now, somebody unsubscribed)
is made anew for the moment at which the message can go, and costs no task. A task's key carries the moment it was due,
so that two pulses, a hunt and an event's handler plan the same message once. That no step goes out twice is not this
key's work but the message slot's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from services.analytics import shards
from services.messaging.schedule import EXHAUST, SEND, Action
from services.recovery.lifecycle import Trigger
from services.recovery.plans import lines, plan_repository, planning, upcoming
from services.recovery.schemas import Planned, PlanRow
from services.recovery.work import MerchantContext, Work, merchant_context

PAGE = 3000
REPLANNED = 250
"""Ghosts planned anew in one transaction, which holds the shards of their customers."""


Place = tuple[datetime, str]
"""Where a page of what is due goes on: after the moment and the id of a ghost."""
Unsettled = tuple[PlanRow, Action]
"""A ghost whose plan no longer stands, as it was read, and what it gets instead."""


@dataclass(frozen=True, slots=True)
class Pulsed:
    """What one page of a pulse did; `after` is where the next one goes on, None when nothing is left.

    `left` is what of the page is still to be settled, a slice (`slices`) in a transaction of its own.
    """

    messages: int
    exhausted: int
    moved: int
    after: Place | None
    left: tuple["Unsettled", ...] = ()
    found: bool = field(default=True, compare=False)
    """Whether anything was due at all."""


def _nobody(_place: Place | None) -> None:
    """Who goes on only once a page is done."""


def plan_due(
    session: Session,
    merchant_id: str,
    now: datetime,
    after: Place | None = None,
    found: Callable[[Place | None], object] = _nobody,
) -> Pulsed:
    """Plan one page of what is due before the next pulse, in the caller's transaction.

    Messages of all the page; of what no longer stands the first slice. Who holds the shards of thousands of customers
    keeps all their clicks and payments waiting. `found` hears where the next page begins before this one is planned:
    pages wait for each other's shards only.
    """
    merchant = merchant_context(session, merchant_id)
    due = plan_repository.list_due(session, merchant_id, now + upcoming.AHEAD, PAGE, after)
    following = _place(due[-1]) if len(due) == PAGE else None
    found(following)
    if not due:
        return Pulsed(0, 0, 0, None, found=False)
    others = plan_repository.list_chased_of_customers
    actions = {ghost.id: action for ghost, action in planning.plans(session, merchant, due, now, others)}
    standing, rest = [], []
    for ghost in due:
        action = actions[ghost.id]
        if _stands(ghost, action, now):
            standing.append(upcoming.Due(ghost.id, action.step, action.channel, ghost.next_action_at or now))
        elif ghost.next_action != EXHAUST or _is_over(ghost, now):
            rest.append((ghost, action))
    # Shards first and keys of tasks after them, as everybody takes them: else two could wait for each other.
    exhausted, moved = _settle(session, merchant, rest[:REPLANNED], now) if rest else (0, 0)
    messages = upcoming.schedule_messages(session, merchant_id, standing, now)
    return Pulsed(messages, exhausted, moved, following, tuple(rest[REPLANNED:]))


def _place(last: PlanRow) -> Place:
    assert last.next_action_at is not None  # noqa: S101  # the query asks for it
    return last.next_action_at, last.id


def slices(left: Sequence[Unsettled]) -> list[Sequence[Unsettled]]:
    """What a page left, in parts for one transaction each."""
    return [left[start : start + REPLANNED] for start in range(0, len(left), REPLANNED)]


def settle(session: Session, merchant_id: str, part: Sequence[Unsettled], now: datetime) -> tuple[int, int]:
    """Settle one slice, in the caller's transaction: how many were given up, and how many planned anew."""
    return _settle(session, merchant_context(session, merchant_id), part, now)


def _stands(ghost: Planned, action: Action, now: datetime) -> bool:
    """Whether a message is to go when it was planned to, or at once if that is past."""
    if action.name != SEND or ghost.next_action != SEND or action.at is None or ghost.next_action_at is None:
        return False
    return action.at <= max(ghost.next_action_at, now)


def _is_over(ghost: Planned, now: datetime) -> bool:
    return ghost.next_action_at is not None and ghost.next_action_at <= now


def _settle(session: Session, merchant: MerchantContext, rest: Sequence[Unsettled], now: datetime) -> tuple[int, int]:
    """Give up what is over, and plan anew what no longer stands as it did. How many of each."""
    work = Work.begin(session, merchant, now, shards.of_customers(ghost.customer_id for ghost, _ in rest))
    read = {ghost.id: (ghost, action) for ghost, action in rest}
    exhausted = moved = 0
    for ghost in plan_repository.lock_ghosts(session, merchant.id, sorted(read)):
        before, action = read[ghost.id]
        over = action.name == EXHAUST and action.at is not None and action.at <= now
        if over and ghost.next_action_at == before.next_action_at:  # nobody was faster
            exhausted += work.move(ghost, Trigger.EXHAUSTED, action.reason)
        else:
            work.plan(ghost)
            moved += 1
    work.finish()
    return exhausted, moved


def replan(session: Session, merchant_id: str, now: datetime, after: str) -> str | None:
    """Plan one page of all open ghosts anew, and of those apart to which something may be said once, in the caller's
    transaction: those whose ids come after the given one. Of what is on the other side of the high-value line by now,
    somebody else decides first.

    The id to go on after, None when none is left.
    """
    merchant = merchant_context(session, merchant_id)
    rows = plan_repository.list_plannable_after(session, merchant_id, merchant.policy, now, after, REPLANNED)
    held = shards.of_customers(ghost.customer_id for ghost in rows)
    work = Work.begin(session, merchant, now, held)
    ghosts = plan_repository.lock_ghosts(session, merchant_id, [ghost.id for ghost in rows])
    lines.draw_anew(work, ghosts)
    for ghost in ghosts:
        work.plan(ghost)
    work.finish()
    return rows[-1].id if len(rows) == REPLANNED else None
