"""Subscriptions that renew soon, as a hunt lists them: which charges are at risk, and which are not any more."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session

from models.ghost import FoundVia
from services.integrations.stripe.parsing import UnreadableInvoiceError
from services.integrations.stripe.renewals import RenewalFacts, parse_renewal
from services.recovery.protection import impending, impending_repository, outcomes
from services.recovery.work import MerchantContext


def overdue(session: Session, merchant_id: str, now: datetime, limit: int) -> list[str]:
    """Subscriptions whose charge at risk was due, and nobody told what became of it."""
    return impending_repository.list_overdue(session, merchant_id, now - outcomes.SETTLING, limit)


def store(
    session: Session,
    merchant: MerchantContext,
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
    return seen.found + seen.updated + ended


def _read(items: Sequence[Any], unreadable: list[UnreadableInvoiceError]) -> Iterator[RenewalFacts]:
    for item in items:
        try:
            yield parse_renewal(item)
        except UnreadableInvoiceError as error:
            unreadable.append(error)
