"""Writing and reading the live log and the audit log, in the transaction of what they tell of."""

from datetime import timedelta
from typing import Any

from sqlmodel import Session

from core import clock, ids
from models.audit import AuditLog, SystemLog
from services.audit import repository
from services.audit.schemas import LogLine

LOG_KEPT = timedelta(days=90)


def log_event(
    session: Session,
    merchant_id: str,
    event: str,
    message: str,
    *,
    level: str = "info",
    facts: dict[str, Any] | None = None,
) -> None:
    """Add a line to the merchant's live log. `message` is for people and carries no PII; `event` is dotted."""
    repository.add(
        session,
        SystemLog(
            merchant_id=merchant_id,
            id=ids.new_id("sl"),
            level=level,
            event=event,
            message=message,
            facts=facts or {},
            occurred_at=clock.now(),
        ),
    )


def record_audit(
    session: Session,
    merchant_id: str,
    action: str,
    *,
    actor_id: str = "",
    target: str = "",
    facts: dict[str, Any] | None = None,
) -> None:
    """Keep who did what to which thing; append-only."""
    repository.add(
        session,
        AuditLog(
            merchant_id=merchant_id,
            id=ids.new_id("al"),
            actor_id=actor_id,
            action=action,
            target=target,
            facts=facts or {},
            occurred_at=clock.now(),
        ),
    )


def list_log(session: Session, merchant_id: str, limit: int = 100) -> tuple[LogLine, ...]:
    """The latest lines of the live log, newest first."""
    return tuple(
        LogLine(
            id=row.id,
            level=row.level,
            event=row.event,
            message=row.message,
            facts=row.facts,
            occurred_at=row.occurred_at,
        )
        for row in repository.list_log(session, merchant_id, limit)
    )


def prune_log(session: Session, merchant_id: str) -> None:
    """Forget lines of the live log older than 90 days. Each scheduled hunt does it, so there is never much."""
    repository.delete_log_before(session, merchant_id, clock.now() - LOG_KEPT)
