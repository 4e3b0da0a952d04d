"""Recoveries that went back: the one way in for webhooks, which hear of a refund, and hunts, which find it."""

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import Session

from services.integrations.stripe.returns import MoneyBack
from services.recovery import neighbours, repository, settle
from services.recovery.work import MerchantContext, Work


def take_back(session: Session, merchant: MerchantContext, returned: Mapping[str, MoneyBack], now: datetime) -> int:
    """Reverse the recoveries of these invoices, in the caller's transaction; how many were. `now` is aware UTC.

    Each once, whoever comes first: what is not recovered (any more) is left alone. In a transaction that worked on
    ghosts before, their shards must be among those it holds, as everywhere.
    """
    needed = neighbours.of_invoices(session, merchant.id, (), list(returned))
    work = Work.begin(session, merchant, now, needed)
    ghosts = repository.lock_by_invoices(session, merchant.id, list(returned))
    done = 0
    for invoice_id, ghost in ghosts.items():
        back = returned[invoice_id]
        done += settle.reverse(work, ghost, back.source_id, back.amount, back.reason, back.at or now)
    work.finish()
    return done
