"""Charges of ours that nobody will hear of any more: refused before they were made, or begun too long ago to ask."""

from collections.abc import Sequence
from datetime import timedelta

from sqlmodel import Session

from core import clock
from models.ghost import GhostState
from models.money import UNSETTLED, AttemptState
from services.audit import service as audit
from services.recovery import neighbours, repository
from services.recovery.charging import attempts_repository, paying, retrying
from services.recovery.charging.paying import BANKS_TIME, KEY_MEMORY, Charge, NotChargedError
from services.recovery.work import Work, merchant_context

PAGE = 250  # a page holds the shards of its customers
GRACE = timedelta(hours=1)  # the attempt's own task comes first


def give_up(session: Session, merchant_id: str, planned: Charge, refusal: NotChargedError) -> bool:
    """Stripe refused the call itself: nothing was charged, nothing is claimed, and the ghost's page says why.

    False when something else was written down already.
    """
    now = clock.now()
    needed = neighbours.of_ghosts(session, merchant_id, [planned.ghost_id])
    work = Work.begin(session, merchant_context(session, merchant_id), now, needed)
    attempt = repository.get_attempt(session, merchant_id, planned.idempotency_key)
    ghost = repository.get_ghost(session, merchant_id, planned.ghost_id, lock=True)
    if ghost is None or attempt is None or attempt.state != AttemptState.STARTED:
        return False
    attempt.state, attempt.settled_at = AttemptState.GIVEN_UP, now
    reason = f"Nothing was charged. {refusal.why}"
    work.event(ghost, "own_attempt_given_up", reason, code=refusal.stripe_code or refusal.code)
    audit.log_event(session, merchant_id, "recovery.attempt_given_up", reason, facts={"ghost_id": ghost.id})
    if planned.is_retry:
        paying.count_retry(work, ghost, attempt)
    else:
        work.plan(ghost)
    work.finish()
    return True


def has_old(session: Session, merchant_id: str) -> bool:
    """Whether there is anything for `settle_old`."""
    return bool(_old(session, merchant_id, 1))


def settle_old(session: Session, merchant_id: str) -> int:
    """Settle a page of what was begun and nobody can ask for any more; how many. Less than `PAGE`: none is left.

    A task that died over it would leave it begun for ever: it would eat a card's budget, and hide what a customer
    tries by themselves.
    """
    now, old = clock.now(), _old(session, merchant_id, PAGE)
    needed = neighbours.of_ghosts(session, merchant_id, [ghost_id for ghost_id, _ in old])
    work = Work.begin(session, merchant_context(session, merchant_id), now, needed)
    for ghost_id, key in old:
        ghost = repository.get_ghost(session, merchant_id, ghost_id, lock=True)
        attempt = repository.get_attempt(session, merchant_id, key)
        if ghost is None or attempt is None or attempt.state not in UNSETTLED:
            continue  # somebody was faster
        paying.leave(attempt, ghost, now, is_paid=ghost.state == GhostState.RECOVERED)
        if retrying.is_key(key):
            paying.count_retry(work, ghost, attempt)
        else:
            work.plan(ghost)
    work.finish()
    return len(old)


def _old(session: Session, merchant_id: str, limit: int) -> Sequence[tuple[str, str]]:
    now = clock.now()
    return attempts_repository.list_unsettled(session, merchant_id, now - KEY_MEMORY - GRACE, now - BANKS_TIME, limit)
