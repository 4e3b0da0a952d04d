"""All SQL of the two logs."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete
from sqlmodel import Session, col, select

from models.audit import AuditLog, SystemLog


def add(session: Session, row: SystemLog | AuditLog) -> None:
    session.add(row)


def list_log(session: Session, merchant_id: str, limit: int) -> Sequence[SystemLog]:
    return session.exec(
        select(SystemLog)
        .where(SystemLog.merchant_id == merchant_id)
        .order_by(col(SystemLog.occurred_at).desc(), col(SystemLog.id).desc())
        .limit(limit)
    ).all()


def delete_log_before(session: Session, merchant_id: str, moment: datetime) -> None:
    session.execute(
        delete(SystemLog).where(col(SystemLog.merchant_id) == merchant_id, col(SystemLog.occurred_at) < moment)
    )
