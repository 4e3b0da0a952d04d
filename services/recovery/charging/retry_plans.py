"""When PHANTOM charges next, kept with each ghost, and the tasks that do it.

A plan is made wherever a ghost changes, and the hourly pulse looks at those whose moment is near: what still stands
becomes a task for exactly that moment, the rest is planned anew. A task's key carries the moment, so planning twice
makes one task; that no charge is made twice is not this key's work but the attempt's (`retrying.py`).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import Session

from models.ghost import GhostTarget
from services.analytics import shards
from services.recovery.charging import attempts_repository, retries
from services.recovery.plans import plan_repository
from services.recovery.plans.planning import Merchant
from services.tasks import service as tasks

AHEAD = timedelta(hours=1)  # until the next pulse
PAGE = 250  # a page holds the shards of its customers


def plan(session: Session, merchant: Merchant, ghost: GhostTarget, now: datetime) -> None:
    """Keep with the ghost when it is charged next or looked at again, and schedule what comes before the next pulse.

    A moment that has come and still stands is left as it is: its task is under way.
    """
    policy, zone, case = merchant.policy, merchant.timezone, retries.case_of(ghost)
    planned = ghost.next_retry_at
    if planned is None or not retries.stands(policy, case, planned, now, zone):
        retry = retries.next_retry(policy, case, now, zone)
        ghost.next_retry_at, ghost.retry_reason = retry.look_at, retry.reason
        if retry.at is None:
            return
    assert ghost.next_retry_at is not None  # noqa: S101  # a charge has its moment
    if ghost.next_retry_at <= now + AHEAD:
        _schedule(session, ghost, ghost.next_retry_at)


def round_of(session: Session, merchant: Merchant, now: datetime, after: tuple[datetime, str] | None) -> tuple[
    Sequence[GhostTarget], tuple[datetime, str] | None
]:  # fmt: skip
    """Look at one page of the charges that are near; the ghosts, and where the next page goes on.

    Under their customers' shards, like all that plans: whoever plans one of them at the same moment would write the
    same task.
    """
    near = attempts_repository.list_due(session, merchant.id, now + AHEAD, PAGE, after)
    if not near:
        return (), None
    shards.hold(session, merchant.id, shards.of_customers(each.customer_id for each in near))
    ghosts = plan_repository.lock_ghosts(session, merchant.id, [each.id for each in near])
    due = [ghost for ghost in ghosts if ghost.next_retry_at is not None and ghost.next_retry_at <= now + AHEAD]
    for ghost in due:
        plan(session, merchant, ghost, now)
    return due, (near[-1].at, near[-1].id) if len(near) == PAGE else None


def _schedule(session: Session, ghost: GhostTarget, at: datetime) -> None:
    tasks.schedule(
        session,
        kind="dunning_retry",
        merchant_id=ghost.merchant_id,
        key=f"retry:{ghost.id}:{int(at.timestamp())}",
        payload={"ghost_id": ghost.id},
        run_at=at,
        priority=5,
    )
