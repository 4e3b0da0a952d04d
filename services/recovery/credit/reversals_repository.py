"""All SQL of what refunds and disputes took, by the refund or dispute; every statement names the merchant."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlmodel import Session

from core.rows import read

_TAKEN_FROM = text("""
select distinct ghost.invoice_id from recoveries as took
    join ghost_targets as ghost on ghost.merchant_id = took.merchant_id and ghost.id = took.ghost_id
where took.merchant_id = :merchant_id and took.kind = 'reversed' and took.source_id = any(:sources)
order by ghost.invoice_id
""")


def invoices_taken_from(session: Session, merchant_id: str, sources: Sequence[str]) -> list[str]:
    """The invoices of the ghosts from which any of these refunds or disputes took something, whatever became of it."""
    if not sources:
        return []
    return list(read(session, _TAKEN_FROM, merchant_id=merchant_id, sources=list(sources)).scalars())
