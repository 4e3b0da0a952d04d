"""Which shards a piece of work needs: those of the customers whose ghosts it may touch.

Read before anything is locked. That is no race: a ghost's customer, once known, never changes (an invoice's does not
at Stripe, and `observe` keeps the first it heard of). While it is unknown its ghosts need all shards, so whoever
makes it known excludes whoever still thinks that it is not. What slips through all the same (a ghost that another
made between this look and the lock) is caught by `Work.begin` and `Work.event`.
"""

from collections.abc import Iterable, Sequence

from sqlmodel import Session

from services.analytics import shards
from services.integrations.stripe.facts import InvoiceFacts
from services.recovery import repository


def of_ghosts(session: Session, merchant_id: str, ghost_ids: Sequence[str]) -> frozenset[int]:
    """The shards of these ghosts; none for those that do not exist."""
    return shards.of_customers(repository.customers_of_ghosts(session, merchant_id, ghost_ids))


def of_message(session: Session, merchant_id: str, message_id: str) -> frozenset[int]:
    """The shards of the ghost that a message belongs to; none when there is no such message."""
    return shards.of_customers(repository.customers_of_message(session, merchant_id, message_id))


def of_invoices(
    session: Session, merchant_id: str, batch: Iterable[InvoiceFacts], gone: Sequence[str] = ()
) -> frozenset[int]:
    """The shards of the ghosts that these invoices have or would get; `gone` are ids of others that may have some."""
    stated = {facts.id: facts.customer.id for facts in batch}
    known = repository.customers_of_invoices(session, merchant_id, [*stated, *gone])
    return shards.of_customers((stated | known).values())


def needed(session: Session, merchant_id: str, batch: Sequence[InvoiceFacts]) -> frozenset[int]:
    """The shards for these invoices: those that the transaction took for them already, else as `of_invoices` says."""
    return shards.held(session, merchant_id) or of_invoices(session, merchant_id, batch)


def take(session: Session, merchant_id: str, batch: Iterable[InvoiceFacts], gone: Sequence[str] = ()) -> None:
    """Take the shards of these invoices before the first of several units of work in one transaction."""
    shards.hold(session, merchant_id, of_invoices(session, merchant_id, batch, gone))
