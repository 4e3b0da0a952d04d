"""All SQL of what refunds and disputes took, and from which payment; every statement names the merchant."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session

from core.rows import insert_rows, read

_TAKEN_FROM = text("""
select distinct ghost.invoice_id from recoveries as took
    join ghost_targets as ghost on ghost.merchant_id = took.merchant_id and ghost.id = took.ghost_id
where took.merchant_id = :merchant_id and took.kind = 'reversed' and took.source_id = any(:sources)
order by ghost.invoice_id
""")
_PARTS = text("""
select ghost_id, payment_intent_id, amount_cents, paid_at from payment_parts
where merchant_id = :merchant_id and ghost_id = any(:ids)
""")
_REMOVE_PARTS = text("delete from payment_parts where merchant_id = :merchant_id and ghost_id = :ghost_id")


def invoices_taken_from(session: Session, merchant_id: str, sources: Sequence[str]) -> list[str]:
    """The invoices of the ghosts from which any of these refunds or disputes took something, whatever became of it."""
    if not sources:
        return []
    return list(read(session, _TAKEN_FROM, merchant_id=merchant_id, sources=list(sources)).scalars())


def list_parts(session: Session, merchant_id: str, ghost_ids: Sequence[str]) -> Sequence[Row[Any]]:
    """(ghost, payment, minor units, when): what each payment brought, of the ghosts that several paid."""
    return read(session, _PARTS, merchant_id=merchant_id, ids=list(ghost_ids)).all()


def add_parts(session: Session, rows: list[dict[str, Any]]) -> None:
    """What each payment of a ghost brought. A payment that is named twice for one is kept once."""
    insert_rows(session, "payment_parts", rows, conflict="do nothing")


def remove_parts(session: Session, merchant_id: str, ghost_id: str) -> None:
    read(session, _REMOVE_PARTS, merchant_id=merchant_id, ghost_id=ghost_id)
