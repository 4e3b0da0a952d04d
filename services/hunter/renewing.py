"""Subscriptions that renew soon, as a hunt lists them: which charges are at risk, and which are not any more."""

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session

from models.ghost import FoundVia
from services.hunter import repository
from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.integrations.stripe.renewals import RenewalFacts, parse_renewal
from services.recovery.protection import impending, impending_repository, outcomes
from services.recovery.work import MerchantContext

_BATCH = 1000


def overdue(session: Session, merchant_id: str, now: datetime, limit: int) -> list[str]:
    """Subscriptions whose charge at risk was due, and nobody told what became of it."""
    return impending_repository.list_overdue(session, merchant_id, now - outcomes.SETTLING, limit)


def unlisted(session: Session, merchant_id: str, hunt_id: str, now: datetime, limit: int) -> list[str]:
    """Subscriptions whose charge at risk is to come, and which the hunt's lists did not show: they may be over."""
    batches = impending_repository.expected(session, merchant_id, now, _BATCH)
    found = (each for batch in batches for each in repository.unseen(session, merchant_id, hunt_id, batch))
    return list(itertools.islice(found, limit))


def store(
    session: Session,
    merchant: MerchantContext,
    hunt_id: str,
    items: Sequence[Any],
    gone: Sequence[str],
    now: datetime,
    unreadable: list[UnreadableInvoiceError],
) -> int:
    """Bring a page of subscriptions in; how many charges changed what is to be expected of them.

    Adds to `unreadable` what cannot be read. `gone` are subscriptions that Stripe does not know any more.
    """
    # What is gone has no customer to go by, so ending it takes all shards: first, since none can be taken in addition.
    ended = impending.end(session, merchant, gone, now) if gone else 0
    seen = impending.watch(session, merchant, list(_read(items, unreadable)), FoundVia.HUNT, now)
    repository.add_seen(session, merchant.id, hunt_id, seen.subscription_ids)
    return seen.found + seen.updated + ended


def _read(items: Sequence[Any], unreadable: list[UnreadableInvoiceError]) -> Iterator[RenewalFacts]:
    for item in items:
        try:
            yield parse_renewal(item)
        except UnreadableInvoiceError as error:
            unreadable.append(error)
