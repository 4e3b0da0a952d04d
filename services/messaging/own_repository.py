"""All SQL of merchants' own templates."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import String, bindparam, delete, func
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlmodel import Session, col, select

from core.rows import entities
from models.templates import MessageTemplate
from services.messaging.lint import Target

_KEY = ("decline_group", "moment", "channel", "language")


_KEY_COLUMNS = [col(getattr(MessageTemplate, name)) for name in _KEY]
_CURRENT = (
    select(MessageTemplate)
    .where(MessageTemplate.merchant_id == bindparam("merchant_id", type_=String))
    .ext(distinct_on(*_KEY_COLUMNS))
    .order_by(*_KEY_COLUMNS, col(MessageTemplate.version).desc())
)


def list_current(session: Session, merchant_id: str) -> Sequence[MessageTemplate]:
    """The highest version of each message, retired ones among them."""
    return entities(session, _CURRENT, merchant_id=merchant_id)


def list_versions(session: Session, merchant_id: str, target: Target, limit: int) -> Sequence[MessageTemplate]:
    """The versions of one message, newest first."""
    return session.exec(
        select(MessageTemplate)
        .where(*_of(merchant_id, target))
        .order_by(col(MessageTemplate.version).desc())
        .limit(limit)
    ).all()


def get_version(session: Session, merchant_id: str, target: Target, version: int) -> MessageTemplate | None:
    """One version of one message; None for one that never was or is dropped."""
    return session.exec(
        select(MessageTemplate).where(*_of(merchant_id, target), col(MessageTemplate.version) == version)
    ).first()


def latest_version(session: Session, merchant_id: str, target: Target) -> int:
    """0 where there is none."""
    found = session.exec(select(func.max(MessageTemplate.version)).where(*_of(merchant_id, target))).one()
    return found or 0


def add_version(session: Session, row: dict[str, Any]) -> bool:
    """False when somebody else has taken this version's number."""
    table = MessageTemplate.__table__  # type: ignore[attr-defined]
    statement = insert(MessageTemplate).values(row).on_conflict_do_nothing().returning(table.c.version)
    return session.execute(statement).first() is not None


def drop_versions_up_to(session: Session, merchant_id: str, target: Target, version: int) -> None:
    session.connection().execute(
        delete(MessageTemplate).where(*_of(merchant_id, target), col(MessageTemplate.version) <= version)
    )


def _of(merchant_id: str, target: Target) -> tuple[Any, ...]:
    return (
        col(MessageTemplate.merchant_id) == merchant_id,
        col(MessageTemplate.decline_group) == target.decline_group,
        col(MessageTemplate.moment) == target.moment,
        col(MessageTemplate.channel) == target.channel,
        col(MessageTemplate.language) == target.language,
    )
