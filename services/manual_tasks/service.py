"""What people do with manual tasks: see them, take them, let the draft go, close them and open them again.

Of two people who act on one task at the same time one wins and the other is told: each act locks the task's row and
looks whether it still is what the person saw.
"""

from dataclasses import replace

from sqlmodel import Session

from core import clock
from models.ghost import OPEN_STATES, GhostState, GhostTarget, ManualTask, ManualTaskState
from services.audit import service as audit
from services.identity import service as identity
from services.identity.permissions import Permission
from services.manual_tasks import repository
from services.manual_tasks.errors import (
    BadManualTaskError,
    ManualTaskMovedError,
    ManualTaskNotFoundError,
    NothingToReleaseError,
)
from services.manual_tasks.schemas import Draft, TaskLine, TaskPage
from services.merchants.policies import RecoveryPolicy
from services.messaging import schedule
from services.messaging.history import History
from services.messaging.own_service import own_words
from services.messaging.reach import address_of
from services.recovery import manual, neighbours
from services.recovery import repository as ghosts
from services.recovery.credit import settle
from services.recovery.lifecycle import Trigger, can
from services.recovery.messages.composing import compose
from services.recovery.plans import planning
from services.recovery.work import MerchantContext, Work, merchant_context

PAGE_SIZE = 20
LONGEST_REASON = 500
NOWHERE = "#"
STILL_POSSIBLE = "You can still reach the customer yourself, or close the task; a payment still counts."


