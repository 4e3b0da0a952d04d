"""Writing and reading the live log, the audit log and the activity ledger, in the transaction of what they tell of."""

from datetime import timedelta
from typing import Any

from sqlmodel import Session

from core import clock, ids
from services.audit import repository
from services.audit.schemas import LogLine

LOG_SHOWN = timedelta(days=90)
CLOCKS_APART = timedelta(days=1)  # another machine's newest lines are ahead of our clock, by far less than this


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
    row = {
        "merchant_id": merchant_id,
        "id": ids.new_id("sl"),
        "level": level,
        "event": event,
        "message": message,
        "facts": facts or {},
        "occurred_at": clock.now(),
    }
    repository.add(session, "system_logs", row)


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
    row = {
        "merchant_id": merchant_id,
        "id": ids.new_id("al"),
        "actor_id": actor_id,
        "action": action,
        "target": target,
        "facts": facts or {},
        "occurred_at": clock.now(),
    }
    repository.add(session, "audit_log", row)


def record_usage(
    session: Session, merchant_id: str, kind: str, quantity: int, *, currency: str = "", reference: str = ""
) -> None:
    """Keep one thing an operator may bill for, in the transaction that makes it true and hence once.

    `quantity` is a count, or minor units of `currency`; negative takes back. `kind` is dotted: `message.sent`.
    """
    row = {
        "merchant_id": merchant_id,
        "id": ids.new_id("ul"),
        "kind": kind,
        "quantity": quantity,
        "currency": currency,
        "reference": reference,
        "occurred_at": clock.now(),
    }
    repository.add(session, "usage_logs", row)


def list_log(session: Session, merchant_id: str, limit: int = 100) -> tuple[LogLine, ...]:
    """The latest lines of the live log, newest first, 90 days back at most."""
    now = clock.now()
    lines = repository.list_log(
        session,
        merchant_id,
        first=ids.first_id_of("sl", now - LOG_SHOWN),
        before=ids.first_id_of("sl", now + CLOCKS_APART),
        limit=limit,
    )
    return tuple(
        LogLine(
            id=row.id,
            level=row.level,
            event=row.event,
            message=row.message,
            facts=row.facts,
            occurred_at=row.occurred_at,
        )
        for row in lines
    )
