"""Tasks that were put off until something comes: it has come."""

from sqlalchemy import text
from sqlmodel import Session

from core import clock
from core.rows import read

_HASTEN = text("""
update scheduled_tasks set run_at = :now
where merchant_id = :merchant_id and kind = :kind and state = 'pending' and run_at > :now and last_error = :reason
""")


def hasten(session: Session, merchant_id: str, kind: str, reason: str) -> int:
    """Let a merchant's tasks that were put off for `reason` run now; how many. The caller commits, then announces."""
    values = {"now": clock.now(), "merchant_id": merchant_id, "kind": kind, "reason": reason}
    return read(session, _HASTEN, **values).rowcount
