"""All that the health card reads: seven index reads, however many ghosts, messages and events a merchant has."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session, col, select

from models.health import IntakeOutcome
from models.merchant import Merchant
from models.messaging import WENT_OUT, Channel
from models.sending import MerchantSender
from models.work import Hunt

# `state` is among what the index includes, and the inner limit ends the walk: at most 1,000 entries of one index.
_OUTCOMES = text(f"""
select state, count(*) as mails from (
    select state from messages
    where merchant_id = :merchant_id and channel = :channel and sent_at >= :since
        and state in ({", ".join(f"'{state}'" for state in WENT_OUT)})
    order by sent_at desc limit :most
) latest group by state
""")  # noqa: S608  # a closed list of ours
_SEEN = text("select type, last_at from webhook_sightings where merchant_id = :merchant_id")


def get_merchant(session: Session, merchant_id: str) -> Merchant | None:
    return session.exec(select(Merchant).where(Merchant.id == merchant_id)).first()


def list_hunts(session: Session, merchant_id: str, limit: int) -> Sequence[Hunt]:
    """Newest first."""
    return session.exec(
        select(Hunt).where(Hunt.merchant_id == merchant_id).order_by(col(Hunt.started_at).desc()).limit(limit)
    ).all()


def list_seen(session: Session, merchant_id: str) -> Sequence[Row[Any]]:
    return session.execute(_SEEN, {"merchant_id": merchant_id}).all()


def list_senders(session: Session, merchant_id: str) -> Sequence[MerchantSender]:
    return session.exec(select(MerchantSender).where(MerchantSender.merchant_id == merchant_id)).all()


def mail_outcomes(session: Session, merchant_id: str, since: datetime, most: int) -> dict[str, int]:
    """How many of the latest mails are in each state, of those that went out."""
    values = {"merchant_id": merchant_id, "channel": Channel.EMAIL.value, "since": since, "most": most}
    return {row.state: row.mails for row in session.execute(_OUTCOMES, values)}


def intake_outcomes(session: Session, endpoint: str) -> dict[str, IntakeOutcome]:
    """System login."""
    rows = session.exec(select(IntakeOutcome).where(IntakeOutcome.endpoint == endpoint)).all()
    return {row.outcome: row for row in rows}
