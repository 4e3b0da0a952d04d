"""SQL of test messages: those of no ghost, whose `ghost_id` begins with a name of their own."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from models.messaging import Message


def count_since(session: Session, merchant_id: str, prefix: str, since: datetime) -> int:
    return session.exec(
        select(func.count()).select_from(Message).where(*_of(merchant_id, prefix), col(Message.created_at) >= since)
    ).one()


def keep_latest(session: Session, merchant_id: str, prefix: str, number: int) -> None:
    """Delete all but the latest."""
    older = (
        select(Message.id)
        .where(*_of(merchant_id, prefix))
        .order_by(col(Message.created_at).desc(), col(Message.id).desc())
        .offset(number)
    )
    session.connection().execute(
        delete(Message).where(col(Message.merchant_id) == merchant_id, col(Message.id).in_(older))
    )


def _of(merchant_id: str, prefix: str) -> tuple[Any, ...]:
    return col(Message.merchant_id) == merchant_id, col(Message.ghost_id).startswith(f"{prefix}_", autoescape=True)
