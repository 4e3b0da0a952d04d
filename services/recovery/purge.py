"""Forgetting people: a ghost's personal data goes 90 days after it was found, or at once when a customer asks.

What stays is what figures need: amounts, dates, codes, ids of Stripe's objects. A ghost that is still chased ends
as exhausted, because nobody could be written to any more; a payment, however late, still finds it by its invoice.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlmodel import Session

from core import true_time
from models.ghost import GhostState, GhostTarget
from models.privacy import TombstoneKind
from services.analytics import shards
from services.audit import service as audit
from services.messaging import repository as messages
from services.recovery import presence, purge_repository, repository, tombstones
from services.recovery.errors import CustomerNotFoundError, GhostNotFoundError, NobodyToForgetError
from services.recovery.lifecycle import Trigger, can
from services.recovery.work import MerchantContext, Work, merchant_context
from services.tasks import service as tasks
from services.tasks.schedules import PURGE

REMOVED = "The customer's personal data was removed."
ON_REQUEST = "The customer's personal data was removed on request."
KEEP = timedelta(days=90)
KEEP_LINKS = timedelta(days=60)
"""For how long the links of a message work, whatever became of its ghost's person: a ghost's days may begin long after
it was found, and who got its mail yesterday can still pay, and still say that they want no more (RFC 8058)."""
PAGE = 200


def purge_due(session: Session, merchant_id: str, now: datetime) -> int:
    """Forget one page of ghosts that were found more than 90 days ago; how many. Fewer than `PAGE`: that was all.

    `now` is aware UTC; the caller commits each page. Raises `ClockAheadError` when `now` cannot be true.
    """
    true_time.require(session, now)
    work = Work.begin(session, merchant_context(session, merchant_id), now, shards.ALL)
    ghosts = repository.list_unpurged(session, merchant_id, found_before=now - KEEP, limit=PAGE)
    for ghost in ghosts:
        forget(work, ghost, "Its personal data was removed 90 days after it was found.")
    work.finish()
    finish(work, ghosts, links_since=_links_since(work.merchant, now))
    return len(ghosts)


def forget_links(session: Session, merchant_id: str, now: datetime) -> int:
    """Forget one page of links whose time is over, of ghosts that are forgotten; how many. As `purge_due` otherwise."""
    true_time.require(session, now)
    before = _links_since(merchant_context(session, merchant_id), now)
    return purge_repository.delete_links(session, merchant_id, before=before, limit=PAGE)


def _links_since(merchant: MerchantContext, now: datetime) -> datetime:
    """From when on links are kept; none of a merchant who left, because nobody can pay there through PHANTOM."""
    return now - KEEP_LINKS if merchant.active else now


def forget_unseen(session: Session, merchant_id: str, now: datetime) -> int:
    """Forget one page of customers whom nobody saw for 90 days; how many. Fewer than `PAGE`: that was all.

    As `purge_due` otherwise.
    """
    true_time.require(session, now)
    return presence.prune(session, merchant_id, now, PAGE)


def go_on_tomorrow(session: Session, merchant_id: str) -> bool:
    """Where no schedule looks any more, because the merchant is disconnected, a purge asks for the next one.

    Until nobody is left to be forgotten. False when no other purge is needed. The caller commits.
    """
    if merchant_context(session, merchant_id).active or not repository.has_unpurged(session, merchant_id):
        return False
    tasks.schedule_next(session, PURGE, merchant_id)
    return True


class Erasable(StrEnum):
    """Whether the customer of a ghost can be forgotten on request."""

    YES = "yes"
    DONE = "done"
    NOBODY = "nobody"  # Stripe never said whose invoice it is


def erasable(session: Session, merchant_id: str, ghost_id: str) -> Erasable:
    """What there is to be forgotten behind a ghost. Raises `GhostNotFoundError`."""
    customer_id = _customer_of(session, merchant_id, ghost_id)
    if not customer_id:
        return Erasable.NOBODY
    return Erasable.DONE if tombstones.buried_customers(session, merchant_id, [customer_id]) else Erasable.YES


def erase_customer_of(session: Session, merchant_id: str, ghost_id: str, now: datetime, *, actor_id: str) -> int:
    """Forget the customer of a ghost, as `erase_customer` does; how many ghosts they had. The caller commits.

    Raises `GhostNotFoundError`, `NobodyToForgetError`.
    """
    customer_id = _customer_of(session, merchant_id, ghost_id)
    if not customer_id:
        raise NobodyToForgetError
    return erase_customer(session, merchant_id, customer_id, now, actor_id=actor_id, ghost_id=ghost_id)


def _customer_of(session: Session, merchant_id: str, ghost_id: str) -> str:
    ghost = repository.get_ghost(session, merchant_id, ghost_id)
    if ghost is None:
        raise GhostNotFoundError
    return ghost.customer_id or ""


def erase_customer(
    session: Session, merchant_id: str, customer_id: str, now: datetime, *, actor_id: str = "", ghost_id: str = ""
) -> int:
    """Forget a customer at once, for ever, whatever state their ghosts are in; how many ghosts they had.

    Nothing of this customer is imported again. The audit log keeps who did it (nobody for the operator) and on which
    ghost's page, and not whom it was: of somebody without a ghost even the id is forgotten. The caller commits.
    """
    work = Work.begin(session, merchant_context(session, merchant_id), now, shards.ALL)
    ghosts = repository.list_of_customer(session, merchant_id, customer_id)
    for ghost in ghosts:
        forget(work, ghost, ON_REQUEST)
    work.finish()
    finish(work, ghosts)
    presence.forget(session, merchant_id, [customer_id])
    tombstones.bury(session, merchant_id, TombstoneKind.CUSTOMER, [customer_id], now)
    what = "recovery.customer_erased"
    audit.record_audit(session, merchant_id, what, actor_id=actor_id, target=ghost_id, facts={"ghosts": len(ghosts)})
    audit.log_event(session, merchant_id, what, "A customer's personal data was removed on request.")
    return len(ghosts)


def erase_known_customer(session: Session, merchant_id: str, customer_id: str, now: datetime, *, actor_id: str) -> int:
    """Forget a customer by their id at Stripe, as `erase_customer` does; how many ghosts they had. The caller commits.

    Asking again changes nothing and answers the same. Raises `CustomerNotFoundError` for somebody who neither owed
    nor was seen, which another merchant's customer is as well.
    """
    ghosts = repository.count_of_customer(session, merchant_id, customer_id)
    if tombstones.buried_customers(session, merchant_id, [customer_id]):
        return ghosts
    if not ghosts and not presence.is_known(session, merchant_id, customer_id):
        raise CustomerNotFoundError
    return erase_customer(session, merchant_id, customer_id, now, actor_id=actor_id)


def forget(work: Work, ghost: GhostTarget, why: str) -> None:
    """Empty a ghost of its person and end its chase; `finish` follows, once a unit of work."""
    if not (can(GhostState(ghost.state), Trigger.EXHAUSTED) and work.move(ghost, Trigger.EXHAUSTED, why)):
        work.plan(ghost)  # a note or a word before a charge was perhaps to come: there is nobody to send it to
    ghost.customer_email = ghost.customer_name = ghost.customer_phone = None
    ghost.customer_language = ghost.card_last4 = ""
    ghost.last_presence_at = None
    ghost.purged_at = ghost.purged_at or work.now
    work.event(ghost, "purged", why)


def finish(work: Work, ghosts: Sequence[GhostTarget], *, links_since: datetime | None = None) -> None:
    """Forget what was written to the people of these ghosts and about them, and keep their invoices away.

    With it go their links, but for those made from `links_since` on.
    """
    merchant_id, ghost_ids = work.merchant.id, [ghost.id for ghost in ghosts]
    messages.empty_of_ghosts(work.session, merchant_id, ghost_ids, links_since=links_since)
    repository.empty_manual_tasks(work.session, merchant_id, ghost_ids, REMOVED, work.now)
    tombstones.bury(work.session, merchant_id, TombstoneKind.INVOICE, [ghost.invoice_id for ghost in ghosts], work.now)
