"""All SQL of the logs and of their partitions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlmodel import Session, col, select

from core.rows import insert_rows
from models.audit import SystemLog

_KEEP_PARTITIONS = text("select made, dropped, busy from keep_partitions(:table, :as_of)")
_LIST_PARTITIONS = text("""
select child.relname from pg_inherits join pg_class child on child.oid = inhrelid
where inhparent = cast(:table as regclass) order by child.relname
""")


def add(session: Session, table: str, row: dict[str, Any]) -> None:
    """Append a line to `system_logs`, `audit_log` or `usage_logs`."""
    insert_rows(session, table, [row])


def list_log(session: Session, merchant_id: str, *, first: str, before: str, limit: int) -> Sequence[SystemLog]:
    """Lines with ids from `first` up to `before`, newest first. Both bounds: the partitions outside are not touched."""
    return session.exec(
        select(SystemLog)
        .where(SystemLog.merchant_id == merchant_id, SystemLog.id >= first, SystemLog.id < before)
        .order_by(col(SystemLog.id).desc())
        .limit(limit)
    ).all()


def keep_partitions(session: Session, table: str, as_of: datetime) -> tuple[int, int, bool]:
    """(partitions made, dropped, whether others held the table)."""
    made, dropped, busy = session.execute(_KEEP_PARTITIONS, {"table": table, "as_of": as_of}).one()
    return int(made), int(dropped), bool(busy)


def list_partitions(session: Session, table: str) -> list[str]:
    return list(session.execute(_LIST_PARTITIONS, {"table": table}).scalars())
