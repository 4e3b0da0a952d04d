"""Forgetting people: a ghost's personal data goes 90 days after it was found, or at once when a customer asks.

What stays is what figures need: amounts, dates, codes, ids of Stripe's objects. A ghost that is still chased ends
as exhausted, because nobody could be written to any more; a payment, however late, still finds it by its invoice.
"""

from datetime import datetime, timedelta

from sqlmodel import Session

from models.ghost import GhostState, GhostTarget
from models.privacy import TombstoneKind
from services.analytics import shards
from services.audit import service as audit
from services.messaging import repository as messages
from services.recovery import repository, tombstones
from services.recovery.lifecycle import Trigger, can
from services.recovery.work import Work, merchant_context

KEEP = timedelta(days=90)
PAGE = 200


def purge_due(session: Session, merchant_id: str, now: datetime) -> int:
    """Forget one page of ghosts that were found more than 90 days ago; how many. Fewer than `PAGE`: that was all.

    `now` is aware UTC; the caller commits each page.
    """
    work = Work.begin(session, merchant_context(session, merchant_id), now, shards.ALL)
    ghosts = repository.list_unpurged(session, merchant_id, found_before=now - KEEP, limit=PAGE)
    for ghost in ghosts:
        _forget(work, ghost, "Its personal data was removed 90 days after it was found.")
    _finish(work, ghosts)
    return len(ghosts)


def erase_customer(session: Session, merchant_id: str, customer_id: str, now: datetime) -> int:
    """Forget a customer at once, for ever, whatever state their ghosts are in; how many ghosts they had.

    Nothing of this customer is imported again. The caller commits.
    """
    work = Work.begin(session, merchant_context(session, merchant_id), now, shards.ALL)
    ghosts = repository.list_of_customer(session, merchant_id, customer_id)
    for ghost in ghosts:
        _forget(work, ghost, "The customer's personal data was removed on request.")
    _finish(work, ghosts)
    tombstones.bury(session, merchant_id, TombstoneKind.CUSTOMER, [customer_id], now)
    audit.log_event(
        session, merchant_id, "recovery.customer_erased", "A customer's personal data was removed on request."
    )
    return len(ghosts)


def _forget(work: Work, ghost: GhostTarget, why: str) -> None:
    if can(GhostState(ghost.state), Trigger.EXHAUSTED):
        work.move(ghost, Trigger.EXHAUSTED, why)
    ghost.customer_email = ghost.customer_name = ghost.customer_phone = None
    ghost.customer_language = ghost.card_last4 = ""
    ghost.purged_at = ghost.purged_at or work.now
    work.event(ghost, "purged", why)


def _finish(work: Work, ghosts: list[GhostTarget]) -> None:
    work.finish()
    merchant_id = work.merchant.id
    messages.empty_of_ghosts(work.session, merchant_id, [ghost.id for ghost in ghosts])
    tombstones.bury(work.session, merchant_id, TombstoneKind.INVOICE, [ghost.invoice_id for ghost in ghosts], work.now)
