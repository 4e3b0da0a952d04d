"""Presence: customers are seen using the product, and those who owe meanwhile are shown first.

"Unpaid and active in the last 7 days" is PHANTOM's own measure of a ghost. Whoever decides on access (or is told by the
merchant's application) calls `record`, as often as it likes: sightings of minutes ago are no news and cost no write.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import Session

from models.ghost import GhostTarget
from services.analytics import shards
from services.recovery import presence_repository as repository
from services.recovery import tombstones

PRESENT_STATES = repository.PRESENT_STATES
ACTIVE = timedelta(days=7)
STEP = timedelta(minutes=5)
"""Sightings closer together than this are one."""
KEPT = timedelta(days=90)
_AHEAD = timedelta(minutes=5)
LONGEST_ID = 64


@dataclass(frozen=True, slots=True)
class Active:
    """Customers who owe and were seen in the last 7 days; `amount` in minor units of one currency.

    `is_told` False: nobody was ever seen, so nothing can be said of anybody.
    """

    is_told: bool
    customers: int
    amount: int


def record(session: Session, merchant_id: str, seen: Mapping[str, datetime], now: datetime) -> int:
    """Customers (by their id at Stripe) were seen at these moments (aware UTC). How many were news.

    Late and repeated sightings change nothing, those of the future count as now. Customers who asked to be forgotten
    are not written down again. Takes the shards of those who owe; the caller commits. Ids that can be no customer's
    are passed over.
    """
    believed = {each: min(at, now + _AHEAD) for each, at in seen.items() if 0 < len(each) <= LONGEST_ID}
    known = repository.last_seen(session, merchant_id, list(believed)) if believed else {}
    news = {
        each: at for each, at in believed.items() if now - at < KEPT and (each not in known or at - known[each] >= STEP)
    }
    if news:
        removed = tombstones.buried_customers(session, merchant_id, news)
        news = {each: at for each, at in news.items() if each not in removed}
    if news:
        owing = repository.owing(session, merchant_id, list(news))
        shards.hold(session, merchant_id, shards.of_customers(owing))
        repository.put(session, merchant_id, news, STEP)
        for each in sorted(owing):
            repository.mark_ghosts(session, merchant_id, each, news[each], STEP)
    return len(news)


def take_over(session: Session, merchant_id: str, ghosts: Iterable[GhostTarget]) -> None:
    """New ghosts know when their customers were last seen, also if that was before they owed."""
    new = [ghost for ghost in ghosts if ghost.customer_id]
    if not new:
        return
    seen = repository.last_seen(session, merchant_id, sorted({ghost.customer_id or "" for ghost in new}))
    for ghost in new:
        ghost.last_presence_at = seen.get(ghost.customer_id or "")


def active(session: Session, merchant_id: str, currency: str, now: datetime) -> Active:
    """Who owes and was seen in the last 7 days, in one currency. Reads no other ghosts."""
    customers, amount = repository.count_active(session, merchant_id, currency, now - ACTIVE)
    return Active(bool(customers) or repository.has_any(session, merchant_id), customers, amount)


def is_known(session: Session, merchant_id: str, customer_id: str) -> bool:
    """Whether this customer was ever seen (and not forgotten since)."""
    return bool(repository.last_seen(session, merchant_id, [customer_id]))


def forget(session: Session, merchant_id: str, customer_ids: Iterable[str]) -> None:
    """Remove what is known of customers who asked for it."""
    wanted = sorted(customer_ids)
    if wanted:
        repository.forget(session, merchant_id, wanted)


def prune(session: Session, merchant_id: str, now: datetime, limit: int) -> int:
    """Forget up to `limit` customers whom nobody has seen for 90 days; how many."""
    return repository.prune(session, merchant_id, now - KEPT, limit)