def list_tasks(session: Session, merchant_id: str, state: ManualTaskState, page: int = 1) -> TaskPage:
    """One page of the merchant's tasks. A page past the end answers the last one."""
    total = repository.count(session, merchant_id, state)
    pages = max(1, -(-total // PAGE_SIZE))
    page = min(max(1, page), pages)
    rows = repository.list_page(session, merchant_id, state, (page - 1) * PAGE_SIZE, PAGE_SIZE)
    return TaskPage(tuple(line_of(row) for row in rows), total, page, pages)


def count_open(session: Session, merchant_id: str) -> int:
    """How many tasks wait for a person."""
    return repository.count(session, merchant_id, ManualTaskState.OPEN)


def task_of_ghost(session: Session, merchant_id: str, ghost_id: str) -> str:
    """The open task about a ghost; empty when nothing waits."""
    found = repository.get_of_ghost(session, merchant_id, ghost_id)
    return found.id if found is not None and found.state == ManualTaskState.OPEN else ""


def assignable(session: Session, merchant_id: str) -> dict[str, str]:
    """Who may be given a task: names by user id."""
    return identity.people_who_may(session, merchant_id, Permission.MANUAL_TASKS_MANAGE)


def assign(session: Session, merchant_id: str, task_id: str, assignee_id: str, *, seen: str, actor_id: str) -> None:
    """Give a task to a member, who is told by mail unless they took it themselves, or to nobody.

    `seen` is whom the person saw it with.

    Raises `ManualTaskMovedError` when it changed hands or was closed meanwhile, `BadManualTaskError` for somebody who
    may not work on it.
    """
    if assignee_id and assignee_id not in assignable(session, merchant_id):
        raise BadManualTaskError("This person may not work on tasks.")
    task = _open_task(session, merchant_id, task_id)
    if (task.assignee_id or "") != seen:
        raise ManualTaskMovedError("Somebody else has just assigned this task.")
    task.assignee_id = assignee_id or None
    if assignee_id and assignee_id != actor_id:
        _tell(session, task, assignee_id)
    _audit(session, task, "assigned", actor_id, assignee=assignee_id)


def _tell(session: Session, task: ManualTask, assignee_id: str) -> None:
    """By a mail of their own once the team was told; the mail that tells of the task first goes to them alone."""
    if task.alerted_at is None:
        manual.tell(session, task.merchant_id, clock.now())
    else:
        manual.tell_assignee(session, task.merchant_id, task.id, assignee_id, clock.now())


def draft(session: Session, merchant_id: str, task_id: str) -> Draft:
    """The message a release would send now. Reads only. Raises `NothingToReleaseError` where none can follow."""
    task = _known(repository.get(session, merchant_id, task_id))
    ghost = _ghost_of(session, task)
    merchant = merchant_context(session, merchant_id)
    history = _history_of(session, merchant, ghost)
    channel, step = schedule.channel_of(history), history.step
    own = own_words(session, merchant_id)
    number = history.messages_got + 1
    composed = compose(
        merchant, ghost, number, pay_url=NOWHERE, unsubscribe_url=NOWHERE, channel=channel, own=own, is_last=True
    )  # none follows unless a person releases it
    return Draft(address_of(channel, ghost), composed.subject, composed.html, composed.plain, step, channel)


def release(session: Session, merchant_id: str, task_id: str, *, actor_id: str) -> None:
    """Let one message go: planned now and sent like any other, so that every check before a message holds.

    Raises `ManualTaskMovedError` when somebody has just done so or closed the task, `NothingToReleaseError` when
    no message can follow.
    """
    work = _begin(session, merchant_id, task_id)
    task = _open_task(session, merchant_id, task_id)
    ghost = _ghost_of(session, task, lock=True)
    if task.released_at is not None and (ghost.contacted_at is None or ghost.contacted_at < task.released_at):
        raise ManualTaskMovedError("This message was released already; it goes out at its hour.")
    step = _history_of(session, work.merchant, ghost).step
    if work.merchant.policy.paused:
        raise NothingToReleaseError("Messages are off: start them in Settings first.")
    task.released_at, task.released_by = work.now, actor_id
    session.flush()  # the plan looks whether it was released
    work.plan(ghost)
    work.event(ghost, "draft_released", "A person let the message go.", step=step)
    work.finish()
    _audit(session, task, "released", actor_id, step=step)


def close(
    session: Session, merchant_id: str, task_id: str, reason: str, *, actor_id: str, write_off: bool = False
) -> None:
    """A person is done with it; what they released and did not go yet is taken back.

    The ghost stays open until its days are over, in case it is paid; with `write_off` it counts as lost at once.
    Raises `BadManualTaskError` without a reason, `ManualTaskMovedError` when closed.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > LONGEST_REASON:
        raise BadManualTaskError(f"Say why, in up to {LONGEST_REASON} characters.")
    work = _begin(session, merchant_id, task_id)
    task = _open_task(session, merchant_id, task_id)
    task.state, task.closed_reason = ManualTaskState.DONE, reason
    task.closed_by, task.closed_at = actor_id, work.now
    task.released_at = task.released_by = None
    ghost = _ghost_of(session, task, lock=True)
    session.flush()  # the plan looks whether it was closed
    work.plan(ghost)
    if write_off:
        settle.lose(work, ghost, "Written off by a person.", Trigger.LOST, still_open=True)
    work.finish()
    # why stands in the task alone, where a purge finds it
    _audit(session, task, "closed", actor_id, written_off=write_off)


def reopen(session: Session, merchant_id: str, task_id: str, *, actor_id: str) -> None:
    """Have it wait for a person again.

    Raises `ManualTaskMovedError` when it does, `BadManualTaskError` when it is paid or its customer forgotten.
    """
    work = _begin(session, merchant_id, task_id)
    task = _known(repository.get(session, merchant_id, task_id, lock=True))
    if task.state == ManualTaskState.OPEN:
        raise ManualTaskMovedError("Somebody else has opened this task again already.")
    ghost = _ghost_of(session, task, lock=True)
    if GhostState(ghost.state) in (GhostState.RECOVERED, GhostState.REVERSED):
        raise BadManualTaskError("The invoice is paid: there is nothing left to do.")
    if ghost.purged_at is not None:
        raise BadManualTaskError("The customer's personal data was removed: there is nobody left to write to.")
    if ghost.state not in OPEN_STATES:
        raise BadManualTaskError("It is over: no message can follow any more.")
    task.state, task.closed_reason, task.closed_by, task.closed_at = ManualTaskState.OPEN, "", None, None
    session.flush()  # the plan looks whether it waits for a person
    work.plan(ghost)
    work.finish()
    _audit(session, task, "reopened", actor_id)


def line_of(row: repository.Joined) -> TaskLine:
    """A joined row as the value the screens get."""
    task, ghost, assignee, closer = row
    return TaskLine(
        id=task.id,
        ghost_id=task.ghost_id,
        state=ManualTaskState(task.state),
        reason=task.reason,
        customer=ghost.customer_name or ghost.customer_email or ghost.customer_id or "Unknown customer",
        email=ghost.customer_email or "",
        phone=ghost.customer_phone or "",
        amount=ghost.amount_cents,
        currency=ghost.currency,
        ghost_state=GhostState(ghost.state),
        decline_group=ghost.decline_group,
        assignee_id=task.assignee_id or "",
        assignee=assignee,
        created_at=task.created_at,
        alerted_at=task.alerted_at,
        released_at=task.released_at,
        last_message_at=ghost.contacted_at,
        goes_at=ghost.next_action_at if ghost.next_action == schedule.SEND else None,
        why_next=ghost.next_action_reason,
        closed_at=task.closed_at,
        closed_reason=task.closed_reason,
        closed_by=closer,
    )


def _begin(session: Session, merchant_id: str, task_id: str) -> Work:
    """Keep others from changing the task's ghost until the transaction ends: it may be paid this very moment."""
    task = _known(repository.get(session, merchant_id, task_id))
    needed = neighbours.of_ghosts(session, merchant_id, [task.ghost_id])
    return Work.begin(session, merchant_context(session, merchant_id), clock.now(), needed)


def _open_task(session: Session, merchant_id: str, task_id: str) -> ManualTask:
    """The task, locked and open. Raises `ManualTaskMovedError` for one that was closed meanwhile."""
    task = _known(repository.get(session, merchant_id, task_id, lock=True))
    if task.state != ManualTaskState.OPEN:
        raise ManualTaskMovedError("This task has been closed meanwhile.")
    return task


def _known(task: ManualTask | None) -> ManualTask:
    if task is None:
        raise ManualTaskNotFoundError
    return task


def _ghost_of(session: Session, task: ManualTask, *, lock: bool = False) -> GhostTarget:
    ghost = ghosts.get_ghost(session, task.merchant_id, task.ghost_id, lock=lock)
    if ghost is None:
        raise ManualTaskNotFoundError
    return ghost


def _history_of(session: Session, merchant: MerchantContext, ghost: GhostTarget) -> History:
    """What decides how a message would go. Raises `NothingToReleaseError` where none would follow if it were let go."""
    if not can(GhostState(ghost.state), Trigger.MESSAGE_SENT):
        raise NothingToReleaseError(f"The ghost is {ghost.state}.")
    now = clock.now()
    ((history,),) = planning.read_histories(session, merchant, [[ghost]], now)
    released = replace(history, released_at=now)
    going = merchant.policy.model_copy(update={"paused": False})  # a draft can be read before the merchant's go
    action = schedule.next_action(released, going, now, merchant.timezone)
    if action.name != schedule.SEND:
        raise NothingToReleaseError(_why_none(released, going, action.reason))
    return history


def _why_none(history: History, policy: RecoveryPolicy, reason: str) -> str:
    """Why no message follows, and what a person can still do."""
    if reason == schedule.ASKED_ENOUGH:
        reason = f"The customer got all of {policy.messages_per_ghost} messages."
    return reason if schedule.why_silent(history) else f"{reason} {STILL_POSSIBLE}"


def _audit(session: Session, task: ManualTask, what: str, actor_id: str, **facts: object) -> None:
    audit.record_audit(
        session,
        task.merchant_id,
        f"manual_task.{what}",
        actor_id=actor_id,
        target=task.id,
        facts={"ghost_id": task.ghost_id, **facts},
    )
