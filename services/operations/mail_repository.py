"""SQL that tells whether a merchant's last mails went out. Tenant sessions."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlmodel import Session

from models.messaging import WENT_OUT

# An index has those that went out; of those that were refused the newest messages tell.
_WENT_OUT = text(f"""
select sent_at from messages
where merchant_id = :merchant_id and channel = 'email' and state in ({", ".join(f"'{state}'" for state in WENT_OUT)})
order by sent_at desc limit 1
""")  # noqa: S608  # a closed list of ours
_REFUSED = text("""
select due_at, reason from (
    select channel, state, due_at, reason from messages
    where merchant_id = :merchant_id order by created_at desc limit 50
) latest where channel = 'email' and state = 'failed' order by due_at desc limit 1
""")


def mail_went_out_at(session: Session, merchant_id: str) -> datetime | None:
    """When a merchant's latest mail was taken by its carrier, whatever became of it then."""
    found: datetime | None = session.execute(_WENT_OUT, {"merchant_id": merchant_id}).scalar()
    return found


def refused_mail(session: Session, merchant_id: str) -> Row[Any] | None:
    """The latest mail that its carrier did not take (`due_at`, `reason`), of the newest 50 messages."""
    return session.execute(_REFUSED, {"merchant_id": merchant_id}).one_or_none()
